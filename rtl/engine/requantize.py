# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""Results of several column tiles brought together to blocks, and quantized again."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.params.engine import EngineConfig
from amxfp4.rtl.engine.drain import chunk_layout
from amxfp4.rtl.engine.tiles import TileCount
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.share import Shared
from amxfp4.rtl.quantizer.quantizer import Quantizer

__all__ = ["Requantizer", "RowGatherer"]


class RowGatherer(wiring.Component):
    """Collects block / cols column tiles, and gives their rows away as blocks.

    While the tiles of one group are written into a half of the memory, the rows of the one before
    leave the other half. Where a row ends before its last block does, zeros follow.

    Parameters
    ----------
    config : EngineConfig
        `cols` divides `block`.

    Members
    -------
    i : In(stream of chunk_layout(word bits, cols)), whole rows of tiles
    o : Out(stream of cols words and `ends_block`, `ends_job`)

    Latency: 2 cycles from a group's last row.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        bits = config.word.width
        layout = data.StructLayout(
            {"words": data.ArrayLayout(bits, config.cols), "ends_block": 1, "ends_job": 1}
        )
        super().__init__(
            {
                "i": In(stream.Signature(chunk_layout(bits, config.cols))),
                "o": Out(stream.Signature(layout)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tiles, rows = config.block // config.cols, config.rows
        group = data.StructLayout(
            {"tile": range(tiles), "row": range(rows), "ends_job": 1}
        )  # the last ones of each
        m.submodules.memory = memory = Memory(
            shape=config.word.width * config.cols, depth=2 * rows * tiles, init=[]
        )
        write = memory.write_port()
        read = memory.read_port()
        m.submodules.tile_count = count = TileCount(2)
        groups = [Signal(group, name=f"group_{n}") for n in range(2)]

        def address(half, row, tile):
            return (half * rows + row) * tiles + tile

        # In: tiles one after another, rows of a tile one after another.
        i = self.i.payload
        half_in = Signal()
        row_in = Signal(range(rows))
        tile_in = Signal(range(tiles))
        enters = Signal()
        ends_group = Signal()
        m.d.comb += [
            self.i.ready.eq(count.room),
            enters.eq(self.i.valid & self.i.ready),
            ends_group.eq(i.ends_tile & (i.ends_row | (tile_in == tiles - 1))),
            count.loaded.eq(enters & ends_group),
            write.en.eq(enters),
            assign_low(write.addr, address(half_in, row_in, tile_in)),
            write.data.eq(i.words.as_value()),
        ]
        with m.If(enters):
            m.d.sync += assign_low(row_in, Mux(i.ends_tile, 0, row_in + 1))
        with m.If(enters & i.ends_tile):
            m.d.sync += assign_low(tile_in, Mux(ends_group, 0, tile_in + 1))
        for n in range(2):
            with m.If(enters & ends_group & (half_in == n)):
                m.d.sync += [
                    groups[n].tile.eq(tile_in),
                    groups[n].row.eq(row_in),
                    groups[n].ends_job.eq(i.ends_job),
                    half_in.eq(1 - n),
                ]

        # Out: rows one after another, tiles of a row one after another.
        half_out = Signal()
        row_out = Signal(range(rows))
        tile_out = Signal(range(tiles))
        now = data.View(group, Mux(half_out, groups[1].as_value(), groups[0].as_value()))
        moves = Signal()
        ends_block = Signal()
        ends_half = Signal()
        is_there = Signal()
        m.d.comb += [
            moves.eq((count.count != 0) & (~self.o.valid | self.o.ready)),
            ends_block.eq(tile_out == tiles - 1),
            ends_half.eq(ends_block & (row_out == now.row)),
            count.released.eq(moves & ends_half),
            read.en.eq(moves),
            assign_low(read.addr, address(half_out, row_out, tile_out)),
            self.o.payload.words.as_value().eq(Mux(is_there, read.data, 0)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(moves):
            m.d.sync += [
                self.o.valid.eq(1),
                is_there.eq(tile_out <= now.tile),
                self.o.payload.ends_block.eq(ends_block),
                self.o.payload.ends_job.eq(ends_half & now.ends_job),
                assign_low(tile_out, Mux(ends_block, 0, tile_out + 1)),
            ]
            with m.If(ends_block):
                m.d.sync += assign_low(row_out, Mux(ends_half, 0, row_out + 1))
            with m.If(ends_half):
                m.d.sync += half_out.eq(~half_out)
        return m


class Requantizer(wiring.Component):
    """Rows of tiles in, block records of C out, the job's last one marked.

    Parameters
    ----------
    config : EngineConfig
        With a `requantizer`.

    Members
    -------
    i : In(stream of chunk_layout(word bits, cols)), whole rows of tiles
    o : Out(stream of a record and `last`)

    Raises
    ------
    ValueError
        C leaves as words.
    """

    # What a quantizer may hold; it holds less than 4.
    _MOST_INSIDE = 15

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        if config.row_c is None:
            raise ValueError(f"requantize must be a block format, not {config.requantize!r}")
        layout = data.StructLayout({"record": config.row_c.record_bits, "last": 1})
        super().__init__(
            {
                "i": In(stream.Signature(chunk_layout(config.word.width, config.cols))),
                "o": Out(stream.Signature(layout)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        quantizer = Quantizer(config.requantizer)
        m.submodules.gatherer = gatherer = RowGatherer(config)
        m.submodules.quantizer = Shared(quantizer, "quantizer", config.requantizer)
        wiring.connect(m, wiring.flipped(self.i), gatherer.i)
        rows = gatherer.o
        # The record that leaves when no other is inside, and none will come, is the last.
        in_flight = Signal(bits_for(self._MOST_INSIDE))
        is_over = Signal()
        enters = Signal()
        leaves = Signal()
        m.d.comb += [
            quantizer.i.payload.as_value().eq(rows.payload.words.as_value()),
            quantizer.i.valid.eq(rows.valid),
            rows.ready.eq(quantizer.i.ready),
            enters.eq(rows.valid & rows.ready & rows.payload.ends_block),
            self.o.valid.eq(quantizer.o.valid),
            self.o.payload.record.eq(quantizer.o.payload),
            self.o.payload.last.eq(is_over & (in_flight == 1)),
            quantizer.o.ready.eq(self.o.ready),
            leaves.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += assign_low(in_flight, in_flight + enters - leaves)
        with m.If(enters & rows.payload.ends_job):
            m.d.sync += is_over.eq(1)
        return m
