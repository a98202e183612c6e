"""Frames of the serial bridge: SLIP and a checksum (docs/units/bridge.md, Frames)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from amxfp4.params.protocol import ANSWER, END, ESC, ESC_END, ESC_ESC, OVERHEAD

__all__ = ["LARGEST_PAYLOAD", "Decoder", "Frame", "encode"]

LARGEST_PAYLOAD = 4096
"""Longest payload of any bridge, in bytes."""

_END, _ESC = bytes([END]), bytes([ESC])
_FOR_END, _FOR_ESC = bytes([ESC, ESC_END]), bytes([ESC, ESC_ESC])


@dataclass(frozen=True, slots=True)
class Frame:
    """A request, or an answer if bit 7 of `operation` is 1."""

    sequence: int
    operation: int
    payload: bytes


def encode(frame: Frame) -> bytes:
    """Bytes of a frame on the line, END in front and behind.

    Raises
    ------
    ValueError
        A field is out of its range.

    Examples
    --------
    >>> encode(Frame(0, 0, b"")).hex(" ")
    'c0 00 00 00 00 1c df 44 21 c0'
    """
    for name, value in (("sequence", frame.sequence), ("operation", frame.operation)):
        if not 0 <= value <= 0xFF:
            raise ValueError(f"{name} must be from 0 to 255, not {value!r}")
    if len(frame.payload) > 0xFFFF:
        raise ValueError(f"payload must be at most 65535 bytes, not {len(frame.payload)}")
    head = bytes([frame.sequence, frame.operation]) + len(frame.payload).to_bytes(2, "little")
    body = head + frame.payload
    body += zlib.crc32(body).to_bytes(4, "little")
    # ESC first: what stands for END contains one.
    return _END + body.replace(_ESC, _FOR_ESC).replace(_END, _FOR_END) + _END


class Decoder:
    """Finds frames in what a line brings, in pieces of any size.

    Parameters
    ----------
    answers
        Whether bit 7 of an operation must be 1, as in answers; else it must be 0.
    payload
        Longest payload, in bytes.

    Members
    -------
    dropped : frames with a wrong checksum, length, escape or direction
    """

    def __init__(self, *, answers: bool = True, payload: int = LARGEST_PAYLOAD) -> None:
        self.payload, self.dropped = payload, 0
        self._answers = answers
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the line; return the frames that they end."""
        found = []
        *ended, rest = data.split(_END)
        for piece in ended:
            self._held += piece
            if self._held:
                frame = self._frame(bytes(self._held))
                if frame is None:
                    self.dropped += 1
                else:
                    found.append(frame)
                self._held.clear()
        # Noise without an END must not fill the memory; what is that long is not a frame.
        self._held += rest[: max(0, 2 * (self.payload + OVERHEAD) + 1 - len(self._held))]
        return found

    def _frame(self, raw: bytes) -> Frame | None:
        body = _unescape(raw)
        if body is None or len(body) < OVERHEAD:
            return None
        length = int.from_bytes(body[2:4], "little")
        if length > self.payload or len(body) != length + OVERHEAD:
            return None
        if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
            return None
        if bool(body[1] & ANSWER) != self._answers:
            return None
        return Frame(body[0], body[1], body[4:-4])


def _unescape(raw: bytes) -> bytes | None:
    """Undo the escapes; ``None`` if one is invalid."""
    first, *others = raw.split(_ESC)
    body = bytearray(first)
    for part in others:
        if part[:1] == _FOR_END[1:]:
            body.append(END)
        elif part[:1] == _FOR_ESC[1:]:
            body.append(ESC)
        else:
            return None
        body += part[1:]
    return bytes(body)
