"""Checks at the pins: what operations do to registers and to streams (docs/units/bridge.md)."""

from __future__ import annotations

import struct

import numpy as np

from amxfp4.golden.engine import pack_c
from amxfp4.params.registers import OFFSETS, mask
from amxfp4.verif.sim.line.line import LEDS, LineDut
from amxfp4.verif.sim.line.model_bridge import frame
from amxfp4.verif.sim.line.talk import (
    READ,
    RECEIVE,
    RESET,
    SEND,
    WRITE,
    Talk,
    operands,
    streamed,
)

__all__ = ["back_pressure", "malformed", "packets_end", "receive_limits", "registers", "resets"]

ERROR = 1 << LEDS.index("error")
"""The bit in `LineDut.leds`."""


def registers(dut: LineDut, rng: np.random.Generator) -> None:
    """Read and write any number of registers, until one is refused."""
    talk = Talk(dut)
    most = (dut.config.payload - 1) // 4
    for count in range(1, most + 1):
        status, data = talk.ask(READ, struct.pack("<HB", 0, count))
        assert status == (count > 12)
        assert len(data) == 4 * min(count, 12)
        assert data[:4] == b"4XMA"
    for values in ([1, 2, 3, 1], [0xC0DBDCDD, 0xDBDBC0C0, 0, 2]):
        talk.write("m", *values)
        assert talk.good(READ, struct.pack("<HB", OFFSETS["m"], 4)) == struct.pack("<4I", *values)
    # m, n, k, job, control, and status, which cannot be written: those before it are.
    request = struct.pack("<H6I", OFFSETS["m"], 9, 8, 7, 1, 0, 0)
    assert talk.ask(WRITE, request) == (1, b"")
    assert talk.read("m") == 9
    for address in (0x30, 0x42, 0xFFC, 0x1000, 0x1040, 0xFFFC):
        assert talk.ask(READ, struct.pack("<HB", address, 1)) == (1, b"")
        assert talk.ask(WRITE, struct.pack("<HI", address, 77)) == (1, b"")
    assert talk.read("m") == 9


def malformed(dut: LineDut, rng: np.random.Generator) -> None:
    """Answer a payload that does not fit its operation with the status, and do nothing."""
    talk, most = Talk(dut), (dut.config.payload - 1) // 4
    talk.write("m", 5)
    where = struct.pack("<H", OFFSETS["m"])
    requests = [(operation, b"") for operation in (1, 2, 3, 4, 6, 7, 64, 127)]
    requests += [(operation, b"x") for operation in (0, 1, 2, 3, 4, 5, 6)]
    requests += [(READ, where), (READ, where + b"\0"), (READ, where + bytes([most + 1]))]
    requests += [(READ, where + b"\xff"), (READ, where + b"\1\1")]
    requests += [(WRITE, where + bytes(n)) for n in (0, 1, 2, 3, 5, 6, 7)]
    requests += [(SEND, bytes([0, 0])), (SEND, bytes([1, 1]))]
    requests += [(SEND, bytes([stream, 0]) + bytes(n)) for stream in (0, 1) for n in (1, 2, 3, 5)]
    requests += [(SEND, bytes([2, 0]) + bytes(4)), (SEND, bytes([0, 2]) + bytes(4))]
    requests += [(SEND, bytes([255, 1]) + bytes(4)), (SEND, bytes([0, 255]) + bytes(4))]
    requests += [(RECEIVE, struct.pack("<H", n)) for n in range(dut.config.bytes_c)]
    requests += [(RECEIVE, b"\4"), (RECEIVE, b"\4\0\0"), (RESET, b"\0")]
    for operation, payload in requests:
        assert talk.ask(operation, payload) == (2, b""), (operation, payload.hex())
    assert talk.read("m") == 5
    assert talk.read("status") == mask("status", "idle"), "a byte reached a stream"


