"""The driver's lower half: registers and single jobs of an engine, whatever leads to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from amxfp4.golden.engine import bytes_of_c
from amxfp4.host.errors import EngineError, JobError
from amxfp4.host.identity import FIELDS, OFFSETS, fields_of, identify, mask
from amxfp4.host.link.transport import Transport
from amxfp4.params.protocol import Stream

__all__ = ["COUNTERS", "FLAGS", "Driver", "Packets", "Sent"]

COUNTERS = ("cycles", "busy", "stall_a", "stall_b", "stall_c")
"""The performance counters of a job, in cycles."""
FLAGS = ("acc_inexact", "acc_overflow")
"""Bits of `error` that tell something of results, and do not end a job."""
_ERRORS = [name for register, name in FIELDS if register == "error"]
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

    @property
    def job(self) -> int:
        """Value of the register `job`."""
        return self.keep | self.reuse << 1


@dataclass(frozen=True, slots=True)
class Sent:
    """What went over the streams so far."""

    jobs: int = 0
    bytes: int = 0


class _Feed:
    """What is left to be sent on one stream."""

    def __init__(self, stream: Stream, packets: Sequence[bytes]) -> None:
        self._stream, self._packets = stream, [p for p in packets if p]
        self._at = 0

    def push(self, transport: Transport) -> bool:
        """Send until the stream takes no more; return whether anything moved."""
        moved = False
        while self._packets:
            packet = self._packets[0]
            part = packet[self._at : self._at + _CHUNK]
            end = self._at + len(part) == len(packet)
            taken = transport.send(self._stream, part, last=end)
            if not taken:
                break
            moved = True
            self._at += taken
            if self._at == len(packet):
                del self._packets[0]
                self._at = 0
        return moved


class Driver:
    """An engine: its registers, and jobs one at a time.

    Parameters
    ----------
    transport
        Leads to it; closed with the engine.

    Members
    -------
    identity : what it is: configuration, limits, digest
    config : the configuration, `identity.config`
    flags : names of the accumulator's flags that the last product raised, out of `FLAGS`
    sent : jobs that ended well since the beginning, and the bytes of their packets

    Raises
    ------
    HostError
        Nothing answers, or it is no engine.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.identity = identify(transport)
        # Whatever another program left in flight, here or between.
        transport.reset()
        self.config = self.identity.config
        self.flags: tuple[str, ...] = ()
        self.sent = Sent()
        self._dirty = False  # whether a job was left halfway, and what it sent may still wait
        self.recover()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        return fields_of("status", raw[0]), tuple(n for n in _ERRORS if errors[n])

    def counters(self) -> dict[str, int]:
        """Read the five counters of the last job, by the names of `COUNTERS`; in cycles."""
        raw = self.transport.read_registers(OFFSETS["cycles_low"], 2 * len(COUNTERS))
        return {name: raw[2 * i] | raw[2 * i + 1] << 32 for i, name in enumerate(COUNTERS)}

    def recover(self, *, hard: bool = False) -> None:
        """Make the engine idle and forget all errors, and a kept B.

        Parameters
        ----------
        hard
            Reset everything between here and there as well; else A's and B's packets must have come
            to their ends, and C's been taken.

        Raises
        ------
        EngineError
            It is not idle afterwards.
        """
        if hard:
            self._dirty = True
            self.transport.reset()
        self.pulse("soft_reset")
        self.write("error", mask("error", *_ERRORS))
        self.write("interrupt_status", mask("interrupt_status", "done", "error", "flags"))
        status, errors = self.state()
        if not status["idle"] or errors:
            raise EngineError(
                f"the engine must be idle and without errors after a reset, not {status} with "
                f"errors {list(errors)}: it does not work; check the clock and the timing report"
            )
        self._dirty &= not hard

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
        self._begin(packets)
        self._dirty = False

    def _begin(self, packets: Packets) -> None:
        """Start a job; until somebody says that all went well, the next one begins with a reset."""
        if self._dirty:
            self.recover(hard=True)
        self._dirty = True
        # `control` is the register behind `job`, so that one request does it all.
        values = [packets.m, packets.n, packets.k, packets.job, mask("control", "start")]
        self.transport.write_registers(OFFSETS["m"], values)
        deadline = time.monotonic() + self.transport.patience
        while True:
            status, errors = self.state()
            hard = tuple(name for name in errors if name not in FLAGS)
            if hard:
                where = f"M = {packets.m}, N = {packets.n}, K = {packets.k} was refused"
                # An overrun: bytes of the other job may wait on the way, and would open the next.
                self.recover(hard=True)
                raise JobError(hard, where)
            if status["busy"]:
                return
            if time.monotonic() > deadline:
                self.recover(hard=True)
                raise EngineError("the engine must begin a job after a start, and does not")

    def run(self, packets: Packets) -> bytes:
        """Run a job; return C's packet.

        Raises
        ------
        JobError
            The job failed; the engine is ready for the next.
        EngineError
            The engine does not do as its document says, or nothing moves.
        """
        self._begin(packets)
        feeds = [_Feed(Stream.A, [packets.a]), _Feed(Stream.B, packets.b)]
        size = bytes_of_c(self.config, packets.m, packets.n)
        c, last = bytearray(), False
        deadline = time.monotonic() + self.transport.patience
        while not last:
            moved = False
            for feed in feeds:
                moved |= feed.push(self.transport)
            data = b"-"
            while data and not last:
                data, last = self.transport.receive(max(1, size - len(c)))
                c += data
                moved |= bool(data)
            if len(c) > size:
                break
            if moved:
                deadline = time.monotonic() + self.transport.patience
            else:
                self._stands(packets, len(c), size, time.monotonic() > deadline)
        return self._finish(packets, bytes(c), size)

    def _finish(self, packets: Packets, c: bytes, size: int) -> bytes:
        """Judge a job that has sent its packet."""
        where = f"job of M = {packets.m}, N = {packets.n}, K = {packets.k}"
        status, errors = self.state()
        hard = tuple(name for name in errors if name not in FLAGS)
        if status["failed"] or hard:
            # What is left of A and B was never sent, and must not open the next job.
            self.recover(hard=True)
            raise JobError(hard, f"{where} failed")
        if len(c) != size or not status["done"]:
            self.recover(hard=True)
            raise EngineError(
                f"{where} must return {size} bytes and be done, not {len(c)} with status {status}"
            )
        self.flags += tuple(n for n in errors if n in FLAGS and n not in self.flags)
        if errors:
            self.write("error", mask("error", *errors))
        moved = len(packets.a) + sum(map(len, packets.b)) + len(c)
        self.sent = Sent(self.sent.jobs + 1, self.sent.bytes + moved)
        self._dirty = False
        return c

    def _stands(self, packets: Packets, got: int, size: int, late: bool) -> None:
        """Look why nothing moves; give up if the job never began, or when it is `late`."""
        status, errors = self.state()
        where = f"job of M = {packets.m}, N = {packets.n}, K = {packets.k}"
        if status["idle"] and not status["done"]:
            self.recover(hard=True)
            raise JobError(tuple(n for n in errors if n not in FLAGS), f"{where} was refused")
        if late:
            counters = self.counters()
            self.abort()
            raise EngineError(
                f"no byte moved for {self.transport.patience:g} s in a {where}, {got} of {size} "
                f"bytes of C received; status {status}, errors {list(errors)}, counters "
                f"{counters}: aborted"
            )
