"""Batches for `dot` and `array`: operands, expectations, directed and random sums, timing."""
