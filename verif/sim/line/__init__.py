"""The serial bridge: models of it, its simulated board, and testbenches at its pins."""
