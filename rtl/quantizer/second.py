"""A second scale for a block: what elements weigh, and whether their sum takes it.

    s0 = S(m); s1 has the code `second` above; s1 if sum w(x_i) < 0, else s0     (docs/numerics.md)

Squared errors are wide. An element's weight is two bits: how much less, in whole squares of the
scale's binade, its error is under s1, for the middle of the interval that its leading bits name. A
table of leading bits, exponent and the scale's fraction gives it.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import ceil

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.second import BINADES, WEIGHTS, fraction_bits
from amxfp4.rtl.lib.formats import magnitude_value
from amxfp4.rtl.quantizer.key import KeyFormat

__all__ = ["ElementWeight", "weight_of"]


def weight_of(keys: KeyFormat, fraction: int, binade: int, leading: int) -> int:
    """Weight of the elements with these leading fraction bits under a scale of this fraction.

    Parameters
    ----------
    keys
        The formats, and how far above the second scale is.
    fraction, leading
        Fraction bits of scale and element.
    binade
        Exponent of the element, above the scale's.
    """
    row = keys.config.row
    steps = 1 << row.scale.mantissa_bits
    elements = [magnitude_value(row.element, q) for q in range(row.element.max_magnitude + 1)]
    middle = (1 + Fraction(2 * leading + 1, 2 << fraction_bits(row))) * 2**binade
    squares = []
    for code in (fraction, fraction + keys.config.second):
        exponent, man = divmod(code, steps)
        scale = (1 + Fraction(man, steps)) * 2**exponent
        squares.append(min(abs(middle - element * scale) for element in elements) ** 2)
    rounded = ceil(squares[1] - squares[0] - Fraction(1, 2))
    return max(WEIGHTS[0], min(WEIGHTS[-1], rounded))


class ElementWeight(wiring.Component):
    """What an element says about the second scale. Combinational.

    Right wherever the scale has a second: no element then is above the last of `BINADES`.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    key : In(`KeyFormat.layout`)
    scale : In(`KeyFormat.scale_layout`), the first scale of the key's sign
    weight : Out(signed(2)), below 0 where the second scale is the better one
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        super().__init__(
            {
                "key": In(keys.layout),
                "scale": In(keys.scale_layout),
                "weight": Out(signed(2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        bits = fraction_bits(keys.config.row)
        leading = self.key.magnitude.fraction[-keys.kept_bits :][-bits:]
        # A scale's exponent is that of its first decision.
        a, b = self.key.magnitude.exponent, self.scale.exponent
        binade = Signal(signed(len(a) + 2))
        m.d.comb += binade.eq(a - b + keys.element_steps[0].exponent)

        places = defaultdict(list)
        for fraction in range(1 << keys.scale.mantissa_bits):
            for exponent in BINADES:
                for step in range(1 << bits):
                    weight = weight_of(keys, fraction, exponent, step)
                    if weight:
                        place = (fraction << 2 | exponent) << bits | step
                        places[weight].append(place)
        with m.If(binade >= 0), m.Switch(Cat(leading, binade[:2], self.scale.fraction)):
            for weight, cases in places.items():
                with m.Case(*cases):
                    m.d.comb += self.weight.eq(weight)
        return m
