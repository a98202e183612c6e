"""A check at the pins: random requests, of which the model knows the answers."""

from __future__ import annotations

import struct

import numpy as np

from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import ModelBridge, frame
from amxfp4.verif.sim.line.talk import (
    READ,
    RECEIVE,
    SEND,
    WRITE,
    Talk,
)

__all__ = ["random_requests"]


def random_requests(dut: LineDut, rng: np.random.Generator) -> None:
    """Hundreds of requests, right, wrong, damaged and repeated: the model answers the same."""
    Talk(dut)
    config = dut.config
    model = ModelBridge(config, payload=config.payload, clock=config.clock)
    sequence = 0
    for number in range(250):
        request, is_damaged = _any_request(config, rng, sequence)
        if not is_damaged:
            sequence = (sequence + int(rng.integers(5) > 0)) % 256
        wanted = model.feed(request)
        # What comes late or too much is in front of the next answer.
        got = dut.ask(request) if wanted else dut.run(request, quiet=6_000)
        assert got == wanted, f"request {number}, {request.hex()}: {got.hex()}, not {wanted.hex()}"


def _any_request(
    config: EngineUartConfig, rng: np.random.Generator, sequence: int
) -> tuple[bytes, bool]:
    """Draw a request; one in three is damaged on its way."""
    operation = int(rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 4, 5, int(rng.integers(128))]))
    size = int(rng.integers(0, 30))
    payload = bytes(rng.integers(0, 256, size, "u1"))
    if rng.random() < 0.8:
        payload = _sound(config, rng, operation)
    raw = frame(sequence, operation, payload)
    kind = int(rng.integers(3 * 6))
    # Never the last byte: a frame without its END only waits for the next END.
    at = int(rng.integers(len(raw) - 1))
    junk = bytes(rng.integers(0, 256, int(rng.integers(1, 40)), "u1"))
    damage = {
        0: raw[:at] + bytes([raw[at] ^ 1 << int(rng.integers(8))]) + raw[at + 1 :],
        # Nor the first one: to a bridge that was busy until then, it is what begins the frame.
        1: raw[: max(at, 1)] + raw[max(at, 1) + 1 :],
        2: raw[:at] + raw[at : at + 1] + raw[at:],
        3: raw[:at],
        # Garbage in front ends with the frame's own END, garbage behind with another.
        4: junk.replace(b"\xc0", b"") + raw,
        5: frame(sequence, operation | 0x80, payload),
    }
    return damage.get(kind, raw), kind in damage


def _sound(config: EngineUartConfig, rng: np.random.Generator, operation: int) -> bytes:
    """Draw a payload that the operation can have, or nearly."""
    if operation == READ:
        # Registers that do not change, whatever the streams do.
        first = int(rng.choice([0, 0x10, 0x2C, 0x40, 0x44, 0x30, 0x5C]))
        return struct.pack("<HB", first, int(rng.integers(0, 5)))
    if operation == WRITE:
        count = int(rng.integers(1, 4))
        values = [int(n) for n in rng.integers(0, 1 << 32, count)]
        return struct.pack(f"<H{count}I", int(rng.choice([0x40, 0x44, 0x48, 0x3C, 0])), *values)
    if operation == SEND:
        count = 4 * int(rng.integers(1, 6)) + int(rng.choice([0, 0, 0, 1]))
        return bytes([int(rng.integers(2)), int(rng.integers(2))]) + bytes(
            rng.integers(0, 256, count, "u1")
        )
    if operation == RECEIVE:
        return struct.pack("<H", int(rng.choice([0, 3, 4, 5, 62, 0xFFFF])))
    return b""
