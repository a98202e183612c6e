"""The front door of the hardware side: configuration objects and Verilog generation."""
