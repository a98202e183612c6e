"""Checks that a board does what the golden model says: registers, injected errors, products.

Uses an open `amxfp4.host.Engine` and the golden model, never a simulator.
"""
