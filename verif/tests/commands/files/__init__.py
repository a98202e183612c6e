"""Commands on files of tensors and on checkpoints."""
