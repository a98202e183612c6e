"""Registers and single jobs of an engine, over any transport."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from amxfp4.golden.engine import bytes_of_c
from amxfp4.host.errors import EngineError, JobError
from amxfp4.host.identity import identify
from amxfp4.host.link.transport import Transport
from amxfp4.params.protocol import Stream
from amxfp4.params.registers import OFFSETS, fields_of, mask

__all__ = ["COUNTERS", "FLAGS", "Driver", "Packets", "Sent"]

COUNTERS = ("cycles", "busy", "stall_a", "stall_b", "stall_c")
"""The performance counters of a job, in cycles."""
FLAGS = ("acc_inexact", "acc_overflow")
"""Bits of `error` that concern results and do not end a job."""
_CHUNK = 8192
_STATE = ("status", "interrupt_status", "interrupt_enable", "error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Packets:
    """A job: its registers, and what is sent for it."""

    m: int
    n: int
    k: int
    a: bytes
    b: Sequence[bytes]
    """One packet for each pass."""
    keep: bool = False
    reuse: bool = False

    def __str__(self) -> str:
        return f"M = {self.m}, N = {self.n}, K = {self.k}"


@dataclass(frozen=True, slots=True)
class Sent:
    """What went over the streams so far."""

    jobs: int = 0
    bytes: int = 0


class _Feed:
    """What is left to be sent on one stream."""

    def __init__(self, stream: Stream, packets: Sequence[bytes]) -> None:
        self._stream, self._packets = stream, [memoryview(p) for p in packets if p]

    def push(self, transport: Transport) -> bool:
        """Send until the stream takes no more; return whether anything moved."""
        moved = False
        while self._packets:
            packet = self._packets[0]
            part = packet[:_CHUNK]
            last = len(part) == len(packet)
            taken = transport.send(self._stream, bytes(part), last=last)
            if not taken:
                break
            moved = True
            self._packets[0] = packet[taken:]
            if taken == len(packet):
                del self._packets[0]
        return moved


class Driver:
    """An engine: its registers, and jobs one at a time.

    Parameters
    ----------
    transport
        Leads to it; closed with the engine, and if there is none.

    Members
    -------
    identity : what it is: configuration, limits, digest
    config : the configuration, `identity.config`
    flags : names of the accumulator's flags that the last product raised, out of `FLAGS`
    sent : jobs that ended well so far, and the bytes of their packets

    Raises
    ------
    HostError
        Nothing answers, or it is not an engine.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.flags: tuple[str, ...] = ()
        self.sent = Sent()
        self._dirty = False  # a job was left halfway; bytes of it may still wait somewhere
        try:
            self.identity = identify(transport)
            self.config = self.identity.config
            # Another program may have left a job in flight.
            self.recover(hard=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the transport."""
        self.transport.close()

    def read(self, register: str) -> int:
        """Read a register by name."""
        return self.transport.read_registers(OFFSETS[register], 1)[0]

    def write(self, register: str, value: int) -> None:
        """Write a register by name."""
        self.transport.write_registers(OFFSETS[register], [value])

    def pulse(self, *names: str) -> None:
        """Write 1 to bits of the register `control`."""
        self.write("control", mask("control", *names))

    def state(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Read `status`, by field, and the names of the bits set in `error`."""
        raw = self.transport.read_registers(OFFSETS["status"], len(_STATE))
        errors = fields_of("error", raw[3])
        return fields_of("status", raw[0]), tuple(name for name, up in errors.items() if up)

    def counters(self) -> dict[str, int]:
        """Read the five counters of the last job, by the names of `COUNTERS`; in cycles."""
        raw = self.transport.read_registers(OFFSETS["cycles_low"], 2 * len(COUNTERS))
        return {name: raw[2 * i] | raw[2 * i + 1] << 32 for i, name in enumerate(COUNTERS)}

    def recover(self, *, hard: bool = False) -> None:
        """Make the engine idle and clear all errors, and a kept B.

        Parameters
        ----------
        hard
            Also reset everything between here and there. Without it A's and B's packets must have
            been sent whole, and C's been taken.

        Raises
        ------
        EngineError
            It is not idle afterwards.
        """
        if hard:
            self._dirty = True
            self.transport.reset()
        self.pulse("soft_reset")
        for register in ("error", "interrupt_status"):
            self.write(register, mask(register, *fields_of(register, 0)))
        status, errors = self.state()
        if not status["idle"] or errors:
            raise EngineError(
                f"the engine must be idle and without errors after a reset, not {status} with "
                f"errors {list(errors)}: it does not work; check the clock and the timing report"
            )
        self._dirty &= not hard

    @contextmanager
    def _recovering(self) -> Iterator[None]:
        """Be ready for the next job after one that failed."""
        try:
            yield
        except (EngineError, JobError):
            # Bytes of the job may wait in a transport, and must not open the next one.
            self.recover(hard=True)
            raise

    def abort(self) -> None:
        """Make a job in flight fail, and recover."""
        self.pulse("abort")
        self.recover(hard=True)

    def start(self, packets: Packets) -> None:
        """Start a job, without sending anything for it.

        Raises
        ------
        JobError
            The engine refused.
        """
        with self._recovering():
            self._begin(packets)
        self._dirty = False

    def run(self, packets: Packets) -> bytes:
        """Run a job; return C's packet.

        Raises
        ------
        JobError
            The job failed; the engine is ready for the next one.
        EngineError
            The engine does not work as documented, or does not move a byte.
        """
        with self._recovering():
            self._begin(packets)
            c = self._stream(packets)
            self._check(packets, c)
        moved = len(packets.a) + sum(map(len, packets.b)) + len(c)
        self.sent = Sent(self.sent.jobs + 1, self.sent.bytes + moved)
        self._dirty = False
        return c

    def _begin(self, packets: Packets) -> None:
        """Start a job; until it has ended well, the next one begins with a reset."""
        if self._dirty:
            self.recover(hard=True)
        self._dirty = True
        # `control` comes after `job`, so that one request writes them all.
        job = packets.keep | packets.reuse << 1
        values = [packets.m, packets.n, packets.k, job, mask("control", "start")]
        self.transport.write_registers(OFFSETS["m"], values)
        deadline = time.monotonic() + self.transport.timeout
        while True:
            status, errors = self.state()
            if hard := _ending(errors):
                raise JobError(hard, f"{packets} was refused")
            if status["busy"]:
                return
            if time.monotonic() > deadline:
                raise EngineError("the engine must begin a job after a start, and does not")

    def _stream(self, packets: Packets) -> bytes:
        """Send A and B, and return C, or an error's too short or too long packet of C."""
        feeds = [_Feed(Stream.A, [packets.a]), _Feed(Stream.B, packets.b)]
        size = bytes_of_c(self.config, packets.m, packets.n)
        c, last = bytearray(), False
        deadline = time.monotonic() + self.transport.timeout
        while not last and len(c) <= size:
            moved = False
            for feed in feeds:
                moved |= feed.push(self.transport)
            data = b"-"
            while data and not last:
                data, last = self.transport.receive(max(1, size - len(c)))
                c += data
                moved |= bool(data)
            if moved:
                deadline = time.monotonic() + self.transport.timeout
                continue
            status, errors = self.state()
            if status["idle"] and not status["done"]:
                raise JobError(_ending(errors), f"job of {packets} was refused")
            if time.monotonic() > deadline:
                counters = self.counters()
                self.pulse("abort")
                raise EngineError(
                    f"no byte moved for {self.transport.timeout:g} s in a job of {packets}, "
                    f"{len(c)} of {size} bytes of C received; status {status}, errors "
                    f"{list(errors)}, counters {counters}: aborted"
                )
        return bytes(c)

    def _check(self, packets: Packets, c: bytes) -> None:
        """Check that a job that has sent C ended well, and note its flags."""
        status, errors = self.state()
        hard = _ending(errors)
        if status["failed"] or hard:
            raise JobError(hard, f"job of {packets} failed")
        size = bytes_of_c(self.config, packets.m, packets.n)
        if len(c) != size or not status["done"]:
            raise EngineError(
                f"job of {packets} must return {size} bytes and be done, not {len(c)} with status "
                f"{status}"
            )
        self.flags += tuple(name for name in errors if name not in self.flags)
        if errors:
            self.write("error", mask("error", *errors))


def _ending(errors: Sequence[str]) -> tuple[str, ...]:
    """Errors that end a job."""
    return tuple(name for name in errors if name not in FLAGS)
