"""Batch harness: generated Verilog compiled by Verilator to a shared library, NumPy in and out."""
