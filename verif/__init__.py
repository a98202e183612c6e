"""Verification: batch harness, cocotb testbenches, test plans and the tests themselves."""
