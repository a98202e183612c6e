"""Plans of jobs and sweeps."""
