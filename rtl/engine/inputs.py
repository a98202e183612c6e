"""From the engine's input streams to words and block records, every byte accounted for."""

from __future__ import annotations

from math import gcd

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from amxfp4.params.engine import LARGEST_MN, EngineConfig
from amxfp4.rtl.bus.axi_stream import axis_layout
from amxfp4.rtl.lib.arith import assign_low, count_ones
from amxfp4.rtl.lib.gearbox import Unpacker, entry_layout

__all__ = ["BeatGate", "RecordInput", "WordInput", "problems_layout"]


def problems_layout() -> data.StructLayout:
    """List what can be wrong with an input stream, each for one cycle (Errors in the document)."""
    return data.StructLayout({"early": 1, "late": 1, "keep": 1})


class BeatGate(wiring.Component):
    """Beats of an AXI4-Stream as entries of an unpacker, and whether their TKEEP is as it must be.

    Parameters
    ----------
    width : int
        Bytes of a beat.
    unit : int
        Bytes of a unit; divides `width`.

    Members
    -------
    beat : In(axis_layout(width))
    entry : Out(entry_layout(8 * unit, width / unit))
    bad : Out(1), TKEEP is empty, has gaps, or is partial without TLAST

    Combinational.
    """

    def __init__(self, width: int, unit: int) -> None:
        self._width, self._unit = width, unit
        super().__init__(
            {
                "beat": In(axis_layout(width)),
                "entry": Out(entry_layout(8 * unit, width // unit)),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        keep, unit = self.beat.keep, self._unit
        whole = [keep[n : n + unit].all() for n in range(0, self._width, unit)]
        parts = [keep[n : n + unit].any() & ~keep[n : n + unit].all()
                 for n in range(0, self._width, unit)]  # fmt: skip
        gaps = keep[1:] & ~keep[:-1]
        m.d.comb += [
            self.entry.units.as_value().eq(self.beat.data.as_value()),
            self.entry.count.eq(count_ones(whole)),
            self.entry.last.eq(self.beat.last),
            self.entry.cut.eq(Cat(parts).any()),
            self.bad.eq(~keep[0] | gaps.any() | (~self.beat.last & ~keep.all())),
        ]
        return m


class RecordInput(wiring.Component):
    """Takes block records from a stream: whole bytes each, one behind the other.

    Parameters
    ----------
    width : int
        Bytes of a beat.
    record_bits : int

    Members
    -------
    i : In(stream of axis_layout(width))
    o : Out(stream of record_bits)
    enable : In(1), beats and records may move
    is_last : In(1), the record at `o` is a packet's last
    problems : Out(problems_layout())

    Latency: 1 cycle from the beat with a record's last byte.
    """

    def __init__(self, width: int, record_bits: int) -> None:
        self._width, self._record_bits = width, record_bits
        super().__init__(
            {
                "i": In(stream.Signature(axis_layout(width))),
                "o": Out(stream.Signature(record_bits)),
                "enable": In(1),
                "is_last": In(1),
                "problems": Out(problems_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        record_bytes = -(-self._record_bits // 8)
        # Records and beats both begin and end at multiples of this.
        unit = gcd(record_bytes, self._width)
        window = record_bytes // unit
        m.submodules.gate = gate = BeatGate(self._width, unit)
        m.submodules.unpacker = unpacker = Unpacker(
            8 * unit, self._width // unit, window, whole=True
        )
        taken = Signal()
        m.d.comb += [
            gate.beat.eq(self.i.payload),
            unpacker.i.payload.eq(gate.entry),
            unpacker.i.valid.eq(self.i.valid & self.enable),
            self.i.ready.eq(unpacker.i.ready & self.enable),
            self.o.valid.eq((unpacker.level >= window) & self.enable),
            self.o.payload.eq(unpacker.units.as_value()[: self._record_bits]),
            taken.eq(self.o.valid & self.o.ready),
            unpacker.take.eq(taken),
            self.problems.keep.eq(self.i.valid & self.i.ready & gate.bad),
            self.problems.early.eq(
                self.enable
                & unpacker.ended
                & ((unpacker.level < window) | (taken & ~self.is_last & (unpacker.level == window)))
            ),
            self.problems.late.eq(
                taken & self.is_last & (~unpacker.ended | unpacker.cut | (unpacker.level != window))
            ),
        ]
        return m


class WordInput(wiring.Component):
    """Takes the rows of a matrix from a stream of words, and fills up their last blocks.

    A row of K words leaves as ceil(K / block) blocks of block / lanes beats; words beyond K are +0.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of axis_layout(width))
    o : Out(stream of `lanes` words)
    start : In(1), begin with the m rows of k words that stand there in this cycle
    m, k : In
    problems : Out(problems_layout())

    Latency: 1 cycle.

    Raises
    ------
    ValueError
        The engine takes no words.
    """

    def __init__(self, config: EngineConfig) -> None:
        quantizer = config.quantizer
        if quantizer is None:
            raise ValueError(f"input must be a format of words, not {config.input!r}")
        width, word_bits, lanes = config.bytes_a, quantizer.word.width, quantizer.lanes
        self._width, self._word_bits, self._lanes = width, word_bits, lanes
        self._beats = quantizer.beats
        super().__init__(
            {
                "i": In(stream.Signature(axis_layout(width))),
                "o": Out(stream.Signature(data.ArrayLayout(word_bits, lanes))),
                "start": In(1),
                "m": In(range(LARGEST_MN + 1)),
                "k": In(range(config.largest_k + 1)),
                "problems": Out(problems_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, beats, unit = self._lanes, self._beats, self._word_bits // 8
        m.submodules.gate = gate = BeatGate(self._width, unit)
        m.submodules.unpacker = unpacker = Unpacker(
            self._word_bits, self._width // unit, lanes, whole=False
        )

        # A row is so many beats of all lanes, one with the rest, and beats without words that
        # fill its last block.
        row = data.StructLayout(
            {"rest": exact_log2(lanes), "full": len(self.k) - exact_log2(lanes)}
        )
        whole_row = Signal(row)
        left = Signal(row)
        rows_left = Signal.like(self.m)
        beat = Signal(range(beats))
        need = Signal(range(lanes + 1))
        ends_words = Signal()
        is_last_row = Signal()
        active = Signal()
        moves = Signal()
        ends_row = Signal()
        there = Signal()
        is_full = left.full != 0
        m.d.comb += [
            need.eq(Mux(is_full, lanes, left.rest)),
            ends_words.eq(Mux(is_full, (left.full == 1) & (left.rest == 0), 1)),
            is_last_row.eq(rows_left == 1),
            there.eq(unpacker.level >= need),
            self.o.valid.eq(active & there),
            moves.eq(self.o.valid & self.o.ready),
            ends_row.eq(ends_words & (beat == beats - 1)),
            assign_low(unpacker.take, Mux(moves, need, 0)),
        ]
        for n in range(lanes):
            m.d.comb += self.o.payload[n].eq(Mux(n < need, unpacker.units[n], 0))
        with m.If(moves):
            if beats > 1:
                m.d.sync += assign_low(beat, beat + 1)  # a power of two: wraps by itself
            with m.If(ends_row):
                m.d.sync += [left.eq(whole_row), assign_low(rows_left, rows_left - 1)]
                m.d.sync += active.eq(~is_last_row)
            with m.Elif(is_full):
                m.d.sync += assign_low(left.full, left.full - 1)
            with m.Else():
                m.d.sync += left.rest.eq(0)
        with m.If(self.start):
            m.d.sync += [
                rows_left.eq(self.m), left.eq(self.k), whole_row.eq(self.k),
                beat.eq(0), active.eq(1),
            ]  # fmt: skip

        # The last words of all: behind them the packet must be at its end.
        last_words = Signal()
        done = Signal()
        m.d.comb += last_words.eq(moves & is_last_row & ends_words & (need != 0))
        with m.If(last_words):
            m.d.sync += done.eq(1)
        with m.If(self.start):
            m.d.sync += done.eq(0)
        enable = Signal()
        m.d.comb += [
            enable.eq(active & ~done),
            gate.beat.eq(self.i.payload),
            unpacker.i.payload.eq(gate.entry),
            unpacker.i.valid.eq(self.i.valid & enable),
            self.i.ready.eq(unpacker.i.ready & enable),
            self.problems.keep.eq(self.i.valid & self.i.ready & gate.bad),
            self.problems.early.eq(
                enable
                & unpacker.ended
                & (~there | (moves & ~last_words & (need != 0) & (unpacker.level == need)))
            ),
            self.problems.late.eq(
                last_words & (~unpacker.ended | unpacker.cut | (unpacker.level != need))
            ),
        ]
        return m
