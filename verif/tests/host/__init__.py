"""The host program against models of boards that can misbehave; no simulator."""
