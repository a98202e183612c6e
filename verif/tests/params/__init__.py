"""Formats, configurations and registers: what is allowed, refused and normalised."""
