# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""Sums of products of elements by sign class.

How the sums are formed decides much of the area of a dot product, so it is a strategy behind one
interface; docs/units/microarchitecture.md compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from amaranth.hdl import C, Cat, Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.products import IntegerProduct, LaneMagnitude, element_product
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.rtl.lib.arith import assign_low, balanced_sum, gated
from amxfp4.rtl.lib.share import Shared

__all__ = ["ClassSums"]


class ClassSums(wiring.Component):
    """Sums of products by sign class, over the lanes of one beat. Combinational, exact.

        S_c = sum of a_i b_i over lanes i in class c, in units of 1/4, of 1/2, or of 1

    Two asymmetric operands make four classes, each of one sign, and the sums are magnitudes. With
    one or none, there are two or one, and products are added with their signs. Integers have one
    class, and products of codes; zero points are taken off their sum (`CodeSum`).

    Parameters
    ----------
    config : DotConfig
        Its `class_sums` chooses how lanes find their class (a single class needs no choice):

        - ``masked``: one tree per class over all lanes.
        - ``merged``: each pair of lanes is added once; lanes of one class send their sum to it,
          lanes of different classes send each product to its own.
        - ``grouped``: the same for four lanes. Each lane adds what the last lane before it in its
          class has gathered, so three adders serve four lanes however their classes fall, and
          the last lane of a class holds the group's sum.

    Members
    -------
    a, b : In(lanes x 4), element codes
    zero_a, zero_b : In(4), zero points; only of formats that have one
    code_sum_a, code_sum_b : In(`DotWidths.code_sum`), where integers meet a zero point
    sums : Out(classes x `DotWidths.sum_of` of the lanes)
    """

    _GROUP = 4

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._widths = widths = DotWidths(config)
        lanes = config.lanes
        self._shape = widths.sum_of(lanes)
        members = {"sums": Out(data.ArrayLayout(self._shape, len(widths.classes)))}
        for side, (name, row) in enumerate(zip("ab", widths.rows, strict=True)):
            members[name] = In(data.ArrayLayout(row.element.width, lanes))
            members[f"zero_{name}"] = In(widths.zero(side))
            members[f"code_sum_{name}"] = In(widths.code_sum(side))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, widths = self._config, self._widths
        products, negatives = [], []
        for n in range(config.lanes):
            multiplier = element_product(config)
            m.submodules[f"product_{n}"] = Shared(
                multiplier, "element_product", tuple(row.element for row in widths.rows)
            )
            operands, negative = self._operands(m, n)
            m.d.comb += [multiplier.a.eq(operands[0]), multiplier.b.eq(operands[1])]
            products.append(multiplier.product)
            negatives.append(negative)
        if widths.integers:
            m.d.comb += assign_low(self.sums[0], self._integer_sum(m, products))
            return m
        if len(widths.classes) == 1:
            m.d.comb += assign_low(self.sums[0], self._signed_sum(m, products, negatives))
            return m
        if not widths.one_sign:
            products = [
                self._signed(m, n, *signed)
                for n, signed in enumerate(zip(products, negatives, strict=True))
            ]
        form = {"masked": self._masked, "merged": self._merged, "grouped": self._grouped}
        for c, addends in enumerate(form[config.class_sums](m, products)):
            # The largest sum is less than its addends' widths allow.
            m.d.comb += assign_low(self.sums[c], self._sum(m, addends, f"sum_{c}"))
        return m

    def _sum(self, m: Module, addends: list[Value], name: str) -> Value:
        """Sum of what a class has gathered."""
        return balanced_sum(m, addends, name)

    def _operands(self, m: Module, n: int) -> tuple[list[Value], Value]:
        """Give what lane `n` multiplies, and whether the product is negative (or zero)."""
        codes = [self.a[n], self.b[n]]
        if self._widths.integers:
            return codes, C(0, 1)
        if not self._widths.mixed:
            return [code[:-1] for code in codes], codes[0][-1] ^ codes[1][-1]
        lanes = [LaneMagnitude(self._config, side) for side in range(2)]
        for side, (name, lane) in enumerate(zip("ab", lanes, strict=True)):
            m.submodules[f"magnitude_{name}_{n}"] = Shared(
                lane, f"magnitude_{name}", self._widths.rows[side].element
            )
            m.d.comb += [
                lane.code.eq(codes[side]),
                lane.zero.eq(getattr(self, f"zero_{name}")),
            ]
        return [lane.magnitude for lane in lanes], lanes[0].negative ^ lanes[1].negative

    def _integer_sum(self, m: Module, products) -> Value:
        """Sum of products of codes, less what offsets and zero points are too much."""
        offset = IntegerProduct(self._config).offset * len(products)
        total = balanced_sum(m, products, "sum_0") - offset
        for n, (zero, code_sum) in enumerate(
            ((self.zero_a, self.code_sum_b), (self.zero_b, self.code_sum_a))
        ):
            if len(zero):
                part = zero * code_sum
                product = Signal(part.shape(), name=f"zero_part_{n}")
                m.d.comb += product.eq(part)
                total = total - product
        return total

    def _signed_sum(self, m: Module, products, signs) -> Value:
        """Sum with signs: complements, and one correction for all.

        A complement is 255 - p where -p was asked for, so the number of negative products, times
        255, is too much.
        """
        flipped = []
        for n, product in enumerate(products):
            word = Signal.like(product, name=f"flipped_{n}")
            m.d.comb += word.eq(product ^ signs[n].replicate(len(product)))
            flipped.append(word)
        negatives = balanced_sum(m, signs, "negatives")
        total = balanced_sum(m, flipped, "sum_0")
        return total + negatives - (negatives << len(products[0]))

    def _signed(self, m: Module, n: int, product, negative) -> Value:
        """Negate as complement and carry: no choice between two words."""
        signed = Signal(Shape(len(product) + 1, signed=True), name=f"signed_{n}")
        flip = negative.replicate(len(signed))
        # A product has a bit less than the word, so that nothing wraps.
        m.d.comb += assign_low(signed, ((product ^ flip) + negative).as_signed())
        return signed

    def _tags(self, n: int) -> Value:
        """Sign bits that choose the class of lane `n`."""
        row_a, row_b = self._widths.rows
        return Cat(
            *([self.a[n][-1]] if row_a.asymmetric else []),
            *([self.b[n][-1]] if row_b.asymmetric else []),
        )

    def _member(self, n: int, c: int) -> Value:
        """Whether lane `n` is in class `c`."""
        row_a, row_b = self._widths.rows
        i, j = self._widths.classes[c]
        wanted = ([i] if row_a.asymmetric else []) + ([j] if row_b.asymmetric else [])
        return self._tags(n) == Cat(C(bit, 1) for bit in wanted)

    def _masked(self, m: Module, products) -> list[list[Value]]:
        """Every product goes to every class, or zero does."""
        return [
            [gated(p, self._member(n, c), p.shape()) for n, p in enumerate(products)]
            for c in range(len(self._widths.classes))
        ]

    def _merged(self, m: Module, products) -> list[list[Value]]:
        """Each pair is added once; a class gets the sum, one of the two, or zero."""
        return self._groups(m, products, 2)

    def _grouped(self, m: Module, products) -> list[list[Value]]:
        """Add each lane to those of its class before it, four by four."""
        return self._groups(m, products, self._GROUP)

    def _groups(self, m: Module, products, size: int) -> list[list[Value]]:
        addends: list[list[Value]] = [[] for _ in self._widths.classes]
        for first in range(0, len(products), size):
            lanes = range(first, min(first + size, len(products)))
            same = {}
            for n in lanes:
                for before in range(first, n):
                    same[before, n] = Signal(name=f"same_{before}_{n}")
                    m.d.comb += same[before, n].eq(self._tags(before) == self._tags(n))

            def free(n: int, upto: int, same=same) -> list[Value]:
                """Say for each lane between `n` and `upto` that it is of another class."""
                return [~same[n, k] for k in range(n + 1, upto)]

            gathered = {first: products[first]}
            for n in lanes[1:]:
                before = self._widths.sum_of(n - first)
                passed = [
                    gated(gathered[k], reduce(and_, free(k, n), same[k, n]), before)
                    for k in gathered
                ]
                gathered[n] = Signal(self._widths.sum_of(n - first + 1), name=f"gathered_{n}")
                m.d.comb += assign_low(gathered[n], products[n] + _union(passed))
            shape = self._widths.sum_of(len(lanes))
            for c in range(len(self._widths.classes)):
                parts = []
                for n in lanes:
                    is_last = reduce(and_, free(n, lanes[-1] + 1), self._member(n, c))
                    parts.append(gated(gathered[n], is_last, shape))
                addend = Signal(shape, name=f"addend_{c}_{first}")
                m.d.comb += addend.eq(_union(parts))
                addends[c].append(addend)
        return addends


def _union(parts: Sequence[Value]) -> Value:
    """OR of words of which at most one is not zero."""
    return reduce(or_, parts)
