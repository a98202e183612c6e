"""Amaranth descriptions, one file per step of the data path."""
