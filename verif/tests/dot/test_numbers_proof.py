# amaranth: UnusedElaboratable=no
"""Proofs of the dot product's numbers: nothing leaves at the top of any width, flags are true."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, C, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot import accumulate as dot_accumulate
from amxfp4.rtl.dot.accumulate import Addend, Adder, addend_layout, sum_layout
from amxfp4.rtl.dot.terms import TermAligner, Terms
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.verif.check.prove import Verdict, decide

PAIRS = [("amxfp4", "amxfp4"), ("amxfp4-e4m3", "nvfp4"), ("amxfp4", "mxfp4-e4m3")]
# The widest accumulators take most of the solver's time.
FAST_FIRST = [PAIRS[1], *(pytest.param(*PAIRS[n], marks=pytest.mark.nightly) for n in (0, 2))]
pairs = pytest.mark.parametrize(("a", "b"), PAIRS)


def _config(a: str, b: str, **options) -> DotConfig:
    fixed = {"block": 32, "lanes": 1, "scaling": "parallel"}
    return DotConfig(format_a=a, format_b=b, **{**fixed, **options})


def _magnitude(value) -> Value:
    return Mux(value < 0, -value, value)


class Aligned(wiring.Component):
    """Claims that an aligned term is the whole one, given a class sum and two scale codes.

    The sum is any up to `bound`, by default any that a block can have; the codes are any two that
    are no NaN.
    """

    def __init__(self, a: str, b: str, *, bound: int = 144 * 32) -> None:
        self.config = config = _config(a, b)
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
            Assume(_magnitude(self.sum) <= self.bound),
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
        m.d.comb += whole.eq(_magnitude(term)[:40] << shift)
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
    shape = getattr(DotWidths(_config("amxfp4", "amxfp4")), name)
    harness = Aligned("amxfp4", "amxfp4")
    monkeypatch.setattr(DotWidths, name, property(lambda self: Shape(shape.width - 1)))
    assert decide(harness) is Verdict.REFUTED


def _parts(m: Module, config: DotConfig, terms, *, assume: bool = True):
    """Aligned parts of D, proven whole above, under what the lanes' bound says of their sum.

    That it does, given class sums that respect it, is arithmetic: each part is a class sum times
    two scales, no scale is above the largest, and each lane is in one class only.
    """
    m.submodules.reference = align = TermAligner(config)
    m.d.comb += align.terms.eq(terms)
    widths = DotWidths(config)
    for term in terms.terms:
        m.d.comb += Assume(_magnitude(term) <= widths.term_bound)
    if assume:
        # None too large to be shifted, as is proven above too.
        m.d.comb += Assume(align.too_large == 0)
        m.d.comb += Assume(sum(align.magnitudes, C(0, 1)) <= widths.d_bound)
    count = len(widths.classes)
    return [Mux(align.negative[c], -align.magnitudes[c], align.magnitudes[c]) for c in range(count)]


class ExactD(wiring.Component):
    """Claims that D holds the sum of all its terms."""

    def __init__(self, a: str, b: str, *, assume: bool = True) -> None:
        self.config, self.assume = _config(a, b), assume
        self.widths = DotWidths(self.config)
        super().__init__({"terms": In(Terms.layout(self.widths))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.addend = addend = Addend(self.config)
        m.d.comb += addend.terms.eq(self.terms)
        d = Signal(Shape(132, signed=True))
        m.d.comb += d.eq(sum(_parts(m, self.config, self.terms, assume=self.assume), C(0, 1)))
        m.d.comb += Assert(addend.addend.value == Mux(self.terms.is_nan, 0, d))
        m.d.comb += Assert(_magnitude(addend.addend.value) <= self.widths.d_bound)
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
    shape = DotWidths(_config("amxfp4", "amxfp4")).d
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
            Assume(_magnitude(self.addend.value) <= bound),
            Assume(_magnitude(before) <= self.limit),
            Assume(self.limit <= (self.config.max_blocks + self.excess - 1) * bound),
        ]
        m.d.comb += Assert(add.next_state.sum == total)
        m.d.comb += Assert(_magnitude(add.next_state.sum) <= self.limit + bound)
        return m


@pytest.mark.parametrize("blocks", [4096, 5000])
@pairs
def test_exact_accumulator_never_overflows(a, b, blocks):
    """One step of induction over the number of blocks, from the empty sum to `max_blocks`."""
    config = _config(a, b, max_blocks=blocks)
    assert decide(Accumulation(config)) is Verdict.PROVEN


def test_longer_sums_are_refuted():
    """Twice as many blocks do overflow: the width is no larger than it must be."""
    config = _config("amxfp4", "amxfp4")
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
            Assume(_magnitude(self.terms.terms[0]) <= self.widths.term_bound),
            Assume(self.part <= bound),
            Assume(self.part + align.magnitudes[0] <= bound),
            Assume(self.limit <= (self.config.max_blocks + self.excess - 1) * bound),
            Assume(_magnitude(self.sum) <= self.limit + self.part),
        ]
        magnitude = align.magnitudes[0]
        signed = Mux(align.negative[0], -magnitude, magnitude)
        total = Signal(Shape(len(self.sum) + 4, signed=True))
        m.d.comb += total.eq(self.sum + Mux(self.terms.is_nan, 0, signed))
        after = adder.next_state.sum
        m.d.comb += [
            Assert(after == total),
            Assert(_magnitude(after) <= self.limit + self.part + magnitude),
            Assert(adder.next_state.is_nan == self.terms.is_nan),
            Assert(addend.addend.ends_block == self.terms.ends_block),
        ]
        return m


@pytest.mark.parametrize(("a", "b"), FAST_FIRST)
def test_terms_one_by_one_are_added_whole(a, b):
    """One step of induction over the terms of a block: no term is lost, and no partial sum."""
    assert decide(Slot(_config(a, b, scaling="serial"))) is Verdict.PROVEN


def test_terms_one_by_one_of_longer_sums_are_refuted():
    """Twice as many blocks overflow while the terms of one come, too."""
    config = _config("amxfp4", "amxfp4", scaling="serial")
    assert decide(Slot(config, excess=4096)) is Verdict.REFUTED


class OneByOne(wiring.Component):
    """Claims that a fixed accumulation of terms one by one ends as the one of all at once.

    Given any sum in range, any flags and any terms of a block: sum, flags and NaN behind the block
    are the same bits. With the claims about flags below this holds of terms one by one as well.
    """

    def __init__(self, a: str, b: str, frac_bits: int, int_bits: int) -> None:
        bits = {"acc": "fixed", "frac_bits": frac_bits, "int_bits": int_bits}
        self.whole = _config(a, b, **bits)
        self.serial = _config(a, b, scaling="serial", **bits)
        widths = DotWidths(self.whole)
        super().__init__(
            {
                "terms": In(Terms.layout(widths)),
                "sum": In(widths.accumulator),
                "flags": In(3),
            }
        )

    def elaborate(self, platform):
        m = Module()
        widths = DotWidths(self.whole)
        for term in self.terms.terms:
            m.d.comb += Assume(_magnitude(term) <= widths.term_bound)

        def step(name, config, state, terms):
            m.submodules[f"addend_{name}"] = addend = Addend(config)
            m.submodules[f"adder_{name}"] = adder = Adder(config)
            m.d.comb += [
                addend.terms.eq(terms),
                adder.addend.eq(addend.addend),
                *(adder.state[f].eq(state[f]) for f in ("sum", "is_nan", "inexact", "overflow")),
            ]
            return adder.next_state

        first = {
            "sum": self.sum, "is_nan": self.flags[0],
            "inexact": self.flags[1], "overflow": self.flags[2],
        }  # fmt: skip
        whole = step("whole", self.whole, first, self.terms)
        state = first
        for c, (i, j) in enumerate(widths.classes):
            terms = Signal(Terms.layout(DotWidths(self.serial)), name=f"terms_{c}")
            m.d.comb += [
                terms.terms[0].eq(self.terms.terms[c]),
                terms.shifts_a[0].eq(self.terms.shifts_a[i]),
                terms.shifts_b[0].eq(self.terms.shifts_b[j]),
                terms.negative.eq(widths.is_negative(c) if widths.one_sign else 0),
                terms.is_nan.eq(self.terms.is_nan),
                terms.ends_block.eq(c == len(widths.classes) - 1),
            ]
            state = step(f"slot_{c}", self.serial, state, terms)
        for field in ("sum", "is_nan", "inexact", "overflow"):
            m.d.comb += Assert(state[field] == whole[field])
        return m


class Fixed(wiring.Component):
    """Claims what a fixed accumulator's flags say, beside an exact one that gets the same terms.

    Clear flags mean equal sums, by induction: if they were equal, they are. An overflow that is
    new means a truncated term, or a sum, outside [-2^I, 2^I); *inexact* means bits were dropped.
    """

    def __init__(self, a: str, b: str, frac_bits: int, int_bits: int) -> None:
        self.exact = _config(a, b)
        self.fixed = _config(a, b, acc="fixed", frac_bits=frac_bits, int_bits=int_bits)
        widths = DotWidths(self.exact)
        self.drop = -widths.unit - frac_bits
        super().__init__(
            {
                "terms": In(Terms.layout(widths)),
                "sum": In(Shape(frac_bits + int_bits + 1, signed=True)),
                "inexact": In(1),
                "overflow": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        next_state, addends, drop = [], [], self.drop
        for config, name in ((self.exact, "exact"), (self.fixed, "fixed")):
            m.submodules[f"addend_{name}"] = addend = Addend(config)
            m.submodules[f"adder_{name}"] = adder = Adder(config)
            m.d.comb += [addend.terms.eq(self.terms), adder.addend.eq(addend.addend)]
            before = self.sum << drop if name == "exact" else self.sum
            m.d.comb += adder.state.sum.eq(before)
            next_state.append(adder.next_state)
            addends.append(addend.addend)
            if name == "fixed":
                m.d.comb += [
                    adder.state.inexact.eq(self.inexact),
                    adder.state.overflow.eq(self.overflow),
                ]
        parts = _parts(m, self.exact, self.terms)
        exact, fixed = next_state
        with m.If(~fixed.inexact & ~fixed.overflow):
            m.d.comb += Assert(exact.sum == fixed.sum << drop)
        # Flags stay, and are set for a reason.
        m.d.comb += Assert(fixed.inexact | ~self.inexact)
        m.d.comb += Assert(fixed.overflow | ~self.overflow)
        limit = 1 << (len(self.sum) - 1)
        kept, lost = [], C(0, 1)
        for part in parts:
            magnitude = _magnitude(part)
            low = magnitude[drop:]
            kept.append(Mux(part < 0, -low, low))
            lost |= magnitude[:drop].any()
        total = sum(kept, self.sum)
        outside = C(0, 1)
        for value in (*kept, total):
            outside |= (value < -limit) | (value >= limit)
        is_nan = self.terms.is_nan
        m.d.comb += [
            Assert(fixed.inexact == (self.inexact | (lost & ~is_nan))),
            Assert(fixed.overflow == (self.overflow | (outside & ~is_nan))),
        ]
        return m


SMALL = [
    # Half a minute of the solver, for widths between those of the others.
    pytest.param("amxfp4-e4m3", "amxfp4-e4m3", 4, 3, marks=pytest.mark.nightly),
    pytest.param("amxfp4", "amxfp4", 2, 2, marks=pytest.mark.nightly),
    ("amxfp4", "nvfp4", 3, 4),
    ("amxfp4", "amxfp4", 1, 1),
]


@pytest.mark.parametrize(("a", "b", "frac_bits", "int_bits"), SMALL)
def test_flags_are_neither_missed_nor_false(a, b, frac_bits, int_bits):
    """For all terms and sums: clear flags mean equality with the exact sum, set ones a reason."""
    assert decide(Fixed(a, b, frac_bits, int_bits)) is Verdict.PROVEN


ONE_BY_ONE = [
    ("amxfp4", "amxfp4", 3, 2),
    ("amxfp4-e4m3", "nvfp4", 4, 3),
    ("nvfp4", "amxfp4", 3, 2),
    ("amxfp4-e4m3", "amxfp4-e4m3", 2, 2),
]


@pytest.mark.parametrize(("a", "b", "frac_bits", "int_bits"), ONE_BY_ONE)
def test_terms_one_by_one_make_the_same_sum_and_flags(a, b, frac_bits, int_bits):
    """For all terms, sums and flags before: one by one and all at once end in the same bits."""
    assert decide(OneByOne(a, b, frac_bits, int_bits)) is Verdict.PROVEN


def test_range_of_partial_sums_is_refuted(monkeypatch):
    """Without room above the range, partial sums wrap or raise a flag that none should."""
    layout = dot_accumulate.sum_layout

    def tight(config):
        members = {name: field.shape for name, field in layout(config)}
        return data.StructLayout({**members, "sum": DotWidths(config).accumulator})

    monkeypatch.setattr(dot_accumulate, "sum_layout", tight)
    assert decide(OneByOne(*ONE_BY_ONE[1])) is Verdict.REFUTED


def test_short_room_is_refuted(monkeypatch):
    """An addend with too few bits above the accumulator's loses an overflow."""
    monkeypatch.setattr(dot_accumulate, "_ROOM", 0)
    assert decide(Fixed("amxfp4-e4m3", "amxfp4-e4m3", 4, 3)) is Verdict.REFUTED
