# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""Products of two elements, and what a zero point adds to them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.widths import DotWidths, holding
from amxfp4.rtl.lib.arith import assign_low, balanced_sum
from amxfp4.rtl.lib.formats import element_bound, element_magnitudes, element_unit

__all__ = [
    "CodeSum",
    "E2M1Product",
    "IntegerProduct",
    "LaneMagnitude",
    "MagnitudeProduct",
    "element_product",
]


def element_product(config: DotConfig) -> E2M1Product | IntegerProduct | MagnitudeProduct:
    """Make the multiplier of a lane: of E2M1, of integers, or of one of each."""
    widths = DotWidths(config)
    if widths.integers:
        return IntegerProduct(config)
    return MagnitudeProduct(config) if widths.mixed else E2M1Product(config)


class E2M1Product(wiring.Component):
    """Magnitude of the product of two E2M1 elements, exact, in units of 1/4. Combinational.

    An E2M1 magnitude in units of 1/2 is a significand of two bits (0 to 3) shifted left by up to
    two places, so the product is a 2 x 2 bit multiplication and a shift by up to four. The shift
    is one of five wires, and each bit of the product an OR of at most four of its candidates:
    smaller than a binary shift, and a single 6-input function of the codes.

    Members
    -------
    a, b : In(3), magnitude codes
    product : Out(8)
    """

    def __init__(self, config: DotConfig) -> None:
        a, b = (row.element.width - 1 for row in config.rows_ab)
        super().__init__({"a": In(a), "b": In(b), "product": Out(DotWidths(config).product)})

    def elaborate(self, platform):
        m = Module()
        significands, shifts = [], []
        for name, code in (("a", self.a), ("b", self.b)):
            field = code[1:]
            significand = Signal(2, name=f"significand_{name}")
            # By 0 for the subnormal field and for field 1.
            shift = Signal(3, name=f"shift_{name}")
            m.d.comb += [
                significand.eq(Cat(code[0], field != 0)),
                shift.eq(Cat(field < 2, field == 2, field == 3)),
            ]
            significands.append(significand)
            shifts.append(shift)
        (a0, a1), (b0, b1) = significands
        low = a0 & b0
        unshifted = Signal(4)  # 0 to 9: its highest bits exclude each other
        m.d.comb += unshifted.eq(Cat(low, (a1 & b0) ^ (a0 & b1), a1 & b1 & ~low, a1 & b1 & low))
        places = Signal(5)  # one of them
        for n in range(len(places)):
            pairs = [shifts[0][i] & shifts[1][n - i] for i in range(3) if 0 <= n - i < 3]
            m.d.comb += places[n].eq(reduce(or_, pairs))
        for bit in range(len(self.product)):
            candidates = [
                places[n] & unshifted[bit - n]
                for n in range(len(places))
                if 0 <= bit - n < len(unshifted)
            ]
            m.d.comb += self.product[bit].eq(reduce(or_, candidates))
        return m


def _by_rows(
    m: Module, a: Value, b: Value, flipped: Callable[[int, int], bool] = lambda i, j: False
) -> Value:
    """Sum of the one-bit products a_i b_j 2^(i + j), the `flipped` ones complemented.

    Of four bits each. Fewer gates than synthesis makes of ``*``.
    """
    rows = [
        Cat(~(x & y) if flipped(i, j) else x & y for i, x in enumerate(a)) for j, y in enumerate(b)
    ]
    # In pairs, each above the place where it begins: additions as short as they can be.
    layer, place = rows, 1
    while len(layer) > 1:
        pairs = zip(layer[::2], layer[1::2], strict=True)
        layer = []
        for n, (low, high) in enumerate(pairs):
            node = Signal(len(high) + place + (place == 1), name=f"rows_{place}_{n}")
            # Four bits times two have six, and times four eight.
            m.d.comb += assign_low(node, low + (high << place))
            layer.append(node)
        place *= 2
    return layer[0]


class MagnitudeProduct(wiring.Component):
    """Product of two magnitudes out of `LaneMagnitude`, exact. Combinational.

    Members
    -------
    a, b : In(4)
    product : Out(`DotWidths.product`)
    """

    def __init__(self, config: DotConfig) -> None:
        a, b = (holding(element_bound(row.element)) for row in config.rows_ab)
        super().__init__({"a": In(a), "b": In(b), "product": Out(DotWidths(config).product)})

    def elaborate(self, platform):
        m = Module()
        # The largest magnitudes are less than their widths allow.
        m.d.comb += assign_low(self.product, _by_rows(m, self.a, self.b))
        return m


