"""The engine behind a serial line: its parts, checks at the pins, the selftest on RTL."""
