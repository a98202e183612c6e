# amaranth: UnusedElaboratable=no
"""Proofs of fixed accumulation: flags are true, and terms one by one make the same sum."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, C, Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from amxfp4.rtl.dot import accumulate as dot_accumulate
from amxfp4.rtl.dot.accumulate import Addend, Adder
from amxfp4.rtl.dot.terms import Terms
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.verif.check.prove import Verdict, decide
from amxfp4.verif.tests.dot.numbers import config_of, magnitude_of, parts_of


class OneByOne(wiring.Component):
    """Claims that a fixed accumulation of terms one by one ends as the one of all at once.

    Given any sum in range, any flags and any terms of a block: sum, flags and NaN behind the block
    are the same bits. With the claims about flags below this holds of terms one by one as well.
    """

    def __init__(self, a: str, b: str, frac_bits: int, int_bits: int) -> None:
        bits = {"acc": "fixed", "frac_bits": frac_bits, "int_bits": int_bits}
        self.whole = config_of(a, b, **bits)
        self.serial = config_of(a, b, scaling="serial", **bits)
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
            m.d.comb += Assume(magnitude_of(term) <= widths.term_bound)

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
        self.exact = config_of(a, b)
        self.fixed = config_of(a, b, acc="fixed", frac_bits=frac_bits, int_bits=int_bits)
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
        next_state, drop = [], self.drop
        for config, name in ((self.exact, "exact"), (self.fixed, "fixed")):
            m.submodules[f"addend_{name}"] = addend = Addend(config)
            m.submodules[f"adder_{name}"] = adder = Adder(config)
            m.d.comb += [addend.terms.eq(self.terms), adder.addend.eq(addend.addend)]
            before = self.sum << drop if name == "exact" else self.sum
            m.d.comb += adder.state.sum.eq(before)
            next_state.append(adder.next_state)
            if name == "fixed":
                m.d.comb += [
                    adder.state.inexact.eq(self.inexact),
                    adder.state.overflow.eq(self.overflow),
                ]
        parts = parts_of(m, self.exact, self.terms)
        exact, fixed = next_state
        with m.If(~fixed.inexact & ~fixed.overflow):
            m.d.comb += Assert(exact.sum == fixed.sum << drop)
        # Flags stay, and are set for a reason.
        m.d.comb += Assert(fixed.inexact | ~self.inexact)
        m.d.comb += Assert(fixed.overflow | ~self.overflow)
        limit = 1 << (len(self.sum) - 1)
        kept, lost = [], C(0, 1)
        for part in parts:
            magnitude = magnitude_of(part)
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


@pytest.mark.by_day(2)
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
