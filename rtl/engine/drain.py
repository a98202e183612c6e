"""From the array's results to the stream C."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.engine import NONE, EngineConfig
from amxfp4.rtl.bus.axi_stream import axis_layout
from amxfp4.rtl.engine.sequencer import tile_layout
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.gearbox import Packer, entry_layout

__all__ = ["BeatPacker", "TileDrain", "chunk_layout", "drain_width"]


def chunk_layout(word_bits: int, words: int) -> data.StructLayout:
    """Neighbours in a row of C: `count` valid words, the others zero.

    `ends_row` marks the last ones of a tile's row, `ends_group` and `ends_job` those of the last
    row of a row tile's last column tile, and of the job.
    """
    return data.StructLayout(
        {
            "words": data.ArrayLayout(word_bits, words),
            "count": range(words + 1),
            "ends_tile": 1,
            "ends_row": 1,
            "ends_job": 1,
        }
    )


class TileDrain(wiring.Component):
    """Gives the valid results of a tile away, row by row, `width` words per cycle.

    The results wait in the array's registers meanwhile, where the next tile's do not disturb them.

    Parameters
    ----------
    config : EngineConfig
    width : int
        Words at a time: `cols`, or fewer if that is a power of two.

    Members
    -------
    i : In(stream of the array's results)
    tile : In(tile_layout(config)), of the results that are waiting
    o : Out(stream of chunk_layout(...))
    inexact, overflow : Out(1), for one cycle: a valid result of the tile had this flag

    Combinational; one chunk per cycle.
    """

    def __init__(self, config: EngineConfig, width: int) -> None:
        self._config, self._width = config, width
        results = config.rows * config.cols
        self._flags = config.flags
        super().__init__(
            {
                "i": In(stream.Signature(results * config.result_bits)),
                "tile": In(tile_layout(config)),
                "o": Out(stream.Signature(chunk_layout(config.word.width, width))),
                "inexact": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, width, bits = self._config, self._width, self._config.word.width
        chunks = -(-config.cols // width)
        row = Signal(range(config.rows))
        chunk = Signal(range(chunks))
        at = [
            Cat(*(self._word(r, c) for c in range(n * width, (n + 1) * width)))
            for r in range(config.rows) for n in range(chunks)
        ]  # fmt: skip
        words = Signal(data.ArrayLayout(bits, width))
        place = Signal(range(len(at)))
        left = Signal.like(self.tile.cols)
        count = Signal(range(width + 1))
        ends_line = Signal()
        ends_tile = Signal()
        moves = Signal()
        m.d.comb += [
            assign_low(place, row * chunks + chunk),
            words.as_value().eq(Array(at)[place]),
            # With several chunks to a row the width is a power of two.
            assign_low(left, self.tile.cols - chunk * width),
            ends_line.eq((left <= width) if chunks > 1 else 1),
            assign_low(count, Mux(ends_line, left, width)),
            ends_tile.eq(ends_line & (row == (self.tile.rows - 1)[: len(row)])),
            self.o.payload.count.eq(count),
            self.o.payload.ends_tile.eq(ends_tile),
            self.o.payload.ends_row.eq(self.tile.ends_row),
            self.o.payload.ends_job.eq(ends_tile & self.tile.ends_job),
            self.o.valid.eq(self.i.valid),
            moves.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(moves & ends_tile),
        ]
        for n in range(width):
            m.d.comb += self.o.payload.words[n].eq(Mux(n < count, words[n], 0))
        with m.If(moves):
            m.d.sync += assign_low(chunk, Mux(ends_line, 0, chunk + 1))
            with m.If(ends_line):
                m.d.sync += assign_low(row, Mux(ends_tile, 0, row + 1))
        if self._flags:
            for name, n in (("inexact", 0), ("overflow", 1)):
                raised = [
                    self._flag(r, c)[n] & (r < self.tile.rows) & (c < self.tile.cols)
                    for r in range(config.rows) for c in range(config.cols)
                ]  # fmt: skip
                m.d.comb += getattr(self, name).eq(moves & ends_tile & Cat(raised).any())
        return m

    def _word(self, r: int, c: int):
        bits = self._config.word.width
        if c >= self._config.cols:
            return Const(0, bits)
        return self.i.payload.word_select(r * self._config.cols + c, bits)

    def _flag(self, r: int, c: int):
        config = self._config
        place = config.rows * config.cols * config.word.width
        return self.i.payload[place:].word_select(r * config.cols + c, self._flags)


class BeatPacker(wiring.Component):
    """Packs units into beats of an AXI4-Stream: full ones, but for a packet's last.

    Parameters
    ----------
    unit : int
        Bytes of a unit.
    entry : int
        Units that enter at a time, at most.
    width : int
        Bytes of a beat, a multiple of `unit`.

    Members
    -------
    i : In(stream of entry_layout(8 * unit, entry))
    o : Out(stream of axis_layout(width))

    Latency: 1 cycle.
    """

    def __init__(self, unit: int, entry: int, width: int) -> None:
        self._unit, self._entry, self._width = unit, entry, width
        super().__init__(
            {
                "i": In(stream.Signature(entry_layout(8 * unit, entry))),
                "o": Out(stream.Signature(axis_layout(width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        window = self._width // self._unit
        m.submodules.packer = packer = Packer(8 * self._unit, self._entry, window)
        wiring.connect(m, wiring.flipped(self.i), packer.i)
        kept = [(packer.level > n).replicate(self._unit) for n in range(window)]
        m.d.comb += [
            self.o.valid.eq((packer.level >= window) | packer.ended),
            self.o.payload.data.as_value().eq(packer.units.as_value()),
            self.o.payload.keep.eq(Cat(kept)),
            self.o.payload.last.eq(
                packer.ended & ((packer.level <= window) if self._entry > 1 else 1)
            ),
            packer.take.eq(self.o.valid & self.o.ready),
        ]
        return m


def drain_width(config: EngineConfig) -> int:
    """Words that leave the array's results per cycle."""
    if config.requantize != NONE:
        return config.cols
    return min(config.cols, config.bytes_c * 8 // config.word.width)
