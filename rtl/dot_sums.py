# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""Products of elements, and their sums by sign class.

How the sums are formed decides much of the area of a dot product, so it is a strategy behind one
interface; docs/dot.md compares them.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.gen.config import DotConfig
from amxfp4.rtl.arith import assign_low
from amxfp4.rtl.dot_widths import DotWidths
from amxfp4.rtl.share import Shared

__all__ = ["ClassSums", "ElementProduct"]


class ElementProduct(wiring.Component):
    """Magnitude of the product of two elements, exact, in units of 1/4. Combinational.

    An E2M1 magnitude in units of 1/2 is a significand of two bits (0 to 3) shifted left by up to
    two places, so the product is a 2 x 2 bit multiplication and a shift by up to four.

    Members
    -------
    a, b : In(3), magnitude codes
    product : Out(8)
    """

    def __init__(self, config: DotConfig) -> None:
        widths = DotWidths(config)
        magnitude = widths.rows[0].element.width - 1
        super().__init__({"a": In(magnitude), "b": In(magnitude), "product": Out(widths.product)})

    def elaborate(self, platform):
        m = Module()
        significands, shifts = [], []
        for name, code in (("a", self.a), ("b", self.b)):
            field = code[1:]
            shift = Signal(2, name=f"shift_{name}")
            significand = Signal(2, name=f"significand_{name}")
            m.d.comb += [
                significand.eq(Cat(code[0], field != 0)),
                # 0 for the subnormal field and for field 1.
                shift.eq(Cat(field == 2, field == 3)),
            ]
            significands.append(significand)
            shifts.append(shift)
        product = Signal(4)
        m.d.comb += product.eq(significands[0] * significands[1])
        places = Signal(range(5))
        m.d.comb += places.eq(shifts[0] + shifts[1])
        m.d.comb += self.product.eq((product << places)[: len(self.product)])
        return m


def balanced_sum(m: Module, values: Sequence[Value], name: str) -> Value:
    """Add `values` exactly, as a balanced tree of two-input additions in `m`."""
    layer = list(values)
    level = 0
    while len(layer) > 1:
        following = []
        for n, (a, b) in enumerate(zip(layer[::2], layer[1::2], strict=False)):
            node = Signal((a + b).shape(), name=f"{name}_{level}_{n}")
            m.d.comb += node.eq(a + b)
            following.append(node)
        layer = following + ([layer[-1]] if len(layer) % 2 else [])
        level += 1
    return layer[0]


class ClassSums(wiring.Component):
    """Sums of products by sign class, over the lanes of one beat. Combinational, exact.

        S_c = sum of a_i b_i over lanes i in class c, in units of 1/4

    Two asymmetric operands make four classes, each of one sign, and the sums are magnitudes. With
    one or none, there are two or one, and products are added with their signs.

    Parameters
    ----------
    config : DotConfig
        Its `class_sums` chooses ``masked``, one tree per class over all lanes, or ``merged``,
        which adds each pair of lanes once: lanes of one class send their sum to it, lanes of
        different classes send each product to its own.

    Members
    -------
    a, b : In(lanes x 4), element codes
    sums : Out(classes x `DotWidths.sum_of` of the lanes)
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._widths = widths = DotWidths(config)
        lanes = config.lanes
        self._shape = widths.sum_of(lanes)
        codes = data.ArrayLayout(widths.rows[0].element.width, lanes)
        sums = data.ArrayLayout(self._shape, len(widths.classes))
        super().__init__({"a": In(codes), "b": In(codes), "sums": Out(sums)})

    def elaborate(self, platform):
        m = Module()
        config, widths = self._config, self._widths
        products, memberships = [], []
        for n in range(config.lanes):
            multiplier = ElementProduct(config)
            m.submodules[f"product_{n}"] = Shared(
                multiplier, "element_product", widths.rows[0].element
            )
            a, b = self.a[n], self.b[n]
            m.d.comb += [multiplier.a.eq(a[:-1]), multiplier.b.eq(b[:-1])]
            members = Signal(len(widths.classes), name=f"class_{n}")
            for c, (i, j) in enumerate(widths.classes):
                of_a = a[-1] == i if widths.rows[0].asymmetric else C(1, 1)
                of_b = b[-1] == j if widths.rows[1].asymmetric else C(1, 1)
                m.d.comb += members[c].eq(of_a & of_b)
            memberships.append(members)
            if widths.one_sign:
                products.append(multiplier.product)
            else:
                signed = Signal(Shape(len(multiplier.product) + 1, signed=True), name=f"signed_{n}")
                negative = a[-1] ^ b[-1]
                # Negation as complement and carry: no choice between two words.
                flip = negative.replicate(len(signed))
                m.d.comb += assign_low(signed, ((multiplier.product ^ flip) + negative).as_signed())
                products.append(signed)

        form = {"masked": self._masked, "merged": self._merged}[config.class_sums]
        for c, addends in enumerate(form(m, products, memberships)):
            m.d.comb += self.sums[c].eq(balanced_sum(m, addends, f"sum_{c}"))
        return m

    def _masked(self, m: Module, products, memberships) -> list[list[Value]]:
        """Every product goes to every class, or zero does."""
        return [
            [
                _gated(product, members[c], product.shape())
                for product, members in zip(products, memberships, strict=True)
            ]
            for c in range(len(self._widths.classes))
        ]

    def _merged(self, m: Module, products, memberships) -> list[list[Value]]:
        """Each pair is added once; a class gets the sum, one of the two, or zero."""
        classes = range(len(self._widths.classes))
        if len(products) == 1 or len(classes) == 1:
            return self._masked(m, products, memberships)
        addends: list[list[Value]] = [[] for _ in classes]
        for n in range(0, len(products), 2):
            (p, q), (of_p, of_q) = products[n : n + 2], memberships[n : n + 2]
            both = Signal((p + q).shape(), name=f"pair_{n}")
            m.d.comb += both.eq(p + q)
            for c in classes:
                addend = Signal(both.shape(), name=f"addend_{c}_{n}")
                m.d.comb += addend.eq(
                    _gated(both, of_p[c] & of_q[c], both.shape())
                    | _gated(p, of_p[c] & ~of_q[c], both.shape())
                    | _gated(q, of_q[c] & ~of_p[c], both.shape())
                )
                addends[c].append(addend)
        return addends


def _gated(value: Value, gate: Value, shape: Shape) -> Value:
    """`value` where `gate` is 1, else zero; gates and an OR merge what a multiplexer would."""
    extended = Value.cast(value)
    fill = extended[-1] if extended.shape().signed else C(0, 1)
    bits = Cat(extended, fill.replicate(shape.width - len(extended)))
    masked = bits & gate.replicate(shape.width)
    return masked.as_signed() if shape.signed else masked
