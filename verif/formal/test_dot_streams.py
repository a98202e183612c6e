# amaranth: UnusedElaboratable=no
"""Proofs of the handshake of a dot product's parts: beats in order, one result for each sum."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, C, Fragment, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.gen.config import DotConfig
from amxfp4.rtl.dot import BeatSequencer, ProcessingElement
from amxfp4.verif.formal.prove import Verdict, decide, signals


def _contract(m: Module, output) -> None:
    """Claim that what `output` offers stays until it is taken."""
    payload = Value.cast(output.payload)
    waiting, offered = Signal(name="waiting"), Signal(len(payload), name="offered")
    m.d.sync += [waiting.eq(output.valid & ~output.ready), offered.eq(payload)]
    with m.If(waiting):
        m.d.comb += [Assert(output.valid), Assert(payload == offered)]


def _sender(m: Module, source) -> None:
    """Assume that the other side keeps the contract."""
    payload = Value.cast(source.payload)
    withheld, held = Signal(name="withheld"), Signal(len(payload), name="held_back")
    m.d.sync += [withheld.eq(source.valid & ~source.ready), held.eq(payload)]
    with m.If(withheld):
        m.d.comb += [Assume(source.valid), Assume(payload == held)]


class Sequence(wiring.Component):
    """Claims that the beats of a step are its record's elements, in order, with their scales."""

    def __init__(self, config: DotConfig, *, fault: str = "") -> None:
        self.config, self.fault = config, fault
        self.sequencer = BeatSequencer(config)
        width = len(Value.cast(self.sequencer.i.payload))
        super().__init__({"payload": In(width), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        config, unit = self.config, self.sequencer
        a, b = config.rows_ab
        inner = Fragment.get(unit, None)
        m.submodules.sequencer = inner
        m.d.comb += [
            unit.i.payload.eq(self.payload),
            unit.i.valid.eq(self.valid),
            unit.o.ready.eq(self.ready),
        ]
        _sender(m, unit.i)
        _contract(m, unit.o)

        # The record that is being cut, and how many of its beats have left.
        whole, left, busy = Signal(len(self.payload)), Signal(range(config.beats)), Signal()
        last = config.beats - 1
        elements, wide = 4 * config.block, 4 * config.lanes
        starts = (0, a.record_bits)
        with m.If(unit.o.valid & unit.o.ready):
            m.d.sync += left.eq(left + 1)
            with m.If(left == last):
                m.d.sync += [busy.eq(0), left.eq(0)]
        with m.If(unit.i.valid & unit.i.ready):
            m.d.comb += Assert(~busy | (unit.o.valid & unit.o.ready & (left == last)))
            m.d.sync += [whole.eq(self.payload), busy.eq(1)]
        m.d.comb += Assert(unit.o.valid == busy)

        out = unit.o.payload
        with m.If(busy):
            for side, row, start in zip((out.a[0], out.b[0]), (a, b), starts, strict=True):
                codes = whole[start : start + elements].word_select(left, wide)
                scales = whole[start + elements : start + row.record_bits]
                if self.fault == "order" and row is a:
                    codes = whole[start : start + elements].word_select((last - left)[:4], wide)
                m.d.comb += Assert(side.codes.as_value() == codes)
                m.d.comb += Assert(side.scales.as_value() == scales)
            m.d.comb += Assert(out.ends_block == (left == last))
            m.d.comb += Assert(out.ends_sum == ((left == last) & whole[-1]))

        # What holds of the registers inside: the record, moved down by the beats that left.
        by_width = {len(s): s for s in signals(inner, domain="sync")}
        working, beat, step = (by_width[n] for n in (1, len(left), len(self.payload)))
        m.d.comb += [Assert(beat == left), Assert(working == busy), Assert(busy | (left == 0))]
        with m.If(busy):
            m.d.comb += Assert(step[-1] == whole[-1])
            for start, row in zip(starts, (a, b), strict=True):
                ones = C((1 << elements) - 1, elements)
                by = left * wide
                codes = slice(start, start + elements)
                m.d.comb += Assert((step[codes] & (ones >> by)) == whole[codes] >> by)
                scales = slice(start + elements, start + row.record_bits)
                m.d.comb += Assert(step[scales] == whole[scales])
        return m


def _sequence(lanes: int) -> DotConfig:
    return DotConfig(
        format_a="amxfp4", format_b="nvfp4", block=16, lanes=lanes, pipeline="", acc="exact"
    )


@pytest.mark.parametrize("lanes", [2, 4])
def test_beats_are_the_record_in_order(lanes):
    """For ever, under any stalls: every step's beats, whole, in order, `last` with the last."""
    assert decide(Sequence(_sequence(lanes)), depth=3) is Verdict.PROVEN


def test_beats_in_another_order_are_refuted():
    """The claim that A's elements come from the other end has a counterexample."""
    assert decide(Sequence(_sequence(4), fault="order"), depth=6) is Verdict.REFUTED


class Element(wiring.Component):
    """Claims that a processing element gives one result for each sum, and keeps it till taken."""

    def __init__(self, config: DotConfig, *, fault: str = "") -> None:
        self.config, self.fault = config, fault
        self.unit = ProcessingElement(config)
        width = len(Value.cast(self.unit.i.payload))
        super().__init__({"payload": In(width), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        unit = self.unit
        inner = unit.elaborate(None)
        m.d.comb += [
            Value.cast(unit.i.payload).eq(self.payload),
            unit.i.valid.eq(self.valid),
            unit.o.ready.eq(self.ready),
            Assume(~unit.i.payload.ends_sum | unit.i.payload.ends_block),
        ]
        _sender(m, unit.i)
        _contract(m, unit.o)
        begun, done = Signal(4), Signal(4)
        enters = unit.i.valid & unit.i.ready
        if self.fault != "every beat":
            enters &= unit.i.payload.ends_sum
        with m.If(enters):
            m.d.sync += begun.eq(begun + 1)
        with m.If(unit.o.valid & unit.o.ready):
            m.d.sync += done.eq(done + 1)

        cuts = [n for n in ("sums", "terms", "aligned", "rounded") if n in self.config.cuts]
        registers = [inner.submodules[f"register_{name}"] for name in cuts]
        under_way = 0
        for name, register in zip(cuts, registers, strict=True):
            ends = 1 if name == "rounded" else register.o.payload.ends_sum
            under_way = under_way + (register.o.valid & ends)
        fragment = Fragment.get(inner, None)
        (finished,) = signals(fragment, "result__valid")
        m.submodules.unit = fragment
        under_way = under_way + finished
        m.d.comb += Assert((begun - done)[:4] == under_way)
        if self.fault == "never stalls":
            m.d.comb += Assert(unit.i.ready)
        return m


def _element(pipeline: str, acc: str = "fixed") -> DotConfig:
    bits = 2 if acc == "fixed" else None
    return DotConfig(
        format_a="nvfp4", format_b="nvfp4", lanes=1, acc=acc, output="bf16",
        pipeline=pipeline, frac_bits=bits, int_bits=bits,
    )  # fmt: skip


@pytest.mark.parametrize("acc", ["fixed", "exact"])
@pytest.mark.parametrize("pipeline", ["", "aligned", "sums,terms,aligned,rounded"])
def test_one_result_for_each_sum(pipeline, acc):
    """For ever, under any stalls: as many results as sums, each unchanged until it is taken."""
    assert decide(Element(_element(pipeline, acc)), depth=3) is Verdict.PROVEN


@pytest.mark.parametrize("fault", ["every beat", "never stalls"])
def test_wrong_claims_about_an_element_are_refuted(fault):
    """A result for each beat, and an input that never stalls, have counterexamples."""
    assert decide(Element(_element("aligned"), fault=fault), depth=8) is Verdict.REFUTED
