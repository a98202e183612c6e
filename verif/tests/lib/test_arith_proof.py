# amaranth: UnusedElaboratable=no
"""Proof of the small arithmetic: multiplication by digits and shift with loss, at every width."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.rtl.lib.arith import shift_left, times_small
from amxfp4.verif.check.prove import Verdict, decide


class Times(wiring.Component):
    """Claims that values of some shapes times a factor are their products."""

    def __init__(self, shapes: list[Shape], bits: int, *, fault: int = 0) -> None:
        self.fault = fault
        values = {f"value_{n}": In(shape) for n, shape in enumerate(shapes)}
        super().__init__({**values, "factor": In(bits)})
        self.values = [getattr(self, name) for name in values]

    def elaborate(self, platform):
        m = Module()
        for n, value in enumerate(self.values):
            product = times_small(m, value, self.factor, f"product_{n}")
            m.d.comb += Assert(product == value * self.factor + self.fault)
        return m


SHAPES = [Shape(width, sign) for sign in (False, True) for width in (1, 2, 3, 5, 8)]


@pytest.mark.by_day(2)
@pytest.mark.parametrize("bits", range(1, 7))
def test_times_small_is_multiplication(bits):
    """For every value and factor of every small width, signed values too."""
    assert decide(Times(SHAPES, bits)) is Verdict.PROVEN


def test_another_product_is_refuted():
    """One more than the product is not it."""
    assert decide(Times([Shape(3, True)], 3, fault=1)) is Verdict.REFUTED


WIDTHS = [1, 3, 5, 8, 11, 16, 30]


class Shifted(wiring.Component):
    """Claims that words are the low bits of a shift, and that a loss is reported exactly."""

    def __init__(
        self, bits: int, amount: int, widths: list[int], *, never_lost: bool = False
    ) -> None:
        self.widths, self.never_lost = widths, never_lost
        super().__init__({"bits": In(bits), "amount": In(amount)})

    def elaborate(self, platform):
        m = Module()
        whole = Signal(len(self.bits) + (1 << len(self.amount)))
        m.d.comb += whole.eq(self.bits << self.amount)
        for width in self.widths:
            word, lost = shift_left(m, self.bits, self.amount, width, f"moved_{width}")
            above = whole[width:].any() if width < len(whole) else 0
            m.d.comb += Assert(word == whole[:width])
            m.d.comb += Assert(lost == (0 if self.never_lost else above))
        return m


@pytest.mark.parametrize(("bits", "amount"), [(1, 1), (3, 2), (5, 3), (4, 4), (8, 3)])
def test_shift_left_reports_every_loss(bits, amount):
    """For every word and amount, into fewer bits than there are, as many, and more."""
    assert decide(Shifted(bits, amount, WIDTHS)) is Verdict.PROVEN


def test_loss_that_is_not_reported_is_refuted():
    """The claim that nothing is ever lost has a counterexample."""
    assert decide(Shifted(3, 2, [5], never_lost=True)) is Verdict.REFUTED