class LaneMagnitude(wiring.Component):
    """An element of any format as sign and magnitude. Combinational.

    Where E2M1 meets integers. A code with a zero point is its distance from it.

    Parameters
    ----------
    config : DotConfig
    side : int
        0 for A, 1 for B.

    Members
    -------
    code : In(4)
    zero : In(4), only of formats with a zero point
    magnitude : Out(4), in units of 2^`element_unit`
    negative : Out(1); of a zero either
    """

    def __init__(self, config: DotConfig, side: int) -> None:
        self._row = row = config.rows_ab[side]
        super().__init__(
            {
                "code": In(row.element.width),
                "zero": In(DotWidths(config).zero(side)),
                "magnitude": Out(holding(element_bound(row.element))),
                "negative": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fmt, magnitude = self._row.element, self.magnitude
        if self._row.zero_point or fmt.twos_complement:
            value = self.code - self.zero if self._row.zero_point else self.code.as_signed()
            m.d.comb += [
                self.negative.eq(value[-1]),
                # No difference of codes, and no code, has a larger magnitude.
                assign_low(magnitude, Mux(self.negative, -value, value)),
            ]
            return m
        m.d.comb += self.negative.eq(self.code[-1])
        with m.Switch(self.code[:-1]):
            for code, value in enumerate(element_magnitudes(fmt)):
                with m.Case(code):
                    m.d.comb += magnitude.eq(int(value / Fraction(2) ** element_unit(fmt)))
        return m


class IntegerProduct(wiring.Component):
    """Product of two integer codes, exact, plus a constant. Combinational.

    A sign bit weighs -8, so a one-bit product with one sign bit in it is subtracted. Its complement
    is added instead (Baugh and Wooley, 1973), which is too much by `offset` in all: the product
    plus `offset` is not negative, and sums of them are corrected once.

    Members
    -------
    a, b : In(4), codes: two's complement, or plain under a zero point
    product : Out(8)
    """

    def __init__(self, config: DotConfig) -> None:
        self._elements = [row.element for row in config.rows_ab]
        bits = [fmt.width for fmt in self._elements]
        super().__init__({"a": In(bits[0]), "b": In(bits[1]), "product": Out(sum(bits))})

    def _flipped(self, i: int, j: int) -> bool:
        """Whether bit i of A times bit j of B is subtracted."""
        a, b = (
            fmt.twos_complement and n == fmt.width - 1
            for fmt, n in zip(self._elements, (i, j), strict=True)
        )
        return a != b

    @property
    def offset(self) -> int:
        """How much more `product` is than the product."""
        a, b = (range(fmt.width) for fmt in self._elements)
        return sum(1 << (i + j) for i in a for j in b if self._flipped(i, j))

    def elaborate(self, platform):
        m = Module()
        # 15 * 15 at most, or less.
        m.d.comb += assign_low(self.product, _by_rows(m, self.a, self.b, self._flipped))
        return m


class CodeSum(wiring.Component):
    """What an operand gives to the zero point of the other. Combinational, exact.

        sum (q_a - z_a) (q_b - z_b) = sum q_a q_b - z_a sum (q_b - z_b) - z_b sum q_a

    Of A the sum of its codes over the lanes, of B the sum of its elements: with lanes times its own
    zero point taken off, the two zero points need not meet.

    Parameters
    ----------
    config : DotConfig
    side : int
        0 for A, 1 for B.

    Members
    -------
    codes : In(lanes x 4)
    zero : In(4), only of formats with a zero point
    total : Out(`DotWidths.code_sum`)
    """

    def __init__(self, config: DotConfig, side: int) -> None:
        self._config = config
        self._row = row = config.rows_ab[side]
        self._takes_zero = side == 1 and row.zero_point
        widths = DotWidths(config)
        super().__init__(
            {
                "codes": In(data.ArrayLayout(row.element.width, config.lanes)),
                "zero": In(widths.zero(side)),
                "total": Out(widths.code_sum(side)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        codes = list(self.codes)
        if self._row.element.twos_complement:
            codes = [code.as_signed() for code in codes]
        total = balanced_sum(m, codes, "codes")
        if self._takes_zero:
            total = total - self._config.lanes * self.zero
        # Sums of codes are shorter than their additions allow.
        m.d.comb += assign_low(self.total, total)
        return m
