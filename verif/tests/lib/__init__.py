"""What units are built of: arithmetic, rounding, pipes, gearboxes, shared modules."""
