"""Synthesis: fixtures that make up plans and results; tests by step below."""
