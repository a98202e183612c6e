"""The range of a block, from its largest positive to its largest negative element."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib.arith import shift_right
from amxfp4.rtl.quantizer.key import KeyFormat

__all__ = ["RangeSum"]


class RangeSum(wiring.Component):
    """Sum of the two maxima of a block, as far as decisions on a scale see it. Combinational.

        p + n, from which S is R((p + n) / 15)                (docs/numerics.md, Quantizing a block)

    The smaller one moves down to the exponent of the larger. Decisions are multiples of the larger
    one's last place, or of `fraction_bits` of the sum if they are finer, so that what the smaller
    one loses below both can only break a tie: it is dropped, or gathered in the lowest bit if ties
    are decisions.

    Parameters
    ----------
    keys : KeyFormat
        Of a format with a zero point: its keys hold all bits of a word.

    Members
    -------
    maxima : In(array of two `KeyFormat.magnitude_layout`): p and n
    sum : Out(`KeyFormat.maximum_layout`)
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        super().__init__({"maxima": In(keys.maxima_layout), "sum": Out(keys.maximum_layout)})

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        p, n = self.maxima
        larger = Signal(keys.magnitude_layout)
        smaller = Signal(keys.magnitude_layout)
        n_is_larger = Signal()
        m.d.comb += [
            n_is_larger.eq(n.as_value() > p.as_value()),
            larger.eq(Mux(n_is_larger, n.as_value(), p.as_value())),
            smaller.eq(Mux(n_is_larger, p.as_value(), n.as_value())),
        ]

        # Significands in units of 2^-places of the larger one's binade.
        places, padding = keys.sum_places, C(0, keys.sum_places - keys.fraction_bits)
        present = smaller.as_value().any()
        significand = Cat(padding, smaller.fraction, present)
        distance = Signal(keys.exponent_bits)
        m.d.comb += distance.eq((larger.exponent - smaller.exponent)[: len(distance)])
        steps = places.bit_length()
        moved, lost = shift_right(m, significand, distance[:steps], "moved")
        is_far = distance[steps:].any()
        total = Signal(places + 2)
        rest = Mux(is_far, present, lost)
        m.d.comb += total.eq(Cat(padding, larger.fraction, C(1, 1)) + Mux(is_far, 0, moved))

        # Two significands reach 2, or nearly 4. Beyond `top` there is nothing to tell apart.
        carries = Signal()
        m.d.comb += carries.eq(total[-1])
        fraction = Mux(carries, total[1:-1], Cat(total[:-2])[:places])
        kept = keys.sum_bits
        dropped = Cat(fraction[: places - kept], rest, carries & total[0]).any()
        word = Cat(*([dropped] if keys.sum_sticky else []), fraction[places - kept :])
        # Below every decision a sum only differs from zero.
        tiny = (larger.exponent == 0) & larger.fraction.any()
        m.d.comb += [
            self.sum.fraction.eq(word | tiny),
            self.sum.exponent.eq(
                (larger.exponent + (carries & (larger.exponent != keys.top)))[: len(distance)]
            ),
        ]
        return m
