# amaranth: UnusedElaboratable=no
"""Proof that the rounding unit rounds, at widths at which every threshold can be written down."""

from __future__ import annotations

from fractions import Fraction

import pytest
from amaranth.hdl import Assert, C, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.params.formats import FloatFormat
from amxfp4.rtl.lib.rounding import RoundToFloat
from amxfp4.verif.check.prove import Verdict, decide


def _format(exponent_bits: int, mantissa_bits: int) -> FloatFormat:
    inf = ((1 << exponent_bits) - 1) << mantissa_bits
    return FloatFormat(
        name="small", signed_bit=True, exponent_bits=exponent_bits, mantissa_bits=mantissa_bits,
        bias=(1 << (exponent_bits - 1)) - 1, max_magnitude=inf - 1, nan_magnitude=inf + 1,
        inf_magnitude=inf,
    )  # fmt: skip


def _value(fmt: FloatFormat, code: int) -> Fraction:
    """Value of a finite magnitude; infinity's is where the next binade would begin."""
    field, fraction = divmod(code, 1 << fmt.mantissa_bits)
    significand = fraction + ((1 << fmt.mantissa_bits) if field else 0)
    return Fraction(significand) * Fraction(2) ** (max(field, 1) - fmt.bias - fmt.mantissa_bits)


class Rounding(wiring.Component):
    """Claims that a word is the number of midpoints below the value, ties counted at odd words."""

    def __init__(self, width: int, exponents: range, fmt: FloatFormat, *, away: bool = False):
        self.width, self.exponents, self.fmt, self.away = width, exponents, fmt, away
        super().__init__(
            {"number": In(Shape(width + 1, signed=True)), "negate": In(1), "choice": In(3)}
        )

    def elaborate(self, platform):
        m = Module()
        fmt, lowest = self.fmt, min(self.exponents)
        m.submodules.round = unit = RoundToFloat(self.width, self.exponents, fmt)
        steps = len(self.exponents)
        choice = Signal(3)
        m.d.comb += choice.eq(Mux(self.choice < steps, self.choice, 0))
        m.d.comb += [
            unit.number.eq(self.number),
            unit.negate.eq(self.negate),
            unit.exponent.eq(choice + lowest),
        ]
        # The value in units of 2^lowest, and every midpoint between two words, as a fraction.
        value = Signal(self.width + 1 + steps)
        magnitude = Mux(self.number < 0, -self.number, self.number)[: self.width + 1]
        m.d.comb += value.eq((magnitude << choice)[: len(value)])
        word = C(0, 1)
        for code in range(fmt.inf_magnitude):
            midpoint = (_value(fmt, code) + _value(fmt, code + 1)) / 2 / Fraction(2) ** lowest
            reached = value * midpoint.denominator > midpoint.numerator
            if code % 2 or self.away:
                reached |= value * midpoint.denominator == midpoint.numerator
            word = word + reached
        sign = (self.negate ^ (self.number < 0)) & (self.number != 0)
        total = Signal(16)
        m.d.comb += total.eq(word)
        m.d.comb += Assert(unit.word[:-1] == total)
        m.d.comb += Assert(unit.word[-1] == sign)
        return m


CASES = [
    (6, range(-4, -3), _format(3, 2)),
    (8, range(-6, -1), _format(3, 2)),
    (3, range(-5, 1), _format(3, 2)),
    (7, range(-9, -4), _format(3, 3)),
    (6, range(0, 3), _format(3, 1)),
]


@pytest.mark.parametrize(("width", "exponents", "fmt"), CASES)
def test_rounds_to_nearest_even(width, exponents, fmt):
    """For every input: the nearest word, ties to even, subnormals, infinity, and no -0."""
    assert decide(Rounding(width, exponents, fmt)) is Verdict.PROVEN


def test_ties_away_are_refuted():
    """The claim that ties go away from zero has a counterexample."""
    assert decide(Rounding(*CASES[1], away=True)) is Verdict.REFUTED
