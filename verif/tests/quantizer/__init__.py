"""The quantizer: its parts, the whole unit by the million, its protocol, planted bugs."""
