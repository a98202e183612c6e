"""Factors of whole tensors."""
