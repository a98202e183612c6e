"""Gemma 3: the forward pass and its tokenizer, on a tiny random model."""
