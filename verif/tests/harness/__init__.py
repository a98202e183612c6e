"""The test benches themselves: batch harness, coverage, prover, and that each can fail."""
