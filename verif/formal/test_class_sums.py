# amaranth: UnusedElaboratable=no
"""Proof that both ways to form class sums agree, and of their bound."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.gen.config import DotConfig
from amxfp4.rtl.dot_sums import ClassSums
from amxfp4.verif.formal.prove import Verdict, decide


class Sums(wiring.Component):
    """Claims that both ways to form class sums agree, and that lanes bound them together."""

    def __init__(self, a: str, b: str, lanes: int, *, slack: int = 0) -> None:
        self.kinds = [
            DotConfig(format_a=a, format_b=b, block=32, lanes=lanes, class_sums=k)
            for k in ("masked", "merged")
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


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize(
    ("a", "b"), [("amxfp4", "amxfp4"), ("amxfp4", "nvfp4"), ("nvfp4", "amxfp4"), ("nvfp4", "nvfp4")]
)
def test_class_sums_agree_and_are_bounded(a, b, lanes):
    """Masked and merged sums are equal for all codes; all classes together are at most 144 each."""
    assert decide(Sums(a, b, lanes)) is Verdict.PROVEN


def test_class_sums_bound_is_tight(monkeypatch):
    """A bound one lower is refuted, and so is merging that forgets a lane."""
    assert decide(Sums("amxfp4", "amxfp4", 2, slack=1)) is Verdict.REFUTED

    def forget(self, m, products, members):
        return self._masked(m, products[:-1], members[:-1])

    monkeypatch.setattr(ClassSums, "_merged", forget)
    assert decide(Sums("amxfp4", "amxfp4", 2)) is Verdict.REFUTED
