# amaranth: UnusedElaboratable=no
"""Proofs of the dot product's numbers: nothing leaves at the top of any width, flags are true."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, C, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.accumulate import Addend, Adder, addend_layout, sum_layout
from amxfp4.rtl.dot.terms import TermAligner, Terms
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.verif.check.prove import Verdict, decide
from amxfp4.verif.tests.dot.numbers import config_of, magnitude_of, parts_of

PAIRS = [("amxfp4", "amxfp4"), ("amxfp4-e4m3", "nvfp4"), ("amxfp4", "mxfp4-e4m3")]
# The widest accumulators take most of the solver's time.
FAST_FIRST = [PAIRS[1], *(pytest.param(*PAIRS[n], marks=pytest.mark.nightly) for n in (0, 2))]
pairs = pytest.mark.parametrize(("a", "b"), PAIRS)


class Aligned(wiring.Component):
    """Claims that an aligned term is the whole one, given a class sum and two scale codes.

    The sum is any up to `bound`, by default any that a block can have; the codes are any two that
    are no NaN.
    """

    def __init__(self, a: str, b: str, *, bound: int = 144 * 32) -> None:
        self.config = config = config_of(a, b)
        self.widths = widths = DotWidths(config)
        self.bound = bound
        super().__init__({"sum": In(widths.class_sum), "a": In(8), "b": In(8)})

    def elaborate(self, platform):
        m = Module()
        widths = self.widths
        m.submodules.terms = terms = Terms(self.config)
        m.submodules.align = align = TermAligner(self.config)
        m.d.comb += [
            terms.slot.sums[0].eq(self.sum),
            terms.slot.scales_a[0].eq(self.a),
            terms.slot.scales_b[0].eq(self.b),
            align.terms.eq(terms.terms),
            Assume(magnitude_of(self.sum) <= self.bound),
            Assume(~terms.terms.is_nan),
        ]
        decoded = []
        for code, scale in ((self.a, widths.scales[0]), (self.b, widths.scales[1])):
            # A decoder of its own: subnormal or not, significand and shift.
            mantissa = scale.fmt.mantissa_bits
            field = code[mantissa:7]
            hidden = Mux(field == 0, 0, 1 << mantissa)
            decoded.append((code[:mantissa] + hidden, Mux(field == 0, 0, field - 1)))
        (first, up), (second, further) = decoded
        term = Signal(Shape(40, signed=True))
        shift = Signal(7)
        m.d.comb += [term.eq(self.sum * (first * second)), shift.eq(up + further)]
        m.d.comb += Assert(terms.terms.terms[0] == term)
        whole = Signal(128)
        m.d.comb += whole.eq(magnitude_of(term)[:40] << shift)
        m.d.comb += [Assert(align.magnitudes[0] == whole), Assert(~align.too_large[0])]
        m.d.comb += Assert(whole <= widths.d_bound)
        return m


@pytest.mark.parametrize("bound", [63, pytest.param(144 * 32, marks=pytest.mark.nightly)])
def test_terms_are_whole(bound):
    """For every class sum and every pair of E5M2 scale codes no bit of a term is lost.

    By day for small sums; that one bit less is refuted, below, is shown for all of them.
    """
    assert decide(Aligned("amxfp4", "amxfp4", bound=bound)) is Verdict.PROVEN


@pytest.mark.parametrize("name", ["aligned", "term"])
def test_narrow_terms_are_refuted(monkeypatch, name):
    """One bit less, before or behind the shift, loses one somewhere."""
    shape = getattr(DotWidths(config_of("amxfp4", "amxfp4")), name)
    harness = Aligned("amxfp4", "amxfp4")
    monkeypatch.setattr(DotWidths, name, property(lambda self: Shape(shape.width - 1)))
    assert decide(harness) is Verdict.REFUTED


class ExactD(wiring.Component):
    """Claims that D holds the sum of all its terms."""

    def __init__(self, a: str, b: str, *, assume: bool = True) -> None:
        self.config, self.assume = config_of(a, b), assume
        self.widths = DotWidths(self.config)
        super().__init__({"terms": In(Terms.layout(self.widths))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.addend = addend = Addend(self.config)
        m.d.comb += addend.terms.eq(self.terms)
        d = Signal(Shape(132, signed=True))
        m.d.comb += d.eq(sum(parts_of(m, self.config, self.terms, assume=self.assume), C(0, 1)))
        m.d.comb += Assert(addend.addend.value == Mux(self.terms.is_nan, 0, d))
        m.d.comb += Assert(magnitude_of(addend.addend.value) <= self.widths.d_bound)
        return m


@pytest.mark.parametrize(
    ("a", "b"), [pytest.param(*PAIRS[0], marks=pytest.mark.nightly), *PAIRS[1:]]
)
def test_d_is_exact_and_bounded(a, b):
    """D is the signed sum of its terms for all terms that lanes allow, and within its bound."""
    assert decide(ExactD(a, b)) is Verdict.PROVEN


def test_d_without_its_bound_is_refuted(monkeypatch):
    """Terms that no lanes could give overflow D, and so do possible ones if it is narrower."""
    assert decide(ExactD("amxfp4", "amxfp4", assume=False)) is Verdict.REFUTED
    shape = DotWidths(config_of("amxfp4", "amxfp4")).d
    narrow = property(lambda self: Shape(shape.width - 1, signed=True))
    monkeypatch.setattr(DotWidths, "d", narrow)
    assert decide(ExactD("amxfp4", "amxfp4")) is Verdict.REFUTED


class Accumulation(wiring.Component):
    """Claims that a sum of at most `limit`, and a D, make a sum of at most `limit` plus D's bound.

    Where `limit` leaves room for one D below `max_blocks` of them: so after n blocks the sum is
    at most n times the bound.
    """

    def __init__(self, config: DotConfig, *, excess: int = 0) -> None:
        self.config, self.excess = config, excess
        self.widths = DotWidths(config)
        width = len(Value.cast(Signal(sum_layout(config))))
        super().__init__(
            {"addend": In(addend_layout(config)), "state": In(width), "limit": In(128)}
        )

    def elaborate(self, platform):
        m = Module()
        bound = self.widths.d_bound
        m.submodules.add = add = Adder(self.config)
        state = Signal(sum_layout(self.config))
        m.d.comb += [Value.cast(state).eq(self.state), add.state.eq(state)]
        m.d.comb += add.addend.eq(self.addend)
        before = state.sum
        total = Signal(Shape(len(before) + 4, signed=True))
        m.d.comb += [
            total.eq(before + self.addend.value),
            Assume(magnitude_of(self.addend.value) <= bound),
            Assume(magnitude_of(before) <= self.limit),
            Assume(self.limit <= (self.config.max_blocks + self.excess - 1) * bound),
        ]
        m.d.comb += Assert(add.next_state.sum == total)
        m.d.comb += Assert(magnitude_of(add.next_state.sum) <= self.limit + bound)
        return m


@pytest.mark.by_day(2)
@pytest.mark.parametrize("blocks", [4096, 5000])
@pairs
def test_exact_accumulator_never_overflows(a, b, blocks):
    """One step of induction over the number of blocks, from the empty sum to `max_blocks`."""
    config = config_of(a, b, max_blocks=blocks)
    assert decide(Accumulation(config)) is Verdict.PROVEN


def test_longer_sums_are_refuted():
    """Twice as many blocks do overflow: the width is no larger than it must be."""
    config = config_of("amxfp4", "amxfp4")
    assert decide(Accumulation(config, excess=4096)) is Verdict.REFUTED


class Slot(wiring.Component):
    """Claims that a term alone is added whole, in exact mode, as complement and carry or as it is.

    A block's terms so far are at most `part`, and with this one at most D's bound; the sum of
    whole blocks before them is at most `limit`. Then this one makes it `limit` and both parts at
    most, and by induction over the terms of a block, and over blocks, no sum leaves.
    """

    def __init__(self, config: DotConfig, *, excess: int = 0) -> None:
        self.config, self.excess = config, excess
        self.widths = widths = DotWidths(config)
        super().__init__(
            {
                "terms": In(Terms.layout(widths)),
                "sum": In(widths.accumulator),
                "limit": In(128),
                "part": In(128),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bound = self.widths.d_bound
        m.submodules.align = align = TermAligner(self.config)
        m.submodules.addend = addend = Addend(self.config)
        m.submodules.adder = adder = Adder(self.config)
        m.d.comb += [
            align.terms.eq(self.terms),
            addend.terms.eq(self.terms),
            adder.addend.eq(addend.addend),
            adder.state.sum.eq(self.sum),
            Assume(magnitude_of(self.terms.terms[0]) <= self.widths.term_bound),
            Assume(self.part <= bound),
            Assume(self.part + align.magnitudes[0] <= bound),
            Assume(self.limit <= (self.config.max_blocks + self.excess - 1) * bound),
            Assume(magnitude_of(self.sum) <= self.limit + self.part),
        ]
        magnitude = align.magnitudes[0]
        signed = Mux(align.negative[0], -magnitude, magnitude)
        total = Signal(Shape(len(self.sum) + 4, signed=True))
        m.d.comb += total.eq(self.sum + Mux(self.terms.is_nan, 0, signed))
        after = adder.next_state.sum
        m.d.comb += [
            Assert(after == total),
            Assert(magnitude_of(after) <= self.limit + self.part + magnitude),
            Assert(adder.next_state.is_nan == self.terms.is_nan),
            Assert(addend.addend.ends_block == self.terms.ends_block),
        ]
        return m


@pytest.mark.parametrize(("a", "b"), FAST_FIRST)
def test_terms_one_by_one_are_added_whole(a, b):
    """One step of induction over the terms of a block: no term is lost, and no partial sum."""
    assert decide(Slot(config_of(a, b, scaling="serial"))) is Verdict.PROVEN


def test_terms_one_by_one_of_longer_sums_are_refuted():
    """Twice as many blocks overflow while the terms of one come, too."""
    config = config_of("amxfp4", "amxfp4", scaling="serial")
    assert decide(Slot(config, excess=4096)) is Verdict.REFUTED
