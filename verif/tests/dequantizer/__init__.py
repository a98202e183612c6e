"""The dequantizer: its parts, the whole unit by the million, its protocol."""
