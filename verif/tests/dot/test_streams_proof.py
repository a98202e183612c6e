# amaranth: UnusedElaboratable=no
"""Proofs of the handshake of a dot product's parts: beats in order, one result for each sum."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, C, Cat, Fragment, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from amxfp4.params.dot import PIPELINE, DotConfig
from amxfp4.rtl.dot.dot import ProcessingElement
from amxfp4.rtl.dot.sequencer import BeatSequencer
from amxfp4.rtl.dot.terms import ClassSequencer, block_layout
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.verif.check.prove import Verdict, decide, signals


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

        serial = DotWidths(self.config).serial
        cuts = [n for n in PIPELINE if n in self.config.cuts - {"input"}]
        if serial:
            # The sequencer of classes stands for the register.
            cuts = [n for n in cuts if n != "sums"]
        under_way = 0
        for name in cuts:
            register = inner.submodules[f"register_{name}"]
            ends = 1 if name in ("normalised", "rounded") else register.o.payload.ends_sum
            under_way = under_way + (register.o.valid & ends)
        fragment = Fragment.get(inner, None)
        # A finished sum in the accumulator, which begins the next from nothing.
        (finished,), (begins,) = (signals(fragment, name) for name in ("finished__valid", "begins"))
        under_way = under_way + finished
        m.d.comb += Assert(~finished | begins)
        if serial:
            (sequencer,) = (f for f, name, _ in fragment.subfragments if name == "class_sequencer")
            ((busy,), (place,), (block,)) = (
                signals(sequencer, name) for name in ("busy", "place", "held")
            )
            ends_sum = data.View(block_layout(self.config), block).ends_sum
            under_way = under_way + (busy & ends_sum)
            m.d.comb += Assert(busy | (place == 0))
        m.submodules.unit = fragment
        m.d.comb += Assert((begun - done)[:4] == under_way)
        if self.fault == "never stalls":
            m.d.comb += Assert(unit.i.ready)
        return m


def _element(pipeline: str, acc: str = "fixed", format_a: str = "nvfp4") -> DotConfig:
    bits = 2 if acc == "fixed" else None
    return DotConfig(
        format_a=format_a, format_b="nvfp4", block=16, lanes=1, acc=acc, output="bf16",
        pipeline=pipeline, frac_bits=bits, int_bits=bits,
    )  # fmt: skip


def _registers():
    """List where registers may be, in both modes; by day each of them in one."""
    pipelines = ["", "rounded", "aligned", "normalised", "sums,terms,aligned,normalised,rounded"]
    for n, pipeline in enumerate(pipelines):
        for k, acc in enumerate(("fixed", "exact")):
            late = pytest.mark.nightly if (n + k) % 2 else ()
            yield pytest.param(pipeline, acc, marks=late)


@pytest.mark.by_day(2)
@pytest.mark.parametrize(("pipeline", "acc"), list(_registers()))
@pytest.mark.parametrize("format_a", ["nvfp4", "amxfp4-e4m3"], ids=["parallel", "serial"])
def test_one_result_for_each_sum(format_a, pipeline, acc):
    """For ever, under any stalls: as many results as sums, each unchanged until it is taken."""
    config = _element(pipeline, acc, format_a)
    assert config.scaling == ("parallel" if format_a == "nvfp4" else "serial")
    assert decide(Element(config), depth=3) is Verdict.PROVEN


@pytest.mark.parametrize("format_a", ["nvfp4", "amxfp4-e4m3"], ids=["parallel", "serial"])
@pytest.mark.parametrize("fault", ["every beat", "never stalls"])
def test_wrong_claims_about_an_element_are_refuted(fault, format_a):
    """A result for each beat, and an input that never stalls, have counterexamples."""
    config = _element("aligned", format_a=format_a)
    assert decide(Element(config, fault=fault), depth=40) is Verdict.REFUTED


class Classes(wiring.Component):
    """Claims that a block's classes leave in order, each once, with its sum and its scales."""

    def __init__(self, config: DotConfig, *, fault: str = "") -> None:
        self.config, self.fault = config, fault
        width = len(Value.cast(Signal(block_layout(config))))
        super().__init__({"payload": In(width), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        config, widths = self.config, DotWidths(self.config)
        unit = ClassSequencer(config)
        inner = Fragment.get(unit, None)
        m.submodules.unit = inner
        m.d.comb += [
            Value.cast(unit.i.payload).eq(self.payload),
            unit.i.valid.eq(self.valid),
            unit.o.ready.eq(self.ready),
        ]
        _sender(m, unit.i)
        _contract(m, unit.o)
        count = len(widths.classes)
        whole, left, busy = Signal(block_layout(config)), Signal(range(count)), Signal()
        takes, gives = unit.i.valid & unit.i.ready, unit.o.valid & unit.o.ready
        ends = left == count - 1
        with m.If(gives):
            m.d.sync += left.eq(left + 1)
            with m.If(ends):
                m.d.sync += [busy.eq(0), left.eq(0)]
        with m.If(takes):
            m.d.sync += [Value.cast(whole).eq(self.payload), busy.eq(1)]
        # A block is taken with the last class of the one before, not earlier; and no later.
        m.d.comb += [
            Assert(unit.i.ready == (~busy | (unit.o.ready & ends))),
            Assert(unit.o.valid == busy),
        ]
        slot = unit.o.payload
        nan = [
            code[: row.scale.width - row.scale.signed_bit] > row.scale.max_magnitude
            for row, codes in zip(widths.rows, (whole.scales_a, whole.scales_b), strict=True)
            for code in codes
        ]
        with m.If(busy):
            for c, (i, j) in enumerate(widths.classes):
                n = count - 1 - c if self.fault == "order" else c
                with m.If(left == n):
                    m.d.comb += [
                        Assert(slot.sums[0] == whole.sums[c]),
                        Assert(slot.scales_a[0] == whole.scales_a[i]),
                        Assert(slot.scales_b[0] == whole.scales_b[j]),
                        Assert(slot.negative == (i != j if widths.one_sign else 0)),
                    ]
            m.d.comb += [
                Assert(slot.ends_block == ends),
                Assert(slot.ends_sum == (ends & whole.ends_sum)),
                Assert(slot.is_nan == Cat(nan).any()),
            ]
        # What holds of the registers inside.
        names = ("busy", "place", "held")
        ((working,), (place,), (held,)) = (signals(inner, name) for name in names)
        m.d.comb += [Assert(working == busy), Assert(place == left), Assert(busy | (left == 0))]
        with m.If(busy):
            m.d.comb += Assert(held == Value.cast(whole))
        return m


CLASSES = [("amxfp4", "amxfp4"), ("amxfp4-e4m3", "nvfp4"), ("nvfp4", "amxfp4")]


@pytest.mark.parametrize(("a", "b"), CLASSES)
def test_classes_leave_in_order(a, b):
    """For ever, under any stalls: every class once, in order, and no cycle between two blocks."""
    config = DotConfig(format_a=a, format_b=b, block=16, lanes=1)
    assert decide(Classes(config), depth=3) is Verdict.PROVEN


def test_classes_in_another_order_are_refuted():
    """The claim that the last class leaves first has a counterexample."""
    config = DotConfig(block=16, lanes=1)
    assert decide(Classes(config, fault="order"), depth=6) is Verdict.REFUTED
