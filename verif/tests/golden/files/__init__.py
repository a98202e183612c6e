"""What golden lays out in bytes: records, files, packets of the engine."""
