"""Simulation of generated Verilog: what ships for those who verify a unit in their own project.

Toolchain, builds, and three benches: `batch` (millions of blocks), `cocotb` (protocols), `line`
(the serial unit behind its two wires). Reads Verilog text and manifests, compares with golden, and
never imports ``rtl``.
"""
