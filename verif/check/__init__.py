"""Checks that need the RTL: proofs for every input by Yosys, and bugs planted on purpose."""
