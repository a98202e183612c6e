"""The hardware, in Amaranth: a folder or file for each unit, and what units share in ``lib/``.

A component takes a configuration, has ready/valid streams on its sides, and states its latency. It
may import ``params`` and Amaranth, and nothing that judges it: no NumPy, no golden model.
"""
