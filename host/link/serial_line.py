"""The host's end of the serial bridge: requests, answers, retries (docs/units/bridge.md)."""

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
    PROTOCOL,
    TIMEOUT,
    Operation,
    Status,
    Stream,
)

__all__ = ["SerialLine", "Wire"]

_SMALLEST_PAYLOAD = 64
"""Payload of every bridge, assumed until `hello` is answered."""
_SLOWEST_CLOCK = 1e6
_SILENCE = 0.02
"""Seconds after which a line is idle: longer than a USB converter buffers bytes."""
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
        """Release what is held."""


class SerialLine(Transport):
    """An engine behind the serial bridge.

    Every request carries a sequence number, and its answer the same. If no valid answer comes in
    time, the same request is sent again; the bridge carries it out once.

    Parameters
    ----------
    wire
        Carries the bytes; closed with the line, and if the bridge does not answer.
    baud
        Bit rate, bits a second; timeouts follow from it and the sizes of frames.
    attempts
        How often a request is sent at most, from 1.
    latency
        Seconds that an answer may take besides its time on the line: drivers, USB, schedulers.
    slowness
        Factor on all times that follow from bit rate and clock.
    sequence
        First sequence number, 0 to 255; by default random, so that what is left over from another
        program is not taken for an answer.

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
        names = ("requests", "retries", "unexpected", "bytes_out", "bytes_in")
        self._counts = dict.fromkeys(names, 0)
        try:
            self._hello()
        except BaseException:
            self.close()
            raise

    def _hello(self) -> None:
        """Ask what the bridge is.

        It must be the first request: the bridge carries it out whatever its sequence number is, so
        that no request of ours is taken for a retry of another program's.
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

    def write_registers(self, address: int, values: Sequence[int]) -> None:  # noqa: D102 (inherited)
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
        answer = self._request(Operation.SEND, request, answer=2, cycles=(beats + 1) * TIMEOUT)
        taken: int = struct.unpack("<H", answer)[0]
        if taken > len(part):
            raise EngineError(f"the bridge took {taken} bytes of {len(part)}: it does not work")
        return taken

    def receive(self, most: int) -> tuple[bytes, bool]:  # noqa: D102 (inherited)
        # At least a beat, even if the caller expects the packet to end within one.
        number = min(max(most, self._beat_c), self.payload - 2, 0xFFFF)
        cycles = (number // self._beat_c + 2) * TIMEOUT
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
                f"the engine refused: a register from 0x{first:02X} on cannot be {verb}"
            )
        if status != Status.OK or (answer is not None and len(rest) != answer):
            raise EngineError(
                f"the bridge on {self.name} answered {operation.name.lower()} with status {status} "
                f"and {len(rest)} bytes: it is not the protocol of this program"
            )
        return rest

    def _exchange(self, operation: Operation, payload: bytes, cycles: int) -> tuple[int, bytes]:
        number = self._sequence
        self._sequence = (number + 1) % 256
        request = encode(Frame(number, operation, payload))
        # Every byte may need an escape; twice, to be generous.
        size = len(request) + 2 * (self.payload + OVERHEAD) + 2
        unit = 2 * size * _BITS / self.baud + cycles / (self.clock or 1)
        seconds = self._slowness * unit + self._latency
        counts, received, bad = self._counts, 0, self._decoder.dropped
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
                received += len(data)
                counts["bytes_in"] += len(data)
                for frame in self._decoder.feed(data):
                    own = (frame.sequence, frame.operation) == (number, operation | ANSWER)
                    if own and frame.payload:
                        return frame.payload[0], frame.payload[1:]
                    counts["unexpected"] += 1
                if self._decoder.dropped != dropped:
                    # The answer was damaged: do not wait longer than until the line is idle, which
                    # some lines never are.
                    quiet = time.monotonic() + 4 * _BITS / self.baud + _SILENCE
                    deadline = min(limit, quiet)
            # An answer whose END was lost must not corrupt the next one.
            self._decoder.feed(bytes([END]))
        raise LineError(self._advice(operation, seconds, received, self._decoder.dropped - bad))

    def _advice(self, operation: Operation, seconds: float, received: int, bad: int) -> str:
        what = f"no answer to {operation.name.lower()} from {self.name} at {self.baud} baud"
        tried = f"{what} in {self.attempts} attempts of {seconds:.2f} s"
        if not received:
            return (
                f"{tried}, not a single byte: check that the board has power and holds the design "
                "(led_alive toggles once a second), that this is its port, and that rx and tx are "
                "not exchanged; if led_error flashes as you try, the bit rate is not --baud; if "
                "led_link does, the answers get lost"
            )
        return (
            f"{tried}, though {received} bytes came ({bad} damaged frames): check that --baud is "
            "the unit's, that no other program uses the port, and the cable; led_link flashes with "
            "each answer the board sends, led_error with each frame it could not read"
        )
