"""Mapped netlists, their simulation, their energy."""
