# amaranth: UnusedElaboratable=no
"""Proof of the sums that integers take part in, for all codes and zero points."""

from __future__ import annotations

import pytest
from amaranth.hdl import Array, Assert, C, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BlockFormat
from amxfp4.rtl.dot import products
from amxfp4.rtl.dot.products import CodeSum, IntegerProduct
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.lib.arith import balanced_sum
from amxfp4.verif.check.prove import Verdict, decide

_HALVES = (0, 1, 2, 3, 4, 6, 8, 12)


def _element(row: BlockFormat, code: Value, zero: Value) -> Value:
    """Give what a code stands for, in halves for E2M1."""
    if row.zero_point:
        return code - zero
    if row.element.name == "int4":
        return code.as_signed()
    magnitude = Array(C(value, 4) for value in _HALVES)[code[:3]]
    return Mux(code[3], -magnitude, magnitude)


class Sums(wiring.Component):
    """Claims that the sum of each class is that of its lanes' products, made one by one."""

    def __init__(self, a: str, b: str, lanes: int) -> None:
        self.config = DotConfig(format_a=a, format_b=b, block=32, lanes=lanes, acc="fp32")
        super().__init__({"a": In(4 * lanes), "b": In(4 * lanes), "zero_a": In(4), "zero_b": In(4)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = ClassSums(self.config)
        rows = self.config.rows_ab
        for side, name in enumerate("ab"):
            codes, zero = getattr(self, name), getattr(self, f"zero_{name}")
            m.d.comb += Value.cast(getattr(unit, name)).eq(codes)
            if rows[side].zero_point:
                m.d.comb += getattr(unit, f"zero_{name}").eq(zero)
            code_sum = getattr(unit, f"code_sum_{name}")
            if len(code_sum):
                m.submodules[f"code_sum_{name}"] = part = CodeSum(self.config, side)
                m.d.comb += [Value.cast(part.codes).eq(codes), code_sum.eq(part.total)]
                if len(part.zero):
                    m.d.comb += part.zero.eq(zero)
        totals: list[Value] = [C(0, 1)] * len(unit.sums)
        for n in range(self.config.lanes):
            codes = [side.word_select(n, 4) for side in (self.a, self.b)]
            elements = []
            for name, row, code in zip("ab", rows, codes, strict=True):
                element = _element(row, code, getattr(self, f"zero_{name}"))
                elements.append(Signal(element.shape(), name=f"element_{name}_{n}"))
                m.d.comb += elements[-1].eq(element)
            place: Value = C(0, 1)
            for row, code in zip(rows, codes, strict=True):
                if row.asymmetric:
                    place = code[3]  # one operand at most has two scales here
            totals = [
                total + Mux(place == c, elements[0] * elements[1], 0)
                for c, total in enumerate(totals)
            ]
        for found, total in zip(unit.sums, totals, strict=True):
            m.d.comb += Assert(found == total)
        return m


PAIRS = [
    ("int4", "int4"), ("int4", "int4-asym"), ("int4-asym", "int4"), ("mxfp4-e5m2", "int4"),
    ("int4-asym", "mxfp4-e5m2"), ("amxfp4", "int4"), ("int4-asym", "amxfp4"),
]  # fmt: skip
CASES = [
    *(pytest.param(*pair, 1) for pair in PAIRS),
    *(pytest.param(*pair, 2, marks=pytest.mark.nightly) for pair in PAIRS),
    # Two zero points times two codes take a minute.
    pytest.param("int4-asym", "int4-asym", 1, marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("a", "b", "lanes"), CASES)
def test_sums_are_of_products_of_elements(a, b, lanes):
    """For every code and zero point, the most negative code too."""
    assert decide(Sums(a, b, lanes)) is Verdict.PROVEN


def _unsigned(self, i, j):
    return False


def _plain(m, values, name):
    return balanced_sum(m, [Value.cast(value).as_unsigned() for value in values], name)


def _without_zero(self, config, side):
    CODE_SUM(self, config, side)
    self._takes_zero = False


CODE_SUM = CodeSum.__init__


@pytest.mark.parametrize(
    ("a", "b", "where", "name", "fault"),
    [
        pytest.param("int4", "int4", IntegerProduct, "_flipped", _unsigned, id="product"),
        pytest.param("int4", "int4-asym", products, "balanced_sum", _plain, id="sum"),
        pytest.param(
            "int4-asym", "int4-asym", CodeSum, "__init__", _without_zero, id="zero points"
        ),
    ],
)
def test_faults_are_refuted(monkeypatch, a, b, where, name, fault):
    """Code 8 without its sign in a product or in a sum, and zero points that never meet."""
    monkeypatch.setattr(where, name, fault)
    assert decide(Sums(a, b, 1)) is Verdict.REFUTED
