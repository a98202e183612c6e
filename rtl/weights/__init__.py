"""The dequantizer of weights: FP16 scales, the words of all codes, and the unit."""
