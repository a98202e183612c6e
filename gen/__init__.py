"""Configurations in, files out: Verilog, its manifest, and what other tools need beside it.

The one room that knows parameters and hardware both. ``export/`` writes what stands beside the
Verilog. It may import ``params``, ``rtl`` and ``util``; never the golden model or a simulator.
"""
