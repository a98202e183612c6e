"""Proofs: assertions about the hardware, checked for every input by Yosys' SAT solver."""
