"""What the checks at the pins share: a configuration, and a client of the bridge."""

from __future__ import annotations

import struct

import numpy as np

from amxfp4 import golden
from amxfp4.golden.engine import operand_a, operand_b, product
from amxfp4.params.registers import OFFSETS
from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import frame, parse

__all__ = [
    "HELLO", "READ", "RECEIVE", "RESET", "SEND", "TINY", "WRITE", "Talk", "operands",
    "streamed",
]  # fmt: skip

TINY = EngineUartConfig(
    rows=1, cols=2, lanes=1, block=16, depth_a=2, depth_b=2, bytes_a=4, bytes_b=4, bytes_c=8,
    format_a="mxfp4", format_b="mxfp4", payload=64, clock=1_000_000, baud=250_000,
)  # fmt: skip
"""Compiled in seconds; four cycles a bit, a million a second. Beats of C hold two words, so that
some are partial."""

HELLO, READ, WRITE, SEND, RECEIVE, RESET = range(6)
"""The operations of docs/units/bridge.md, copied by hand."""


class Talk:
    """Sends requests to a unit, one after another, and parses answers strictly."""

    def __init__(self, dut: LineDut) -> None:
        self.dut, self.sequence = dut, 0x55
        # Neither the last answer nor the registers of an earlier check may matter.
        dut.reset()

    def raw(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Send bytes, and parse what comes until both wires are idle for more than a timeout."""
        return parse(self.dut.run(data, quiet=6_000))

    def ask(self, operation: int, payload: bytes = b"") -> tuple[int, bytes]:
        """Send a request with the next sequence number; return status and what follows it."""
        self.sequence = (self.sequence + 1) % 256
        answers = parse(self.dut.ask(frame(self.sequence, operation, payload)))
        assert len(answers) == 1, f"{len(answers)} answers to operation {operation}"
        sequence, answered, rest = answers[0]
        assert (sequence, answered) == (self.sequence, operation | 0x80)
        return rest[0], rest[1:]

    def good(self, operation: int, payload: bytes = b"") -> bytes:
        """Send a request that must succeed."""
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
        """Bytes of as many whole beats as go into one request; few, to save time on the line."""
        size = self.beat(stream)
        return min(max(60, size), self.dut.config.payload - 2) // size * size

    def packet(self, stream: int, data: bytes) -> None:
        """Send a packet to its end."""
        most = self.part(stream)
        while data:
            part, rest = data[:most], data[most:]
            taken = self.send(stream, part, not rest)
            assert taken, "the stream takes nothing"
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
    a, raw_a = operand_a(config, rng.integers(-6, 7, (m, k)).astype(np.float32))
    b = operand_b(config, rng.integers(-6, 7, (k, n)).astype(np.float32))
    return raw_a, golden.pack(b).tobytes(), product(config, a, b)[0]
