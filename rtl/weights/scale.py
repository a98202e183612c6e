"""Decoding of FP16 scales, and the one rounding of their products."""

from __future__ import annotations

from fractions import Fraction

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.formats import FP16, FloatFormat
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["BITS", "LARGEST", "WeightScale", "round_product", "scales_layout"]

BITS = FP16.mantissa_bits
"""Fraction bits of a scale: its significand is an integer below 2^11, in units of 2^-10."""
LARGEST = (2 << BITS) - 1
"""The largest significand."""


class WeightScale(wiring.Component):
    """Decode one FP16 scale. Combinational.

    A scale is `significand` 2^(`exponent` - bias - 10), with the bias of the output. For FP16 a
    subnormal scale stays one: its values are in its unit, too. For BF16, which reaches further
    down, it is normalised.

    Members
    -------
    code : In(16), FP16; the sign bit is ignored, and infinity counts as NaN
    scale : Out, see `layout`
    """

    def __init__(self, config: WeightDequantizerConfig) -> None:
        self._word = config.word
        super().__init__({"code": In(FP16.width), "scale": Out(self.layout(config))})

    @staticmethod
    def exponents(word: FloatFormat) -> range:
        """Exponents of decoded scales."""
        rebias = word.bias - FP16.bias
        lowest = rebias + 1 if word == FP16 else rebias + 1 - BITS
        return range(lowest, rebias + (1 << FP16.exponent_bits))

    @staticmethod
    def layout(config: WeightDequantizerConfig) -> data.StructLayout:
        """Layout of a decoded scale."""
        exponents = WeightScale.exponents(config.word)
        # In FP16 a zero is one more subnormal number; normalised it has no leading one.
        is_zero = int(config.word != FP16)
        return data.StructLayout(
            {"significand": BITS + 1, "exponent": exponents, "is_zero": is_zero, "is_nan": 1}
        )

    def elaborate(self, platform):
        m = Module()
        scale = self.scale
        fraction, field = self.code[:BITS], self.code[BITS:-1]
        rebias = self._word.bias - FP16.bias
        m.d.comb += [
            scale.significand.eq(Cat(fraction, field.any())),
            assign_low(scale.exponent, field + rebias),
            scale.is_nan.eq(field.all()),
        ]
        with m.If(field == 0):
            m.d.comb += scale.exponent.eq(rebias + 1)
            if self._word != FP16:
                m.d.comb += scale.is_zero.eq(fraction == 0)
            for top in range(BITS if self._word != FP16 else 0):
                with m.If(fraction[top]):  # the last that holds is the leading one
                    m.d.comb += [
                        scale.significand.eq(Cat(C(0, BITS - top), fraction[: top + 1])),
                        scale.exponent.eq(rebias + 1 - BITS + top),
                    ]
        return m


def scales_layout(config: WeightDequantizerConfig) -> data.ArrayLayout:
    """Layout of a group's decoded scales."""
    return data.ArrayLayout(WeightScale.layout(config), config.row.sides)


def round_product(
    m: Module,
    word: FloatFormat,
    product: Value,
    exponent: Value,
    one: int,
    tops: range,
    largest: Fraction,
    name: str,
) -> Value:
    """Round ``product 2^(exponent - bias - one)`` once to a word without its sign.

    To nearest, ties to even. The highest bit that counts is one of `tops`: the leading one, or in
    FP16 the place of the smallest normal word's, below which the unit of a word stays the same.
    `largest` is the largest factor of a scale: up to 1 nothing overflows.
    """
    kept = word.mantissa_bits
    # The significand with its guard bit, whether anything is left, and the exponent less one.
    found = Signal(kept + 2, name=f"{name}_found")
    rest = Signal(name=f"{name}_rest")
    below = Signal(word.exponent_bits + 1, name=f"{name}_below")
    for top in tops:
        guard = top - kept - 1
        bits = Cat(C(0, max(0, -guard)), product)[max(0, guard) :]
        choice = [
            found.eq(bits[: kept + 2]),
            rest.eq(product[: max(0, guard)].any()),
            assign_low(below, exponent + (top - one - 1)),
        ]
        reached = product[top:].any()
        if word == FP16:
            reached |= exponent <= one + 1 - top
        with m.If(C(1, 1) if top == tops[0] else reached):
            m.d.comb += choice
    up = found[0] & (rest | found[1])
    rounded = Signal(word.width, name=f"{name}_rounded")
    # The hidden bit adds the one that `below` lacks, and a carry out of the fraction is right, too.
    m.d.comb += assign_low(rounded, Cat(found[1:-1], below + found[-1]) + up)
    if word != FP16 or largest <= 1:
        return rounded[:-1]
    return Mux(rounded >= word.inf_magnitude, word.inf_magnitude, rounded[:-1])
