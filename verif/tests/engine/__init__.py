"""The engine: its parts, its testbench on AXI buses, planted bugs."""
