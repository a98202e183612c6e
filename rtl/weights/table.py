"""Words of all codes under the scales of a group."""

from __future__ import annotations

from fractions import Fraction

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.formats import FP16
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.rtl.lib.formats import floor_log2
from amxfp4.rtl.lib.multiples import multiples, odd_part
from amxfp4.rtl.weights.scale import BITS, LARGEST, round_product, scales_layout

__all__ = ["WeightTable"]


class WeightTable(wiring.Component):
    """Words of all codes under the scales of a group. Combinational.

        word = R(T[code] s),    s = s_neg if T[code] < 0, else s_pos          (arXiv 2311.01792)

    A product by a constant is a few additions, and products have parts in common.

    Members
    -------
    scales : In, one or two of `WeightScale.layout`
    words : Out, FP16 or BF16, one for each code
    """

    def __init__(self, config: WeightDequantizerConfig) -> None:
        self._config = config
        words = data.ArrayLayout(config.word.width, len(config.row.values))
        super().__init__({"scales": In(scales_layout(config)), "words": Out(words)})

    def elaborate(self, platform):
        m = Module()
        row, word = self._config.row, self._config.word
        values = [Fraction(v) for v in row.values]
        sides = [row.sides - 1 if v < 0 else 0 for v in values]
        magnitudes: dict[tuple[int, Fraction], Value] = {}
        for side in range(row.sides):
            mine = sorted({abs(v) for v, at in zip(values, sides, strict=True) if v and at == side})
            factors = {odd_part(v.numerator) for v in mine}
            scale = self.scales[side].significand
            products = multiples(m, scale, LARGEST, factors, f"times_{side}")
            for n, value in enumerate(mine):
                magnitude = Signal(word.width - 1, name=f"magnitude_{side}_{n}")
                rounded = self._rounded(m, side, value, products, magnitude.name)
                m.d.comb += magnitude.eq(Mux(self.scales[side].is_zero, 0, rounded))
                magnitudes[side, value] = magnitude
        for code, (value, side) in enumerate(zip(values, sides, strict=True)):
            if value:
                magnitude = magnitudes[side, abs(value)]
                # What rounds to zero is +0.
                sign = magnitude.any() & (value < 0)
                m.d.comb += self.words[code].eq(Cat(magnitude, sign))
            with m.If(self.scales[side].is_nan):
                m.d.comb += self.words[code].eq(word.nan_magnitude)
        return m

    def _rounded(
        self, m: Module, side: int, value: Fraction, products: dict[int, Value], name: str
    ) -> Value:
        """Round a scale's product by `value` to a word's magnitude."""
        word, scale, factor = self._config.word, self.scales[side], odd_part(value.numerator)
        one = BITS - floor_log2(value / factor)
        low, high = BITS + factor.bit_length() - 1, (factor * LARGEST).bit_length() - 1
        if word == FP16:  # with the smallest exponent the place of 1 is as far down as it goes
            low, high = min(low, one), max(high, one)
        tops = range(low, high + 1)
        return round_product(m, word, products[factor], scale.exponent, one, tops, value, name)
