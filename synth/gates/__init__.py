"""Mapped netlists as Python objects: cells and their functions, activity, energy."""
