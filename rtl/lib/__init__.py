"""Hardware that several units are built of: arithmetic, rounding, formats, streams, gearboxes.

Imports Amaranth and ``params``; knows no unit.
"""
