"""Boards: tops, constraints, bitstreams."""
