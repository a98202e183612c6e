"""PyTorch: its tensors in the golden model, and `amxfp4.torch`; skipped without it."""
