"""What is generated: Verilog, manifests, and the files beside them."""
