"""The word of one element, by a multiplication of its own."""

from __future__ import annotations

from fractions import Fraction

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.formats import FP16
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.params.weights import WeightFormat
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.formats import floor_log2, significand
from amxfp4.rtl.weights.scale import BITS, LARGEST, WeightScale, round_product, scales_layout

__all__ = ["WeightElement", "table_width"]


def table_width(row: WeightFormat) -> int:
    """Bits of the significands of a table's values."""
    return max(significand(abs(Fraction(v))).denominator.bit_length() for v in row.values if v)


class WeightElement(wiring.Component):
    """Word of one element by a multiplication of its own, else as `WeightTable`. Combinational.

    Members
    -------
    code : In(4 or 3)
    scales : In, one or two of `WeightScale.layout`
    word : Out(16), FP16 or BF16
    """

    def __init__(self, config: WeightDequantizerConfig) -> None:
        self._config = config
        ports = {"code": In(config.row.bits), "scales": In(scales_layout(config))}
        super().__init__({**ports, "word": Out(config.word.width)})

    def elaborate(self, platform):
        m = Module()
        row, word = self._config.row, self._config.word
        values = [Fraction(v) for v in row.values]
        magnitudes = {abs(v) for v in values if v}
        width = table_width(row)
        rises = [floor_log2(v) for v in magnitudes]
        least, most = min(rises), max(rises)

        # The table's value: its significand, the highest bit of which is 1, and its exponent.
        fraction = Signal(width - 1)
        rise = Signal(range(least, most + 1))
        is_negative = Signal()
        is_zero = Signal()
        with m.Switch(self.code):
            for code, value in enumerate(values):
                with m.Case(code):
                    m.d.comb += [is_negative.eq(value < 0), is_zero.eq(value == 0)]
                    if value:
                        part = (significand(abs(value)) - 1) * (1 << (width - 1))
                        m.d.comb += [fraction.eq(int(part)), rise.eq(floor_log2(abs(value)))]

        scale = Signal(WeightScale.layout(self._config))
        first, last = (self.scales[side].as_value() for side in (0, row.sides - 1))
        m.d.comb += scale.as_value().eq(Mux(is_negative, last, first))
        product = Signal(range(((1 << width) - 1) * LARGEST + 1))
        # The range holds every product; of a table of powers of two it is a bit narrower.
        m.d.comb += assign_low(product, scale.significand * Cat(fraction, C(1, 1)))
        exponents = WeightScale.exponents(word)
        exponent = Signal(range(exponents[0] + least, exponents[-1] + most + 1))
        # The range holds every sum.
        m.d.comb += assign_low(exponent, scale.exponent + rise)

        one = BITS + width - 1
        low, high = one, one + 1
        if word == FP16:
            low, high = one - max(0, most), one + max(1, -least)
        tops, largest = range(low, high + 1), max(magnitudes)
        rounded = round_product(m, word, product, exponent, one, tops, largest, "value")
        magnitude = Signal(word.width - 1)
        m.d.comb += magnitude.eq(Mux(scale.is_zero | is_zero, 0, rounded))
        m.d.comb += self.word.eq(Cat(magnitude, is_negative & magnitude.any()))
        with m.If(scale.is_nan):
            m.d.comb += self.word.eq(word.nan_magnitude)
        return m
