"""Does this board do what the golden model says? Products, provoked errors, and the verdict.

Uses an opened `amxfp4.host.Engine` and the golden model; never a simulator.
"""
