"""Integers, and elements that no hardware has."""
