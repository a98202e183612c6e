"""What checks at the pins have in common: a unit to check, and a way to talk to it."""

from __future__ import annotations

import struct

import numpy as np

from amxfp4 import golden
from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import frame, parse
from amxfp4.verif.sim.line.model_engine import OFFSETS

__all__ = [
    "HELLO", "READ", "RECEIVE", "RESET", "SEND", "TINY", "WRITE", "Talk", "in_tiles", "operands",
    "streamed",
]  # fmt: skip

TINY = EngineUartConfig(
    rows=1, cols=2, lanes=1, block=16, depth_a=2, depth_b=2, bytes_a=4, bytes_b=4, bytes_c=4,
    format_a="mxfp4", format_b="mxfp4", payload=64, clock=1_000_000, baud=250_000,
)  # fmt: skip
"""Compiled in seconds; with four cycles a bit and a quarter second of 250,000 cycles."""

HELLO, READ, WRITE, SEND, RECEIVE, RESET = range(6)
"""The operations of docs/bridge.md, copied by hand."""


class Talk:
    """Requests to a unit, one after another; answers are parsed strictly."""

    def __init__(self, dut: LineDut) -> None:
        self.dut, self.sequence = dut, 0x55
        # No request of an earlier check is the last one any more, and no register has a value.
        dut.reset()

    def raw(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Send bytes, and parse what comes until all is quiet."""
        return parse(self.dut.run(data))

    def ask(self, operation: int, payload: bytes = b"") -> tuple[int, bytes]:
        """Ask with the next sequence; return status and what follows."""
        self.sequence = (self.sequence + 1) % 256
        answers = parse(self.dut.ask(frame(self.sequence, operation, payload)))
        assert len(answers) == 1, f"{len(answers)} answers to operation {operation}"
        sequence, answered, rest = answers[0]
        assert (sequence, answered) == (self.sequence, operation | 0x80)
        return rest[0], rest[1:]

    def good(self, operation: int, payload: bytes = b"") -> bytes:
        """Ask for what must be done."""
        status, rest = self.ask(operation, payload)
        assert status == 0, f"status {status} of operation {operation} with {payload.hex()}"
        return rest

    def read(self, register: str) -> int:
        """Read a register."""
        return int.from_bytes(self.good(READ, struct.pack("<HB", OFFSETS[register], 1)), "little")

    def write(self, register: str, *values: int) -> None:
        """Write registers."""
        self.good(WRITE, struct.pack(f"<H{len(values)}I", OFFSETS[register], *values))

    def send(self, stream: int, data: bytes, last: int) -> int:
        """Send bytes once; return how many were taken."""
        return int.from_bytes(self.good(SEND, bytes([stream, last]) + data), "little")

    def beat(self, stream: int) -> int:
        """Bytes of a beat of A (0) or B (1)."""
        return self.dut.config.bytes_b if stream else self.dut.config.bytes_a

    def part(self, stream: int) -> int:
        """Bytes of some beats that a request can hold, and that take little time on the line."""
        size = self.beat(stream)
        return min(max(60, size), self.dut.config.payload - 2) // size * size

    def packet(self, stream: int, data: bytes) -> None:
        """Send a packet to its end."""
        most = self.part(stream)
        while data:
            part, rest = data[:most], data[most:]
            taken = self.send(stream, part, not rest)
            assert taken, "a stream stands still"
            data = data[taken:]

    def receive(self, most: int) -> tuple[bytes, bool]:
        """Receive bytes of C."""
        answer = self.good(RECEIVE, struct.pack("<H", most))
        assert answer[0] <= 1
        return answer[1:], bool(answer[0])


def streamed(talk: Talk, raw_a: bytes, passes: list[bytes], most: int) -> list[bytes]:
    """Send A and passes of B as they are taken, and receive at most `most` bytes a time: C."""
    left, got = [raw_a, *passes], []
    a, b = left[:1], left[1:]
    for _ in range(2_000):
        for stream, packets in enumerate((a, b)):
            while packets:
                part = packets[0][: talk.part(stream)]
                taken = talk.send(stream, part, len(part) == len(packets[0]))
                packets[0] = packets[0][taken:]
                if not packets[0]:
                    del packets[0]
                if taken < len(part):
                    break
        data, last = talk.receive(most)
        got.append(data)
        if last:
            return got
    raise AssertionError("C does not end")


def operands(config: EngineUartConfig, rng: np.random.Generator, m: int, n: int, k: int):
    """Make A's packet, B's and C's for a job."""
    x = rng.integers(-6, 7, (m, k)).astype(np.float32)
    a = golden.quantize(x, config.format_a, axis=1, ties=config.ties, block=config.block)
    y = rng.integers(-6, 7, (k, n)).astype(np.float32)
    b = golden.quantize(y, config.format_b, axis=0, block=config.block)
    c = golden.matmul(a, b, config.acc, config.output)
    raw_a = golden.formats.words(x, config.input).tobytes()
    return raw_a, golden.pack(b).tobytes(), c


def in_tiles(config: EngineUartConfig, c: np.ndarray) -> bytes:
    """Bytes of C's packet."""
    if config.row_c is not None:
        q = golden.quantize(c, config.requantize, axis=1, ties=config.ties, block=config.block)
        records = golden.pack(q)
        tiles = (records[i : i + config.rows] for i in range(0, len(c), config.rows))
        return b"".join(np.swapaxes(tile, 0, 1).tobytes() for tile in tiles)
    bits = golden.formats.words(c, config.output)
    return b"".join(
        np.ascontiguousarray(bits[i : i + config.rows, j : j + config.cols]).tobytes()
        for i in range(0, len(c), config.rows) for j in range(0, c.shape[1], config.cols)
    )  # fmt: skip
