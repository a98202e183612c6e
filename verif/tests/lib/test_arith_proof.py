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
    """Claims that a value times a factor is their product."""

    def __init__(self, shape: Shape, bits: int, *, fault: int = 0) -> None:
        self.fault = fault
        super().__init__({"value": In(shape), "factor": In(bits)})

    def elaborate(self, platform):
        m = Module()
        product = times_small(m, self.value, self.factor, "product")
        m.d.comb += Assert(product == self.value * self.factor + self.fault)
        return m


SHAPES = [Shape(width, sign) for sign in (False, True) for width in (1, 2, 3, 5, 8)]


@pytest.mark.parametrize("bits", range(1, 7))
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_times_small_is_multiplication(shape, bits):
    """For every value and factor of every small width, signed values too."""
    assert decide(Times(shape, bits)) is Verdict.PROVEN


def test_another_product_is_refuted():
    """One more than the product is not it."""
    assert decide(Times(Shape(3, True), 3, fault=1)) is Verdict.REFUTED


class Shifted(wiring.Component):
    """Claims that a word is the low bits of a shift, and that a loss is told exactly."""

    def __init__(self, bits: int, amount: int, width: int, *, blind: bool = False) -> None:
        self.width, self.blind = width, blind
        super().__init__({"bits": In(bits), "amount": In(amount)})

    def elaborate(self, platform):
        m = Module()
        word, lost = shift_left(m, self.bits, self.amount, self.width, "moved")
        whole = Signal(len(self.bits) + (1 << len(self.amount)))
        m.d.comb += whole.eq(self.bits << self.amount)
        above = whole[self.width :].any() if self.width < len(whole) else 0
        m.d.comb += Assert(word == whole[: self.width])
        m.d.comb += Assert(lost == (0 if self.blind else above))
        return m


@pytest.mark.parametrize("width", [1, 3, 5, 8, 11, 16, 30])
@pytest.mark.parametrize(("bits", "amount"), [(1, 1), (3, 2), (5, 3), (4, 4), (8, 3)])
def test_shift_left_loses_nothing_untold(bits, amount, width):
    """For every word and amount, into fewer bits than there are, as many, and more."""
    assert decide(Shifted(bits, amount, width)) is Verdict.PROVEN


def test_loss_that_is_not_told_is_refuted():
    """The claim that nothing is ever lost has a counterexample."""
    assert decide(Shifted(3, 2, 5, blind=True)) is Verdict.REFUTED