def back_pressure(dut: LineDut, rng: np.random.Generator) -> None:
    """Send more than fits: whole beats are taken, the rest later; the product is right."""
    config, talk = dut.config, Talk(dut)
    n, k, beat, step = 3, 32, config.bytes_a, talk.part(0)
    # The memories hold two row tiles, and three beats wait.
    m = 3 * config.rows + 2 + 4 * beat // (2 * k)
    raw_a, raw_b, c = operands(config, rng, m, n, k)
    # Before a job: at most two beats in the engine, and one in the bridge.
    taken = 0
    for _ in range(10):
        now = talk.send(0, raw_a[taken : taken + step], 0)
        assert now % beat == 0
        taken += now
        if now < step:
            break
    assert taken in (beat, 2 * beat, 3 * beat)
    assert talk.send(0, raw_a[taken : taken + step], 0) == 0
    talk.write("m", m, n, k, 0, mask("control", "start"))
    partial = False
    while taken < len(raw_a):
        part = raw_a[taken : taken + step]
        now = talk.send(0, part, taken + len(part) == len(raw_a))
        assert now % beat == 0 or taken + now == len(raw_a)
        taken += now
        if now < len(part):
            partial = True
            break
    assert partial, "the memories hold two row tiles of all"
    before = dut.cycles
    assert talk.send(0, raw_a[taken : taken + beat], 0) == 0
    assert dut.cycles - before > 4096, "the timeout is 4096 cycles"
    passes = [raw_b] * -(-m // config.rows)
    got = streamed(talk, raw_a[taken:], passes, 5 * config.bytes_c)
    assert b"".join(got) == pack_c(config, c)
    assert talk.read("status") == mask("status", "idle") | mask("status", "done")
    assert talk.read("error") == 0


def receive_limits(dut: LineDut, rng: np.random.Generator) -> None:
    """Whole beats, not more than asked for, not more than the payload, up to a packet's end."""
    config, talk = dut.config, Talk(dut)
    beat, rows = config.bytes_c, config.rows
    most = (config.payload - 2) // beat * beat
    assert talk.receive(beat) == (b"", False)
    # Two beats, which wait to be taken; of records there is a part of one.
    n = max(2, 2 * beat // (4 * rows)) if config.row_c is None else 2
    sizes = (
        (beat, beat), (beat + 1, 2 * beat - 1), (2 * beat - 1, beat), (2 * beat,), (3 * beat - 1,),
        (config.payload - 2,), (config.payload - 1,), (4 * config.payload,), (0xFFFF,),
    )  # fmt: skip
    for asked in sizes:
        raw_a, raw_b, c = operands(config, rng, rows, n, 3)
        wanted = pack_c(config, c)
        assert len(wanted) == 2 * beat or config.row_c is not None
        talk.write("m", rows, n, 3, 0, mask("control", "start"))
        talk.packet(0, raw_a)
        talk.packet(1, raw_b)
        for size in asked:
            if not wanted:
                break
            data, last = talk.receive(size)
            assert data == wanted[: size // beat * beat], size
            wanted = wanted[len(data) :]
            assert last == (not wanted)
        assert not wanted
        assert talk.receive(0xFFFF) == (b"", False)
    # Of more than a payload holds, a payload is given; the next packet waits for its turn.
    m = 1 if config.row_c is None else 16 * rows
    raw_a, raw_b, c = operands(config, rng, m, 60, 3)
    wanted = pack_c(config, c)
    talk.write("m", m, 60, 3, 0, mask("control", "start"))
    got = streamed(talk, raw_a, [raw_b] * -(-m // rows), 0xFFFF)
    assert b"".join(got) == wanted
    assert all(len(data) % beat == 0 for data in got[:-1])
    assert 8 < max(map(len, got)) <= most


def packets_end(dut: LineDut, rng: np.random.Generator) -> None:
    """TLAST and TKEEP are right: jobs of every length modulo a beat, and errors are named."""
    config, talk = dut.config, Talk(dut)
    full = config.bytes_a // 2
    lengths = {1, 2, 3, 4, 16, 17, full - 1, full, full + 1}
    for k in sorted(k for k in lengths if 1 <= k <= config.largest_k):
        raw_a, raw_b, c = operands(config, rng, 1, 1, k)
        talk.write("m", 1, 1, k, 0, mask("control", "start"))
        talk.packet(1, raw_b)
        talk.packet(0, raw_a)
        assert talk.receive(64) == (pack_c(config, c), True)
        assert talk.read("error") == 0, k
    for name, cut in (("a_early", slice(0, -2)), ("a_late", slice(None))):
        raw_a, raw_b, c = operands(config, rng, 1, 1, 5)
        sent = raw_a[cut] + (b"" if name == "a_early" else b"\1\2")
        talk.write("m", 1, 1, 5, 0, mask("control", "start"))
        talk.packet(1, raw_b)
        talk.packet(0, sent)
        failed = bytes(4 if config.row_c is None else 1)
        assert talk.receive(64) == (failed, True)
        assert talk.read("error") == mask("error", name), name
        assert dut.leds & ERROR
        talk.good(RESET)
        assert talk.read("error") == 0
        assert not dut.leds & ERROR, "the LED is on after a reset"


def resets(dut: LineDut, rng: np.random.Generator) -> None:
    """`reset` drops a job and the beats that wait; `rst` at any moment leaves a unit that works."""
    config, talk = dut.config, Talk(dut)
    raw_a, raw_b, c = operands(config, rng, 2, 3, 20)
    for _ in range(3):
        talk.write("m", 2, 3, 20, 0, mask("control", "start"))
        assert talk.send(0, bytes(40), 0) == 40
        assert talk.send(1, bytes(36), 0)
        assert talk.read("status") & mask("status", "busy")
        talk.good(RESET)
        assert talk.read("status") == mask("status", "idle")
        assert talk.read("m") == 0
        assert talk.receive(config.bytes_c) == (b"", False)
        # Without a job, a beat waits in the bridge.
        for stream in (0, 1):
            assert talk.send(stream, bytes(40), 0) < 40
        talk.good(RESET)
        assert talk.read("status") == mask("status", "idle"), "a beat is left"
    whole = frame(1, WRITE, struct.pack("<H5I", OFFSETS["m"], 2, 3, 20, 0, 1))
    read = frame(2, READ, struct.pack("<HB", 0, 12))
    bits = 10 * config.divisor
    for request in (whole, read):
        for _ in range(8):
            # In the middle of a request, of the work, of the answer.
            dut.run(request, cycles=int(rng.integers(len(request) * bits + 60 * bits)))
            dut.reset(int(rng.integers(1, 4)))
            assert talk.raw(frame(2, READ, struct.pack("<HB", OFFSETS["m"], 1))) == [
                (2, 0x81, bytes(5))
            ]
    talk.write("m", 2, 3, 20, 0, mask("control", "start"))
    talk.packet(0, raw_a)
    talk.packet(1, raw_b)
    talk.packet(1, raw_b)
    assert talk.receive(64) == (pack_c(config, c), True)
