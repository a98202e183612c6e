"""cocotb testbenches: the stream protocol of the generated Verilog."""
