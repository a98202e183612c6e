"""The host program: a driver of the engine behind a serial line or a memory map."""
