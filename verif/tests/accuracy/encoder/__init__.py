"""The language model, what is quantized in it, statistics and runs; on a tiny random model."""
