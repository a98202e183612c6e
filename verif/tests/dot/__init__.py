"""The parts of a dot product, and proofs of their sums, terms and accumulators."""
