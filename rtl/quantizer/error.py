"""Two scales for a block, and the one of the smaller sum of squared errors, exactly.

With q the elements under a scale s,

    sum (|x| - q s)^2 = sum x^2 - s g        g = 2 sum q |x| - s sum q^2

so that a second scale s1 is better than s0 if s1 g1 > s0 g0        (arXiv 2512.02010)

Where q = 0 an element adds nothing to g. Elsewhere s / 4 <= |x|, which keys hold whole, and nothing
that does not saturate reaches 16 times the scale's binade: its exponent is one of six, from two
below that of the scale on.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.formats import element_bound, element_magnitudes, element_unit
from amxfp4.rtl.quantizer.key import KeyFormat

__all__ = ["ElementProduct", "ErrorFormat", "SmallerError"]


@dataclass(frozen=True)
class ErrorFormat:
    """Widths of what elements add to g, and of its sums. Elements are E2M1.

    With 2^b the binade of the scale and f the fraction bits of a key, q |x| is in units of
    2^(b - f - 3), q^2 in units of 1/4: |x| >= 2^(b - 2) has a last place of 2^(b - 2 - f), and q is
    a multiple of 1/2. q |x| < 6 * 16 * 2^b, which is below 2^(f + 10) of these units.
    """

    keys: KeyFormat

    @property
    def product_bits(self) -> int:
        """Bits of a product q |x|."""
        return self.keys.fraction_bits + 10

    @property
    def square_bits(self) -> int:
        """Bits of a square q^2: 144 quarters at most."""
        return bits_for(element_bound(self.keys.config.row.element) ** 2)

    @property
    def sums(self) -> data.StructLayout:
        """Sums over a block."""
        row = self.keys.config.row
        square = element_bound(row.element) ** 2
        product = (1 << self.product_bits) - 1
        return data.StructLayout(
            {"products": bits_for(product * row.block), "squares": bits_for(square * row.block)}
        )


class ElementProduct(wiring.Component):
    """What an element adds to g: q |x| and q^2. Combinational.

    q is 0, 1/2, 1 or 3/2 times a power of two, so a product is a word, or three times it, shifted
    left: by one for each binade of |x| above 2^(b - 2), which is `distance`, and each of q above
    that of 1. As q != 0 the distance is 0 to 5, three bits of a difference of exponents. Both
    scales have the same three times |x|.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    key : In(`KeyFormat.layout`)
    scale : In(`KeyFormat.scale_layout`)
    code : In(4), of the element under that scale
    product : Out(`ErrorFormat.product_bits`); not that of a key that saturates
    square : Out(`ErrorFormat.square_bits`)
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        self._widths = widths = ErrorFormat(keys)
        super().__init__(
            {
                "key": In(keys.layout),
                "scale": In(keys.scale_layout),
                "code": In(keys.config.row.element.width),
                "product": Out(widths.product_bits),
                "square": Out(widths.square_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        element = self._keys.config.row.element
        q = self.code[:-1]
        man, field = q[: element.mantissa_bits], q[element.mantissa_bits :]
        magnitude = self.key.magnitude

        # A scale's exponent is that of its first decision, which is at a quarter of it.
        distance = Signal(3)
        shift = Signal(4)
        triple = Signal(len(magnitude.fraction) + 3)
        single = Cat(C(0, 1), magnitude.fraction, C(1, 1))
        word = Signal(len(triple))
        m.d.comb += [
            distance.eq((magnitude.exponent - self.scale.exponent)[: len(distance)]),
            assign_low(shift, distance + field),
            triple.eq(single + single[1:]),
        ]
        # A single word is doubled: the last bit of what is shifted is lost where q = 1/2 only.
        with m.If(q.any()):
            m.d.comb += word.eq(Mux(man.any() & field.any(), triple, single))
        for n in range(len(shift)):
            longer = Signal(min(len(word) + (1 << n), len(self.product) + 1), name=f"shifted_{n}")
            m.d.comb += longer.eq(Mux(shift[n], Cat(C(0, 1 << n), word)[: len(longer)], word))
            word = longer
        m.d.comb += self.product.eq(word[1:])

        unit = Fraction(2) ** element_unit(element)
        with m.Switch(q):
            for code, value in enumerate(element_magnitudes(element)):
                with m.Case(code):
                    m.d.comb += self.square.eq(int((value / unit) ** 2))
        return m


class SmallerError(wiring.Component):
    """Whether a block's error is smaller under its second scale. Combinational.

        s1 g1 > s0 g0, g = 2 sum q |x| - s sum q^2

    g is not negative: q s is nearer to |x| than 0 is, or below it. The binade of s1 is that of s0
    or the next one, unless s0 = 0, where g0 = 0. Of a block with a key that saturates both scales
    are the largest, and so both sides equal, whatever its products are.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    sums : In(array of two `ErrorFormat.sums`), under either scale
    scales : In(array of two `KeyFormat.scale_layout`)
    second : Out(1)
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        super().__init__(
            {
                "sums": In(data.ArrayLayout(ErrorFormat(keys).sums, 2)),
                "scales": In(data.ArrayLayout(keys.scale_layout, 2)),
                "second": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        sides = []
        for n, (sums, scale) in enumerate(zip(self.sums, self.scales, strict=True)):
            significand = Cat(scale.fraction, C(1, 1))
            squares = Signal(len(sums.squares) + len(significand), name=f"squares_{n}")
            # In units of 2 sum q |x|: 2^(b - f - 2).
            gain = Signal(len(sums.products), name=f"gain_{n}")
            side = Signal(len(gain) + len(significand), name=f"side_{n}")
            places = keys.fraction_bits - keys.scale.mantissa_bits
            m.d.comb += [
                squares.eq(sums.squares * significand),
                assign_low(gain, sums.products - (squares << places)),
                side.eq(gain * significand),
            ]
            sides.append(side)
        higher = Signal()
        m.d.comb += [
            higher.eq(self.scales[0].exponent[0] ^ self.scales[1].exponent[0]),
            self.second.eq(Mux(higher, sides[1] << 2, sides[1]) > sides[0]),
        ]
        return m
