"""Synthesis with open tools: what a unit costs in area, speed and energy, and boards that run it.

``flow/`` synthesizes one circuit, ``plan/`` many at once, ``report/`` shows them, ``gates/`` counts
toggles for energy, ``boards/`` makes bitstreams. Reads Verilog that ``gen`` writes, and knows
neither the RTL nor the golden model; ``experiments/`` does, and is not installed.
"""
