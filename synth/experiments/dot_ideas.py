"""Other ways to build steps of a dot product: measured, and not used.

Each does exactly what the step in use does. They stand here so that docs/units/microarchitecture.md
can be measured again, by anyone, with tools of another day, and nobody has to try them twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import reduce
from operator import add

from amaranth.hdl import C, Cat, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BF16, FP32, FloatFormat
from amxfp4.rtl.dot.products import CodeSum
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.rtl.lib.arith import assign_low, balanced_sum, count_ones, shift_left, times_small
from amxfp4.rtl.lib.rounding import RoundToFloat

__all__ = ["IDEAS", "Idea"]


class Idea(wiring.Component):
    """A combinational function of a few inputs.

    Members
    -------
    One input for each of `inputs`, and ``result``.
    """

    def __init__(
        self,
        inputs: Mapping[str, ShapeLike],
        result: ShapeLike,
        function: Callable[..., Value],
    ) -> None:
        self._inputs, self._function = list(inputs), function
        super().__init__({**{name: In(s) for name, s in inputs.items()}, "result": Out(result)})

    def elaborate(self, platform):
        m = Module()
        value = self._function(m, *(getattr(self, name) for name in self._inputs))
        # Exact: what an expression's shape has above the result is never used.
        m.d.comb += assign_low(self.result, value)
        return m


# Products of two elements.

_PRODUCT = ({"a": 3, "b": 3}, 8)


def _halves(m: Module, code: Value, name: str) -> Value:
    """Magnitude of an element in halves: four bits."""
    field = code[1:]
    return Cat(code[0], field != 0) << Cat(field == 2, field == 3)


def _binary_shift(m: Module, a: Value, b: Value) -> Value:
    """Multiply significands of two bits and shift by the sum of two binary distances."""
    significands = [Cat(code[0], code[1:] != 0) for code in (a, b)]
    distances = [Cat(code[1:] == 2, code[1:] == 3) for code in (a, b)]
    product = significands[0] * significands[1]
    return product[:4] << (distances[0] + distances[1])


def _multiplier(m: Module, a: Value, b: Value) -> Value:
    """Multiply magnitudes of four bits."""
    return _halves(m, a, "a")[:4] * _halves(m, b, "b")[:4]


def _table(m: Module, a: Value, b: Value) -> Value:
    """Look the product up."""
    halves = [0, 1, 2, 3, 4, 6, 8, 12]
    found = Signal(8)
    with m.Switch(Cat(a, b)):
        for i, x in enumerate(halves):
            for j, y in enumerate(halves):
                with m.Case(i | j << 3):
                    m.d.comb += found.eq(x * y)
    return found


# Sums by class.


class GroupsOfThree(ClassSums):
    """Groups of three lanes, and what is left."""

    _GROUP = 3


class GroupsOfEight(ClassSums):
    """Groups of eight lanes: fewer adders above, more choices below."""

    _GROUP = 8


class TotalAndThree(ClassSums):
    """The sum of all lanes, and masked sums of all classes but the last, which is the rest."""

    def _grouped(self, m: Module, products):
        classes = self._masked(m, products)[:-1]
        shape = Shape(self._shape.width + 1, signed=True)
        rest = Signal(shape, name="rest")
        total = balanced_sum(m, products, "total")
        others = reduce(add, (balanced_sum(m, c, f"known_{n}") for n, c in enumerate(classes)))
        # No sum of some lanes is more than that of all.
        m.d.comb += assign_low(rest, total - others)
        return [*classes, [rest[:-1]]]


class CarrySave(ClassSums):
    """Groups of four lanes, whose sums meet in full adders, column by column, and one addition."""

    def _sum(self, m: Module, addends: list[Value], name: str) -> Value:
        width = self._shape.width
        columns: list[list[Value]] = [[] for _ in range(width)]
        for word in addends:
            for place, bit in enumerate(word):
                columns[place].append(bit)
        for place, column in enumerate(columns):
            while len(column) > 2:
                # The oldest three first: the adders of a column form a tree.
                three, column[:3] = column[:3], []
                counted = Signal(2, name=f"{name}_{place}_{len(column)}")
                m.d.comb += counted.eq(count_ones(three))
                column.append(counted[0])
                if place + 1 < width:  # above it no sum has a bit
                    columns[place + 1].append(counted[1])
        first, second = (
            Cat(column[n] if n < len(column) else C(0, 1) for column in columns) for n in range(2)
        )
        return first + second


# Integers with a zero point.


def _code_sums(config: DotConfig) -> Callable[..., Value]:
    """Products of codes, less what zero points add to them: the way in use."""

    def function(m: Module, a: Value, b: Value, zero_a: Value, zero_b: Value) -> Value:
        m.submodules.class_sums = sums = ClassSums(config)
        m.submodules.code_sum_a = code_sum_a = CodeSum(config, 0)
        m.submodules.code_sum_b = code_sum_b = CodeSum(config, 1)
        m.d.comb += [
            Value.cast(sums.a).eq(a),
            Value.cast(sums.b).eq(b),
            Value.cast(code_sum_a.codes).eq(a),
            Value.cast(code_sum_b.codes).eq(b),
            code_sum_b.zero.eq(zero_b),
            sums.zero_a.eq(zero_a),
            sums.zero_b.eq(zero_b),
            sums.code_sum_a.eq(code_sum_a.total),
            sums.code_sum_b.eq(code_sum_b.total),
        ]
        return sums.sums[0]

    return function


def _distances(config: DotConfig) -> Callable[..., Value]:
    """Take the zero points off every code: products of signed numbers of five bits."""

    def function(m: Module, a: Value, b: Value, zero_a: Value, zero_b: Value) -> Value:
        products = []
        for n in range(config.lanes):
            distances = []
            for name, codes, zero in (("a", a, zero_a), ("b", b, zero_b)):
                distance = Signal(5, name=f"distance_{name}_{n}")
                m.d.comb += distance.eq((codes.word_select(n, 4) - zero)[:5])
                distances.append(distance)
            rows = [
                Cat((x & y) ^ ((i == 4) != (j == 4)) for i, x in enumerate(distances[0])) << j
                for j, y in enumerate(distances[1])
            ]
            products.append(balanced_sum(m, rows, f"rows_{n}"))
        # What the complements of one-bit products with one sign bit are too much.
        return balanced_sum(m, products, "sum") - config.lanes * 2 * (16 * 15)

    return function


def _integers(way: Callable[[DotConfig], Callable[..., Value]]) -> Callable[[DotConfig], Idea]:
    def build(config: DotConfig) -> Idea:
        name = "int4-asym"
        config = DotConfig(format_a=name, format_b=name, block=config.block, lanes=config.lanes)
        codes = 4 * config.lanes
        inputs = {"a": codes, "b": codes, "zero_a": 4, "zero_b": 4}
        return Idea(inputs, DotWidths(config).sum_of(config.lanes), way(config))

    return build


# A class sum times two significands.


def _joint(m: Module, value: Value, a: Value, b: Value) -> Value:
    """Multiply the significands first, then the sum with their product."""
    both = Signal(len(a) + len(b), name="both")
    m.d.comb += both.eq(a * b)
    return value * both


def _bit_by_bit(m: Module, value: Value, a: Value, b: Value) -> Value:
    """Add the sum once for every bit of a significand, one significand after the other."""

    def times(number: Value, factor: Value, name: str) -> Value:
        rows = [Mux(factor[k], number, 0) << k for k in range(len(factor))]
        product = Signal(len(number) + len(factor), name=name)
        m.d.comb += assign_low(product, reduce(add, rows))
        return product

    return times(times(value, b, "once"), a, "twice")


def _digits(m: Module, value: Value, a: Value, b: Value) -> Value:
    """Digits of two bits: the way in use."""
    once = Signal(len(value) + len(b), name="once")
    m.d.comb += assign_low(once, times_small(m, value, b, "once"))
    return times_small(m, once, a, "twice")


# Four terms to D.


def _direct(m: Module, width: int, terms: list[Value], a: list[Value], b: list[Value]) -> Value:
    """Shift every term by the sum of its scales' shifts: the way in use."""
    parts = []
    for n, term in enumerate(terms):
        shift = Signal(6, name=f"shift_{n}")
        m.d.comb += shift.eq(a[n // 2] + b[n % 2])
        parts.append(shift_left(m, term, shift, width, f"shifted_{n}")[0])
    return (parts[0] + parts[3]) - (parts[1] + parts[2])


def _two_shifts(m: Module, width: int, terms: list[Value], a: list[Value], b: list[Value]) -> Value:
    """Shift every term twice: no sum of shifts."""
    parts = []
    for n, term in enumerate(terms):
        once = shift_left(m, term, a[n // 2], len(term) + 29, f"once_{n}")[0]
        parts.append(shift_left(m, once, b[n % 2], width, f"twice_{n}")[0])
    return (parts[0] + parts[3]) - (parts[1] + parts[2])


def _nested(m: Module, width: int, terms: list[Value], a: list[Value], b: list[Value]) -> Value:
    """Bring terms that share a scale of B together by A's shifts, then both pairs by B's."""
    total: Value = C(0, 1)
    for j in range(2):
        plus, minus = (
            shift_left(m, terms[2 * i + j], a[i], len(terms[0]) + 29, f"inner_{i}{j}")[0]
            for i in ((0, 1) if j == 0 else (1, 0))
        )
        pair = Signal(Shape(len(terms[0]) + 30, signed=True), name=f"pair_{j}")
        m.d.comb += pair.eq(plus - minus)
        outer = Signal(Shape(width + 1, signed=True), name=f"outer_{j}")
        m.d.comb += assign_low(outer, pair << b[j])
        total = total + outer
    return total


def _asymmetric(config: DotConfig) -> DotWidths:
    """Widths for what is only written for four terms and an exact sum."""
    widths = DotWidths(config)
    if config.acc != "exact" or not widths.one_sign:
        kind = f"{config.format_a} x {config.format_b} with acc {config.acc}"
        raise ValueError(f"formats of this idea must be asymmetric and exact, not {kind}")
    return widths


def _alignment(config: DotConfig, way: Callable[..., Value]) -> Idea:
    widths = _asymmetric(config)
    term, shift = widths.term.width, 5

    def function(m: Module, terms: Value, a: Value, b: Value) -> Value:
        return way(
            m,
            widths.aligned.width,
            [terms.word_select(n, term) for n in range(4)],
            [a.word_select(n, shift) for n in range(2)],
            [b.word_select(n, shift) for n in range(2)],
        )

    return Idea({"terms": 4 * term, "a": 2 * shift, "b": 2 * shift}, widths.d, function)


# The exact sum to a word.


def _negate_first(fmt: FloatFormat, unit: int) -> Callable[..., Value]:
    """Negate, normalise the whole magnitude, round: every step as wide as the sum."""

    def function(m: Module, number: Value) -> Value:
        width = len(number)
        magnitude = Signal(width, name="magnitude")
        m.d.comb += magnitude.eq(Mux(number < 0, -number, number)[:width])
        bits: Value = magnitude
        distance = Signal((width - 1).bit_length())
        for n in reversed(range(len(distance))):
            step = 1 << n
            moved = Signal(width, name=f"moved_{step}")
            m.d.comb += distance[n].eq(~bits[-step:].any())
            m.d.comb += moved.eq(Mux(distance[n], Cat(C(0, step), bits)[:width], bits))
            bits = moved
        precision = fmt.mantissa_bits + 1
        significand, guard = bits[-precision:], bits[-precision - 1]
        rest = bits[: -precision - 1].any()
        field = Signal(fmt.exponent_bits)
        m.d.comb += field.eq((unit + width - 1 + fmt.bias - 1 - distance)[: len(field)])
        rounded = (
            Cat(C(0, fmt.mantissa_bits), field) + significand + (guard & (rest | bits[-precision]))
        )
        return Mux(magnitude == 0, 0, Cat(rounded[: fmt.width - 1], number < 0))

    return function


def _narrowing(fmt: FloatFormat, unit: int) -> Callable[..., Value]:
    """Normalise and round as in use, in one piece."""

    def function(m: Module, number: Value) -> Value:
        m.submodules.round = rounder = RoundToFloat(len(number) - 1, range(unit, unit + 1), fmt)
        m.d.comb += [rounder.number.eq(number), rounder.exponent.eq(unit)]
        return rounder.word

    return function


def _product(function: Callable[..., Value]) -> Callable[[DotConfig], Idea]:
    return lambda config: Idea(*_PRODUCT, function)


def _scaled(function: Callable[..., Value]) -> Callable[[DotConfig], Idea]:
    def build(config: DotConfig) -> Idea:
        widths = _asymmetric(config)
        a, b = (scale.significand_bits for scale in widths.scales)
        value = widths.class_sum
        return Idea({"value": value, "a": a, "b": b}, widths.term, function)

    return build


def _rounded(way: Callable[..., Callable[..., Value]]) -> Callable[[DotConfig], Idea]:
    def build(config: DotConfig) -> Idea:
        widths = _asymmetric(config)
        fmt = FP32 if config.output == "fp32" else BF16
        return Idea({"number": widths.accumulator}, fmt.width, way(fmt, widths.unit))

    return build


def _sums(kind: type[ClassSums]) -> Callable[[DotConfig], ClassSums]:
    def build(config: DotConfig) -> ClassSums:
        _asymmetric(config)
        return kind(dataclasses.replace(config, class_sums="grouped"))

    return build


IDEAS: dict[str, Callable[[DotConfig], Idea | ClassSums]] = {
    "product_by_binary_shift": _product(_binary_shift),
    "product_by_multiplier": _product(_multiplier),
    "product_by_table": _product(_table),
    "sums_in_threes": _sums(GroupsOfThree),
    "sums_in_eights": _sums(GroupsOfEight),
    "sums_by_total": _sums(TotalAndThree),
    "sums_by_carry_save": _sums(CarrySave),
    "integers_by_code_sums": _integers(_code_sums),
    "integers_by_distances": _integers(_distances),
    "term_by_joint_significand": _scaled(_joint),
    "term_bit_by_bit": _scaled(_bit_by_bit),
    "term_by_digits": _scaled(_digits),
    "align_directly": lambda config: _alignment(config, _direct),
    "align_in_two_shifts": lambda config: _alignment(config, _two_shifts),
    "align_nested": lambda config: _alignment(config, _nested),
    "round_negated": _rounded(_negate_first),
    "round_by_narrowing": _rounded(_narrowing),
}
"""How to build each, by name; ``integers_by_code_sums``, ``term_by_digits``, ``align_directly`` and
``round_by_narrowing`` are what is in use."""
