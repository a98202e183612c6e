"""The engine's operand memories: tiles of block records, loaded while others are read."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.params.engine import LARGEST_MN
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["TileCount", "TileLoader", "TileMemory", "write_layout"]


def write_layout(ways: int, depth: int, record_bits: int) -> data.StructLayout:
    """Describe a record on its way into a memory: `ways` rows or columns, two halves of `depth`."""
    return data.StructLayout(
        {"way": range(ways), "address": range(2 * depth), "record": record_bits, "enable": 1}
    )


class TileMemory(wiring.Component):
    """Blocks of `ways` rows or columns; one address reads a block of each.

    Parameters
    ----------
    ways, depth, record_bits : int

    Members
    -------
    write : In(write_layout(...))
    address : In, of the blocks to read
    read : In(1)
    records : Out(ways * record_bits), those of the last cycle with `read`

    Latency: 1 cycle, as block RAM has it.
    """

    def __init__(self, ways: int, depth: int, record_bits: int) -> None:
        self._ways, self._depth, self._record_bits = ways, depth, record_bits
        super().__init__(
            {
                "write": In(write_layout(ways, depth, record_bits)),
                "address": In(range(2 * depth)),
                "read": In(1),
                "records": Out(ways * record_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = []
        for n in range(self._ways):
            memory = Memory(shape=self._record_bits, depth=2 * self._depth, init=[])
            m.submodules[f"way_{n}"] = memory
            write = memory.write_port()
            read = memory.read_port()
            m.d.comb += [
                write.addr.eq(self.write.address),
                write.data.eq(self.write.record),
                write.en.eq(self.write.enable & (self.write.way == n)),
                read.addr.eq(self.address),
                read.en.eq(self.read),
            ]
            words.append(read.data)
        m.d.comb += self.records.eq(Cat(words))
        return m


class TileLoader(wiring.Component):
    """Writes a matrix into a tile memory, tile by tile: ways in turn, `blocks` records each.

    Tiles go into the two halves in turn; with `keep` they lie behind each other from address 0. A
    matrix of `total` ways may come several times: once for every `rows` of its partner's `m`.

    Parameters
    ----------
    ways, depth, record_bits : int
    rows : int or None
        Rows of the partner's tiles; ``None`` for a matrix that comes once.

    Members
    -------
    i : In(stream of record_bits)
    write : Out(write_layout(...))
    start : In(1), begin with what stands on the next members in this cycle
    total, blocks, m, keep : In
    room : In(1), there is a half to write to
    active : Out(1), records are wanted
    ends_pass : Out(1), the record that is wanted now is the matrix' last
    loaded : Out(1), for one cycle: the next tile is complete
    """

    def __init__(self, ways: int, depth: int, record_bits: int, rows: int | None = None) -> None:
        self._ways, self._depth, self._rows = ways, depth, rows
        super().__init__(
            {
                "i": In(stream.Signature(record_bits)),
                "write": Out(write_layout(ways, depth, record_bits)),
                "start": In(1),
                "total": In(range(LARGEST_MN + 1)),
                "blocks": In(range(depth + 1)),
                "m": In(range(LARGEST_MN + 1)),
                "keep": In(1),
                "room": In(1),
                "active": Out(1),
                "ends_pass": Out(1),
                "loaded": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job_total = Signal.like(self.total)
        job_blocks = Signal.like(self.blocks)
        job_keep = Signal()
        left = Signal.like(self.total)
        way = Signal(range(self._ways))
        base = Signal(range(2 * self._depth))
        block = Signal(range(self._depth))
        ends_way = Signal()
        ends_tile = Signal()
        ends_job = Signal()
        moves = Signal()
        m.d.comb += [
            moves.eq(self.i.valid & self.i.ready),
            self.i.ready.eq(self.active & self.room),
            ends_way.eq(block == (job_blocks - 1)[: len(block)]),
            self.ends_pass.eq(ends_way & (left == 1)),
            ends_tile.eq(ends_way & ((left == 1) | (way == self._ways - 1))),
            self.loaded.eq(moves & ends_tile),
            self.write.way.eq(way),
            assign_low(self.write.address, base + block),  # a job's tiles fit
            self.write.record.eq(self.i.payload),
            self.write.enable.eq(moves),
        ]
        if self._rows is None:
            m.d.comb += ends_job.eq(self.ends_pass)
        else:
            rows_left = Signal.like(self.m)
            m.d.comb += ends_job.eq(self.ends_pass & (job_keep | (rows_left <= self._rows)))
            with m.If(self.start):
                m.d.sync += rows_left.eq(self.m)
            with m.Elif(moves & self.ends_pass):
                m.d.sync += assign_low(rows_left, rows_left - self._rows)
        with m.If(moves):
            m.d.sync += [
                assign_low(block, Mux(ends_way, 0, block + 1)),
                self.active.eq(~ends_job),
            ]
            with m.If(ends_way):
                m.d.sync += [
                    assign_low(way, Mux(ends_tile, 0, way + 1)),
                    assign_low(left, Mux(self.ends_pass, job_total, left - 1)),
                ]
            with m.If(ends_tile):
                m.d.sync += assign_low(base, Mux(job_keep, base + job_blocks, base ^ self._depth))
        with m.If(self.start):
            m.d.sync += [
                job_total.eq(self.total), left.eq(self.total), job_blocks.eq(self.blocks),
                job_keep.eq(self.keep), block.eq(0), way.eq(0), base.eq(0), self.active.eq(1),
            ]  # fmt: skip
        return m


class TileCount(wiring.Component):
    """How many tiles a memory holds that are complete and not yet done with.

    Parameters
    ----------
    most : int

    Members
    -------
    loaded, released : In(1), one tile more, one less
    count : Out
    room : Out(1), fewer than the two halves are taken
    """

    def __init__(self, most: int) -> None:
        super().__init__(
            {
                "loaded": In(1),
                "released": In(1),
                "count": Out(bits_for(max(most, 2))),
                "room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.room.eq(self.count < 2)
        m.d.sync += assign_low(self.count, self.count + self.loaded - self.released)
        return m
