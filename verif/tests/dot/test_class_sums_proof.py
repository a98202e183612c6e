# amaranth: UnusedElaboratable=no
"""Proof that all ways to form class sums agree, and of their bound."""

from __future__ import annotations

import itertools

import pytest
from amaranth.hdl import Array, Assert, C, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.lib.arith import balanced_sum
from amxfp4.verif.check.prove import Verdict, decide


class Sums(wiring.Component):
    """Claims that two ways to form class sums agree, and that lanes bound them together."""

    def __init__(self, a: str, b: str, lanes: int, kind: str, *, slack: int = 0) -> None:
        self.kinds = [
            DotConfig(format_a=a, format_b=b, block=32, lanes=lanes, class_sums=k)
            for k in ("masked", kind)
        ]
        self.bound = 144 * lanes - slack
        super().__init__({"a": In(4 * lanes), "b": In(4 * lanes)})

    def elaborate(self, platform):
        m = Module()
        units = []
        for config in self.kinds:
            m.submodules[config.class_sums] = unit = ClassSums(config)
            m.d.comb += [Value.cast(unit.a).eq(self.a), Value.cast(unit.b).eq(self.b)]
            units.append(unit)
        total = 0
        for one, other in zip(units[0].sums, units[1].sums, strict=True):
            m.d.comb += Assert(one == other)
            total = total + Mux(one < 0, -one, one)
        m.d.comb += Assert(total <= self.bound)
        return m


FORMATS_AB = [("amxfp4", "amxfp4"), ("amxfp4", "nvfp4"), ("nvfp4", "amxfp4"), ("nvfp4", "nvfp4")]


def _cases():
    """List formats, lanes and ways to sum; by day each way on as many lanes as it groups."""
    for a, b in FORMATS_AB:
        for lanes, kind in itertools.product((1, 2, 4), ("merged", "grouped")):
            by_day = lanes == 2 if kind == "merged" else lanes == 4 and b == "nvfp4"
            yield pytest.param(a, b, lanes, kind, marks=() if by_day else pytest.mark.nightly)


@pytest.mark.by_day(2)
@pytest.mark.parametrize(("a", "b", "lanes", "kind"), list(_cases()))
def test_class_sums_agree_and_are_bounded(a, b, lanes, kind):
    """Equal to masked sums for all codes; all classes together are at most 144 for each lane."""
    assert decide(Sums(a, b, lanes, kind)) is Verdict.PROVEN


def test_class_sums_bound_is_tight():
    """A bound one lower is refuted."""
    assert decide(Sums("amxfp4", "amxfp4", 2, "merged", slack=1)) is Verdict.REFUTED


@pytest.mark.parametrize("kind", ["merged", "grouped"])
def test_forgotten_lane_is_refuted(monkeypatch, kind):
    """Groups without their last lane have another sum."""

    def forget(self, m, products, size):
        return self._masked(m, products[:-1])

    monkeypatch.setattr(ClassSums, "_groups", forget)
    assert decide(Sums("amxfp4", "amxfp4", 2, kind)) is Verdict.REFUTED


class SignedSum(wiring.Component):
    """Claims that one sum with signs is the sum of signed products, made one by one."""

    def __init__(self, lanes: int) -> None:
        self.config = DotConfig(format_a="nvfp4", format_b="nvfp4", block=16, lanes=lanes)
        super().__init__({"a": In(4 * lanes), "b": In(4 * lanes)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = ClassSums(self.config)
        m.d.comb += [Value.cast(unit.a).eq(self.a), Value.cast(unit.b).eq(self.b)]
        total: Value = C(0, 1)
        halves = Array(C(value, 4) for value in (0, 1, 2, 3, 4, 6, 8, 12))
        for n in range(self.config.lanes):
            a, b = (side.word_select(n, 4) for side in (self.a, self.b))
            product = Signal(8, name=f"reference_{n}")
            m.d.comb += product.eq(halves[a[:3]] * halves[b[:3]])
            total = total + Mux(a[3] ^ b[3], -product, product)
        m.d.comb += Assert(unit.sums[0] == total)
        return m


@pytest.mark.parametrize("lanes", [1, 2, pytest.param(4, marks=pytest.mark.nightly)])
def test_signed_sum_is_the_sum_of_signed_products(lanes):
    """Complements with one correction for all lanes, against products negated one by one."""
    assert decide(SignedSum(lanes)) is Verdict.PROVEN


def test_missing_correction_is_refuted(monkeypatch):
    """Without the count of negative products every one of them is off."""

    def complements(self, m, products, signs):
        flipped = [p ^ s.replicate(len(p)) for p, s in zip(products, signs, strict=True)]
        return balanced_sum(m, flipped, "sum_0")

    monkeypatch.setattr(ClassSums, "_signed_sum", complements)
    assert decide(SignedSum(2)) is Verdict.REFUTED
