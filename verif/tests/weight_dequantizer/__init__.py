"""The dequantizer of weights: its parts, whole units by the million, its protocol, planted bugs."""
