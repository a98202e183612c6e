"""The engine's testbench in cocotb: AXI drivers, jobs, scoreboard, scenarios."""
