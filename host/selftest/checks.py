"""Checks of registers and of injected errors: an engine must report each, and recover."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from amxfp4 import golden
from amxfp4.golden.engine import Matrix, bytes_of_c, expected, operand_a, operand_b, unpack_c
from amxfp4.host.comparison import difference
from amxfp4.host.driver import COUNTERS, Packets
from amxfp4.host.engine import Engine
from amxfp4.host.errors import JobError, RefusedError
from amxfp4.host.identity import CONSTANTS
from amxfp4.params.protocol import Stream
from amxfp4.params.registers import OFFSETS, constants, mask

__all__ = ["Failure", "checks"]


class Failure(AssertionError):
    """Something is not as docs/units/engine.md says."""


def _require(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise Failure(f"{what} must be {expected}, not {got}")


def checks(engine: Engine) -> Iterator[tuple[str, Callable[[], None]]]:
    """List the checks of this engine, by name; each leaves it idle and without errors."""
    yield "constant registers", lambda: _constants(engine)
    yield "writable registers", lambda: _writable(engine)
    if engine.transport.reports_refusals:
        yield "refused addresses", lambda: _refused(engine)
    yield "counters", lambda: _counters(engine)
    for name in ("bad_dimension", "no_kept_b"):
        yield f"error {name}", partial(_refused_start, engine, name)
    yield "error overrun and abort", lambda: _overrun_and_abort(engine)
    for name in ("a_early", "a_late", "b_early", "b_late"):
        yield f"error {name}", partial(_wrong_length, engine, name)


def _constants(engine: Engine) -> None:
    raw = engine.transport.read_registers(0, len(CONSTANTS))
    known = constants(engine.config)
    # The digest is not known here, but it must not change.
    digest = int(engine.identity.digest, 16)
    known["digest_low", "value"], known["digest_high", "value"] = digest & 0xFFFFFFFF, digest >> 32
    known["version", "minor"] = engine.identity.version[1]
    for register, value in zip(CONSTANTS, raw, strict=True):
        wanted = sum(known[register.name, f.name] << f.bit for f in register.fields)
        _require(f"register {register.name}", f"0x{wanted:08X}", f"0x{value:08X}")


def _writable(engine: Engine) -> None:
    for pattern in (0xFFFFFFFF, 0xAAAAAAAA, 0x55555555, 0):
        engine.transport.write_registers(OFFSETS["m"], [pattern, ~pattern & 0xFFFFFFFF, pattern])
        wanted = [pattern, ~pattern & 0xFFFFFFFF, pattern]
        _require("m, n and k", wanted, engine.transport.read_registers(OFFSETS["m"], 3))
        for register, bits in (("job", 3), ("interrupt_enable", 7)):
            engine.write(register, pattern)
            _require(register, pattern & bits, engine.read(register))


def _refused(engine: Engine) -> None:
    transport = engine.transport
    tries: dict[str, Callable[[], object]] = {
        "a read of 0x30": lambda: transport.read_registers(0x30, 1),
        "a read of 0x42": lambda: transport.read_registers(0x42, 1),
        "a write of id": lambda: transport.write_registers(0, [1]),
        "a write of status": lambda: transport.write_registers(OFFSETS["status"], [1]),
    }
    for what, attempt in tries.items():
        try:
            attempt()
        except RefusedError:
            continue
        raise Failure(f"{what} must be refused, and was not")
    _constants(engine)


def _sizes(engine: Engine) -> tuple[int, int, int]:
    """M, N and K of a small job: beyond a tile and a block, if the transport can carry that."""
    config, limits = engine.config, engine.transport.limits
    m, n, k = config.rows + 1, config.cols, min(config.block + 1, engine.identity.max_k)
    while True:
        steps = -(-k // config.block)
        row, column = (steps * r.record_bytes for r in config.rows_ab)
        if config.quantizer is not None:
            row = k * config.quantizer.word.width // 8
        # An element more of each operand: packets that are too long are sent as well.
        sizes = (m * row + 4, n * column + 4, bytes_of_c(config, m, n))
        most = (limits.a, limits.b, limits.c)
        a, b, c = (top is not None and size > top for size, top in zip(sizes, most, strict=True))
        if (a or c) and m > 1:
            m -= 1
        elif (b or c) and n > 1:
            n -= 1
        elif (a or b) and k > 2:
            k -= 1
        else:
            return m, n, k


def _job(engine: Engine) -> tuple[Packets, Matrix]:
    """Make a small job, and the C that it must return."""
    config = engine.config
    rng = np.random.default_rng(5)
    m, n, k = _sizes(engine)
    a, raw_a = operand_a(config, rng.integers(-3, 4, (m, k)).astype(np.float32))
    b = operand_b(config, rng.integers(-3, 4, (k, n)).astype(np.float32))
    passes = [golden.pack(b).tobytes()] * -(-m // config.rows)
    return Packets(m=m, n=n, k=k, a=raw_a, b=passes), expected(config, a, b)[0]


def _counters(engine: Engine) -> None:
    config = engine.config
    packets, _ = _job(engine)
    engine.run(packets)
    found = engine.counters()
    tiles = -(-packets.m // config.rows) * -(-packets.n // config.cols)
    steps = -(-packets.k // config.block)
    _require("counter busy", tiles * steps * config.block // config.lanes, found["busy"])
    if found["cycles"] < sum(found[name] for name in COUNTERS[1:]):
        raise Failure(f"counter cycles must be at least the sum of the others, not {found}")
    _require("counters when idle", found, engine.counters())


def _refused_start(engine: Engine, name: str) -> None:
    most = engine.identity
    jobs = {
        "bad_dimension": [(0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, most.max_k + 1, 0),
                          (most.max_m + 1, 1, 1, 0), (1, most.max_n + 1, 1, 0)],
        "no_kept_b": [(1, 1, 1, 1)],
    }  # fmt: skip
    for m, n, k, reuse in jobs[name]:
        packets = Packets(m=m, n=n, k=k, a=b"", b=(), reuse=bool(reuse))
        try:
            engine.start(packets)
        except JobError as error:
            _require(f"error of {packets}", (name,), error.names)
        else:
            engine.recover(hard=True)
            raise Failure(f"a start with {packets} must be refused ({name})")
    _well(engine)


def _overrun_and_abort(engine: Engine) -> None:
    packets, _ = _job(engine)
    engine.start(packets)
    engine.pulse("start")
    status, errors = engine.state()
    _require("errors after a second start", ("overrun",), errors)
    _require("status.busy after a second start", 1, status["busy"])
    engine.pulse("abort")
    _ended(engine, ("overrun", "aborted"))
    engine.recover()
    _well(engine)


def _wrong_length(engine: Engine, name: str) -> None:
    """Send a packet that ends too early or too late: it must be reported, and C must end."""
    packets, _ = _job(engine)
    wrong, right = (Stream.A, Stream.B) if name.startswith("a") else (Stream.B, Stream.A)
    whole = {Stream.A: packets.a, Stream.B: packets.b[0]}
    # An element less or more; the other packet is right.
    size = 1 if wrong is Stream.B else len(packets.a) // (packets.m * packets.k) or 1
    bad = whole[wrong][:-size] if name.endswith("early") else whole[wrong] + bytes(size)
    engine.start(packets)
    for stream, data in ((wrong, bad), (right, whole[right])):
        _send(engine, stream, data)
    _ended(engine, (name,))
    engine.recover()
    _well(engine)


def _send(engine: Engine, stream: Stream, data: bytes) -> None:
    at = idle = 0
    while at < len(data):
        taken = engine.transport.send(stream, data[at:], last=True)
        at += taken
        idle = 0 if taken else idle + 1
        if idle > 100:
            raise Failure(f"stream {stream.name} must take its whole packet, and takes no more")


def _ended(engine: Engine, names: tuple[str, ...]) -> None:
    """Receive C's packet, which every job must end, and check the errors."""
    tries, last = 0, False
    while not last:
        _, last = engine.transport.receive(64)
        tries += 1
        if tries > 1000:
            raise Failure(f"a job that fails with {names} must end C's packet, and does not")
    status, errors = engine.state()
    _require("errors", set(names), set(errors))
    _require("status.failed", 1, status["failed"])
    _require("interrupt_status.error", 1, engine.read("interrupt_status") >> 1 & 1)


def _well(engine: Engine) -> None:
    """Run a job, on which earlier errors must have no effect."""
    _, errors = engine.state()
    _require("errors after recovery", (), errors)
    packets, wanted = _job(engine)
    engine.write("interrupt_status", mask("interrupt_status", "done", "error", "flags"))
    c = engine.run(packets)
    found = difference(engine.config, unpack_c(engine.config, c, packets.m, packets.n), wanted)
    if found:
        raise Failure(f"a job after a recovery, {packets}: {found}")
    _require("interrupt_status.done", 1, engine.read("interrupt_status") & 1)
