"""Verification: ``sim/`` for users of a unit, ``check/`` with proofs and planted bugs, ``tests/``.

``sim`` runs generated Verilog and compares it with the golden model; ``check`` proves and breaks
hardware on purpose; ``tests`` and the test plans in ``plan/`` are not installed.
"""
