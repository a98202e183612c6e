"""AMXFP4: 4-bit block-scaled arithmetic units, their golden model and their verification."""

__version__ = "0.1.0"
