"""The driver: products on an engine, whatever leads to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.gen.bridge_protocol import Stream
from amxfp4.golden import Blocks
from amxfp4.host.errors import EngineError, JobError
from amxfp4.host.identity import FIELDS, OFFSETS, fields_of, identify, mask
from amxfp4.host.packets import Matrix, Piece, assemble, bytes_of_c, operand_a, operand_b, pieces
from amxfp4.host.transport import Transport

__all__ = ["COUNTERS", "FLAGS", "Engine", "Packets", "Sent"]

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


class Engine:
    """An engine that multiplies matrices: C[M, N] = A[M, K] B[K, N].

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

    Examples
    --------
    ::

        with open_engine("/dev/ttyUSB0") as e:
            c = e.matmul(a, b)
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.identity = identify(transport)
        # Whatever another program left in flight, here or between.
        transport.reset()
        self.config = self.identity.config
        self.flags: tuple[str, ...] = ()
        self.sent = Sent()
        self._kept: tuple[Blocks, bytes] | None = None
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
            self.transport.reset()
        self.pulse("soft_reset")
        self.write("error", mask("error", *_ERRORS))
        self.write("interrupt_status", mask("interrupt_status", "done", "error", "flags"))
        self._kept = None
        status, errors = self.state()
        if not status["idle"] or errors:
            raise EngineError(
                f"the engine must be idle and without errors after a reset, not {status} with "
                f"errors {list(errors)}: it does not work; check the clock and the timing report"
            )

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
        # `control` is the register behind `job`, so that one request does it all.
        values = [packets.m, packets.n, packets.k, packets.job, mask("control", "start")]
        self.transport.write_registers(OFFSETS["m"], values)
        deadline = time.monotonic() + self.transport.patience
        while True:
            status, errors = self.state()
            hard = tuple(name for name in errors if name not in FLAGS)
            if hard:
                where = f"M = {packets.m}, N = {packets.n}, K = {packets.k} was refused"
                self.recover()
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
        self.start(packets)
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
        if status["failed"]:
            # What is left of A and B was never sent, and must not open the next job.
            self.recover(hard=True)
            raise JobError(tuple(n for n in errors if n not in FLAGS), f"{where} failed")
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

    def matmul(self, a: Any, b: Any = None, *, keep_b: bool | None = None) -> Matrix:
        """Multiply, in as many jobs as it takes.

        Parameters
        ----------
        a
            A [M, K]: float32, float16 or bfloat16, rounded to the engine's words; uint16 or uint32,
            the words themselves; for an engine that takes records also `Blocks` along axis 1.
        b
            B [K, N]: float32, float16 or bfloat16, which golden quantizes, or `Blocks` along axis
            0. ``None`` for the B of the product before, which must have kept it.
        keep_b
            Whether B stays in the engine, for further row tiles and for the next product. By
            default as soon as it fits and serves more than one row tile.

        Returns
        -------
        float32 [M, N], or with an engine that requantizes `Blocks` along axis 1.

        Raises
        ------
        TypeError, ValueError
            An operand is not what it must be, K is too large, or a B to keep does not fit.
        HostError
            The board does not do as it must.
        """
        config, identity = self.config, self.identity
        qa, raw_a = operand_a(config, a)
        (m, k) = qa.shape
        if k > identity.max_k:
            raise ValueError(
                f"K must be at most {identity.max_k} for this engine (max_k), not {k}: cut it, and "
                "add the products"
            )
        kept = self._kept if b is None else None
        if b is None and kept is None:
            raise ValueError("b must be given: no B of a single job was kept by the product before")
        if kept is None:
            quantized = operand_b(config, b)
            raw_b = golden.pack(quantized).tobytes()
        else:
            quantized, raw_b = kept
        if quantized.shape[0] != k:
            raise ValueError(f"B must be [{k}, N] for A of {[m, k]}, not {list(quantized.shape)}")
        n = quantized.shape[1]
        row, column = len(raw_a) // m, len(raw_b) // n
        self.flags, self._kept = (), None
        result = _Result(m, n)
        for columns in pieces(identity, self.transport.limits, m, n, row, column):
            keep = self._keeps(columns, k, keep_b)
            part_b = raw_b[columns[0].left * column :][: columns[0].n * column]
            for number, piece in enumerate(columns):
                reuse = kept is not None or (keep and number > 0)
                passes = 0 if reuse else 1 if keep else -(-piece.m // config.rows)
                packets = Packets(
                    m=piece.m, n=piece.n, k=k, a=raw_a[piece.top * row :][: piece.m * row],
                    b=[part_b] * passes, keep=keep, reuse=reuse,
                )  # fmt: skip
                result.put(piece, assemble(config, self.run(packets), piece.m, piece.n))
            if keep and columns[0].n == n:
                self._kept = quantized, raw_b
        return result.whole()

    def _keeps(self, columns: list[Piece], k: int, wanted: bool | None) -> bool:
        config = self.config
        n, room = columns[0].n, 2 * config.depth_b
        size = -(-n // config.cols) * -(-k // config.block)
        if wanted and size > room:
            raise ValueError(
                f"keep_b must be False for N = {n} and K = {k}: B takes {size} blocks of a column, "
                f"and the engine keeps {room}"
            )
        rows = sum(piece.m for piece in columns)
        return size <= room and rows > config.rows if wanted is None else wanted


class _Result:
    """C, put together from pieces."""

    def __init__(self, m: int, n: int) -> None:
        self._shape = (m, n)
        self._parts: list[tuple[Piece, Matrix]] = []

    def put(self, piece: Piece, part: Matrix) -> None:
        self._parts.append((piece, part))

    def whole(self) -> Matrix:
        if len(self._parts) == 1:
            return self._parts[0][1]
        blocks = [part for _, part in self._parts if isinstance(part, Blocks)]
        if not blocks:
            c = np.empty(self._shape, np.float32)
            for piece, part in self._parts:
                assert not isinstance(part, Blocks)
                c[piece.top : piece.top + piece.m, piece.left : piece.left + piece.n] = part
            return c
        size, form = blocks[0].block, blocks[0].format
        raw: npt.NDArray[np.uint8] = np.empty(
            (self._shape[0], -(-self._shape[1] // size), golden.pack(blocks[0]).shape[-1]), np.uint8
        )
        for piece, part in self._parts:
            assert isinstance(part, Blocks)
            at = piece.left // size
            records = golden.pack(part)
            raw[piece.top : piece.top + piece.m, at : at + records.shape[1]] = records
        return golden.unpack(raw, form, self._shape, axis=1, block=size)
