"""Numbers of the serial bridge's protocol (docs/units/bridge.md), for hardware and host program."""

from __future__ import annotations

import enum

__all__ = [
    "ANSWER",
    "END",
    "ESC",
    "ESC_END",
    "ESC_ESC",
    "OVERHEAD",
    "PROTOCOL",
    "TIMEOUT",
    "Operation",
    "Status",
    "Stream",
]

PROTOCOL = 1
"""Version of the protocol."""
END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
"""Bytes of SLIP framing (RFC 1055)."""
ANSWER = 0x80
"""The bit of an operation that makes it an answer."""
OVERHEAD = 8
"""Bytes of a frame beside its payload: sequence, operation, length (2), CRC-32 (4)."""
TIMEOUT = 4096
"""Cycles without a beat after which `send` and `receive` end."""


class Operation(enum.IntEnum):
    """What a request asks for."""

    HELLO = 0
    READ = 1
    WRITE = 2
    SEND = 3
    RECEIVE = 4
    RESET = 5


class Status(enum.IntEnum):
    """The first byte of an answer's payload."""

    OK = 0
    REFUSED = 1
    MALFORMED = 2


class Stream(enum.IntEnum):
    """The stream that `send` passes bytes to."""

    A = 0
    B = 1
