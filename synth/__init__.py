"""Synthesis with open tools: writing Verilog today, cost estimates as they come."""
