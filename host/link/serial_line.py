"""The serial bridge from the host's side: requests, answers, and trying again (docs/bridge.md)."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from typing import Protocol

from amxfp4.host.errors import EngineError, LineError, RefusedError
from amxfp4.host.link.frames import Decoder, Frame, encode
from amxfp4.host.link.transport import Transport
from amxfp4.params.protocol import (
    ANSWER,
    END,
    OVERHEAD,
    PATIENCE,
    PROTOCOL,
    Operation,
    Status,
    Stream,
)

__all__ = ["SerialLine", "Wire"]

_SMALLEST_PAYLOAD = 64
"""What every bridge understands: as much as is believed before `hello` was answered."""
_SLOWEST_CLOCK = 1e6
_SILENCE = 0.02
"""Seconds after which a line is quiet: longer than USB converters gather bytes for."""
_BITS = 10
"""Of a byte on the line: start, 8 data bits, stop."""


class Wire(Protocol):
    """Bytes to a board and back."""

    name: str

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, seconds: float) -> bytes:
        """Return what has arrived, as soon as there is something, or nothing after `seconds`."""

    def close(self) -> None:
        """Give back what is held."""


class SerialLine(Transport):
    """An engine behind the serial bridge.

    Every request carries a number; an answer is believed if it carries the same. A request whose
    answer does not come, or comes damaged, is sent again as it was; the bridge carries out a number
    once, however often it hears it.

    Parameters
    ----------
    wire
        Carries the bytes.
    baud
        Bit rate, bits a second; with the sizes of frames it says how long an answer may take.
    attempts
        How often a request is sent at most, from 1.
    latency
        Seconds that an answer may take besides its time on the line: drivers, USB, schedulers.
    slowness
        How much longer than a bit rate and a clock say everything may take.
    sequence
        Number of the first request, 0 to 255; by default random, so that what is left over from
        another program is not taken for an answer.

    Raises
    ------
    LineError
        Nothing answers `hello`.
    EngineError
        What answers speaks another version of the protocol.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        baud: int,
        attempts: int = 10,
        latency: float = 0.25,
        slowness: float = 1.0,
        sequence: int | None = None,
    ) -> None:
        if baud < 1:
            raise ValueError(f"baud must be at least 1, not {baud!r}")
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts!r}")
        self.name, self.baud, self.attempts = wire.name, baud, attempts
        self.payload, self.clock = _SMALLEST_PAYLOAD, _SLOWEST_CLOCK
        self._wire, self._latency, self._slowness = wire, latency, slowness
        self._sequence = os.urandom(1)[0] if sequence is None else sequence % 256
        self._decoder = Decoder()
        self._beats = {Stream.A: 4, Stream.B: 4}
        self._beat_c = 4
        self._counts = dict.fromkeys(("requests", "retries", "foreign", "bytes_out", "bytes_in"), 0)
        self._hello()

    def _hello(self) -> None:
        """Ask who is there.

        Also in another sense the first request: the bridge remembers its number as the last one, so
        that nothing that another program asked for can be taken for a repetition of ours.
        """
        answer = self._request(Operation.HELLO, b"", answer=7)
        protocol, payload, clock = struct.unpack("<BHI", answer)
        if protocol != PROTOCOL:
            raise EngineError(
                f"the bridge on {self.name} speaks version {protocol} of the protocol, this "
                f"program version {PROTOCOL}: use the program that the bridge came with"
            )
        if payload < _SMALLEST_PAYLOAD or clock < 1:
            raise EngineError(
                f"the bridge on {self.name} claims a payload of {payload} bytes and a clock of "
                f"{clock} Hz, which no bridge has: it is not an engine_uart"
            )
        self.payload, self.clock = payload, float(clock)

    def widths(self, a: int, b: int, c: int) -> None:  # noqa: D102 (inherited)
        for name, beat in (("bytes_a", a), ("bytes_b", b), ("bytes_c", c)):
            if beat + 2 > self.payload:
                raise EngineError(
                    f"the bridge's payload must be at least {beat + 2} bytes for {name} = {beat}, "
                    f"not {self.payload}: build the unit with a larger --payload"
                )
        self._beats = {Stream.A: a, Stream.B: b}
        self._beat_c = c

    def read_registers(self, address: int, count: int) -> list[int]:  # noqa: D102 (inherited)
        most = min((self.payload - 1) // 4, 255)
        values: list[int] = []
        while len(values) < count:
            number = min(most, count - len(values))
            at = address + 4 * len(values)
            request = struct.pack("<HB", at, number)
            answer = self._request(Operation.READ, request, answer=4 * number)
            values += struct.unpack(f"<{number}I", answer)
        return values

    def write_registers(self, address: int, values: Sequence[int]) -> None:  # noqa: D102
        most = (self.payload - 2) // 4
        for start in range(0, len(values), most):
            part = values[start : start + most]
            request = struct.pack(f"<H{len(part)}I", address + 4 * start, *part)
            self._request(Operation.WRITE, request, answer=0)

    def send(self, stream: Stream, data: bytes, *, last: bool) -> int:  # noqa: D102 (inherited)
        beat = self._beats[stream]
        room = self.payload - 2
        whole = last and len(data) <= room
        part = data if whole else data[: min(room, len(data)) // beat * beat]
        if not part:
            raise ValueError(f"data must be at least a beat of {beat} bytes, not {len(data)}")
        request = bytes([stream, whole]) + part
        beats = -(-len(part) // beat)
        answer = self._request(Operation.SEND, request, answer=2, cycles=(beats + 1) * PATIENCE)
        taken: int = struct.unpack("<H", answer)[0]
        if taken > len(part):
            raise EngineError(f"the bridge took {taken} bytes of {len(part)}: it is out of order")
        return taken

    def receive(self, most: int) -> tuple[bytes, bool]:  # noqa: D102 (inherited)
        # A beat at least, even if the caller expects the packet to end with fewer bytes.
        number = min(max(most, self._beat_c), self.payload - 2, 0xFFFF)
        cycles = (number // self._beat_c + 2) * PATIENCE
        answer = self._request(
            Operation.RECEIVE, struct.pack("<H", number), answer=None, cycles=cycles
        )
        if not 1 <= len(answer) <= number + 1:
            raise EngineError(f"the bridge returned {len(answer)} bytes for {number} of C")
        return answer[1:], bool(answer[0])

    def reset(self) -> None:  # noqa: D102 (inherited)
        self._request(Operation.RESET, b"", answer=0)

    def statistics(self) -> dict[str, int]:  # noqa: D102 (inherited)
        return self._counts | {"dropped": self._decoder.dropped}

    def close(self) -> None:  # noqa: D102 (inherited)
        self._wire.close()

    def _request(
        self, operation: Operation, payload: bytes, *, answer: int | None, cycles: int = 0
    ) -> bytes:
        """Ask, and return what follows the status of a good answer: `answer` bytes, or any."""
        status, rest = self._exchange(operation, payload, cycles)
        if status == Status.REFUSED:
            verb = "read" if operation == Operation.READ else "written"
            first = struct.unpack_from("<H", payload)[0]
            raise RefusedError(
                f"the engine refused: a register from 0x{first:02X} on is none that can be {verb}"
            )
        if status != Status.OK or (answer is not None and len(rest) != answer):
            raise EngineError(
                f"the bridge on {self.name} answered {operation.name.lower()} with status {status} "
                f"and {len(rest)} bytes: it and this program do not mean the same protocol"
            )
        return rest

    def _exchange(self, operation: Operation, payload: bytes, cycles: int) -> tuple[int, bytes]:
        number = self._sequence
        self._sequence = (number + 1) % 256
        request = encode(Frame(number, operation, payload))
        # Every byte may need an escape; twice, since nobody's clock is exact.
        size = len(request) + 2 * (self.payload + OVERHEAD) + 2
        unit = 2 * size * _BITS / self.baud + cycles / (self.clock or 1)
        seconds = self._slowness * unit + self._latency
        counts, heard, bad = self._counts, 0, self._decoder.dropped
        counts["requests"] += 1
        for attempt in range(self.attempts):
            counts["retries"] += attempt > 0
            counts["bytes_out"] += len(request)
            self._wire.write(request)
            deadline = limit = time.monotonic() + seconds
            dropped = self._decoder.dropped
            while (rest := deadline - time.monotonic()) > 0:
                data = self._wire.read(rest)
                if not data:
                    break
                heard += len(data)
                counts["bytes_in"] += len(data)
                for frame in self._decoder.feed(data):
                    own = (frame.sequence, frame.operation) == (number, operation | ANSWER)
                    if own and frame.payload:
                        return frame.payload[0], frame.payload[1:]
                    counts["foreign"] += 1
                if self._decoder.dropped != dropped:
                    # It came, and was damaged: when the line is quiet there is no more to wait for;
                    # but some lines never are.
                    quiet = time.monotonic() + 4 * _BITS / self.baud + _SILENCE
                    deadline = min(limit, quiet)
            # An answer whose END was lost must not swallow the next one.
            self._decoder.feed(bytes([END]))
        raise LineError(self._advice(operation, seconds, heard, self._decoder.dropped - bad))

    def _advice(self, operation: Operation, seconds: float, heard: int, bad: int) -> str:
        what = f"no answer to {operation.name.lower()} from {self.name} at {self.baud} baud"
        tried = f"{what} in {self.attempts} attempts of {seconds:.2f} s"
        if not heard:
            return (
                f"{tried}, not a single byte: check that the board has power and holds the design "
                "(led_alive toggles once a second), that this is its port, and that rx and tx are "
                "not exchanged; if led_error flashes as you try, the bit rate is not --baud; if "
                "led_link does, the way back is broken"
            )
        return (
            f"{tried}, though {heard} bytes came ({bad} damaged frames): check that --baud is the "
            "unit's, that no other program uses the port, and the cable; led_link flashes with "
            "each answer the board sends, led_error with each frame it could not read"
        )
