"""Input words reduced to what the quantizer's decisions can see.

A decision compares a significand with a handful of constants of a few bits, so most of an input's
fraction never matters. A *key* keeps the sign, an exponent on one scale for normal and subnormal
words, and just enough fraction; keys order as the magnitudes do. Everything behind the keys
(maximum trees, queue, comparators) is as wide as a key, not as a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from amaranth.hdl import C, Cat, Module, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.gen.config import FloatFormat, QuantizerConfig, ScaleRule, Ties
from amxfp4.rtl.arith import assign_low
from amxfp4.rtl.formats import (
    Threshold,
    element_thresholds,
    floor_log2,
    magnitude_value,
    scale_thresholds,
)

__all__ = ["KeyDecoder", "KeyFormat"]


@dataclass(frozen=True)
class KeyFormat:
    """Widths and ranges of a key, derived from the formats.

    A key of exponent e > 0 and fraction f (of `fraction_bits` bits) stands for
    (1 + f / 2^fraction_bits) * 2^(e - bias), with the bits below dropped, or gathered in the
    lowest bit of f where a tie must be told from its neighbours (`sticky`). Exponent 0 is below
    every decision; `top` is NaN and infinity.
    """

    config: QuantizerConfig

    @property
    def word(self) -> FloatFormat:
        """Format of the input words."""
        return self.config.word

    @property
    def scale(self) -> FloatFormat:
        """Format of the scales."""
        return self.config.row.scale

    @property
    def infinity_is_nan(self) -> bool:
        """Whether an infinity makes its block NaN: it does when the scale is a power of two."""
        return self.config.row.scale_rule is not ScaleRule.NEAREST

    @cached_property
    def scale_steps(self) -> list[Threshold]:
        """Decisions on a block maximum."""
        return scale_thresholds(self.config.row, Ties(self.config.ties))

    @cached_property
    def element_steps(self) -> list[Threshold]:
        """Decisions on the ratio of an element to its scale."""
        return element_thresholds(self.config.row, Ties(self.config.ties))

    @cached_property
    def scale_significands(self) -> list[Fraction]:
        """Significand of a scale, by its fraction bits."""
        count = 1 << self.scale.mantissa_bits
        return [1 + Fraction(fraction, count) for fraction in range(count)]

    @cached_property
    def kept_bits(self) -> int:
        """Leading fraction bits of a word that decisions can see."""
        on_elements = [t * s for t in self.element_steps for s in self.scale_significands]
        needed = max(t.fraction_bits for t in self.scale_steps + on_elements)
        return min(needed, self.word.mantissa_bits)

    @cached_property
    def sticky(self) -> bool:
        """Whether the lowest fraction bit gathers the bits dropped."""
        strict = any(t.strict for t in self.scale_steps + self.element_steps)
        return strict and self.kept_bits < self.word.mantissa_bits

    @property
    def fraction_bits(self) -> int:
        """Bits of a key's fraction."""
        return self.kept_bits + self.sticky

    @cached_property
    def lowest_scale(self) -> int:
        """Exponent of the smallest scale above zero that an input brings about."""
        code = sum(t.value <= magnitude_value(self.word, 1) for t in self.scale_steps)
        if self.scale.subnormals:
            code = max(code, 1)  # code 0 is the scale zero
        return floor_log2(magnitude_value(self.scale, code))

    @cached_property
    def highest_scale(self) -> int:
        """Exponent of the largest scale."""
        return floor_log2(magnitude_value(self.scale, self.scale.max_magnitude))

    @cached_property
    def depth(self) -> int:
        """Binades of subnormal words that some decision can see."""
        lowest_decision = min(
            self.scale_steps[0].exponent, self.lowest_scale + self.element_steps[0].exponent
        )
        lowest_normal = 1 - self.word.bias
        return min(max(lowest_normal - lowest_decision, 0), self.word.mantissa_bits)

    @cached_property
    def offset(self) -> int:
        """What a key's exponent is above the exponent field of a normal word.

        At least `depth`, which gives subnormal words exponents of their own; and so much that
        exponent 0 stays below the first decision for the lowest scale: the ratio's exponent is
        at most that of the key less that of the scale.
        """
        room = self.word.bias + self.lowest_scale + self.element_steps[0].exponent - 1
        return max(self.depth, -room)

    @property
    def bias(self) -> int:
        """Exponent e of a key is the binade 2^(e - bias)."""
        return self.word.bias + self.offset

    @cached_property
    def highest_finite(self) -> int:
        """Largest exponent of a finite word's key."""
        return (1 << self.word.exponent_bits) - 2 + self.offset

    @cached_property
    def top(self) -> int:
        """Exponent of NaN and infinity; an infinity over the largest scale must still saturate."""
        if self.infinity_is_nan:
            return self.highest_finite + 1
        saturating = self.highest_scale + self.element_steps[-1].exponent + 2
        return max(self.highest_finite + 1, saturating + self.bias)

    @cached_property
    def scale_exponent_kill(self) -> int:
        """Scale exponent (in the terms of keys) under which every element, NaN too, is zero."""
        return self.top - self.element_steps[0].exponent + 1

    @property
    def magnitude_layout(self) -> data.StructLayout:
        """A key without its sign; it orders as an integer."""
        return data.StructLayout({"fraction": self.fraction_bits, "exponent": bits_for(self.top)})

    @property
    def layout(self) -> data.StructLayout:
        """A key."""
        return data.StructLayout({"magnitude": self.magnitude_layout, "sign": 1})

    @property
    def scale_layout(self) -> data.StructLayout:
        """A normalised scale: fraction of its significand, exponent in the terms of keys."""
        return data.StructLayout(
            {
                "fraction": self.scale.mantissa_bits,
                "exponent": bits_for(self.scale_exponent_kill),
            }
        )


class KeyDecoder(wiring.Component):
    """Key of one input word. Combinational.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    word : In(width of a word), BF16, FP16 or FP32
    key : Out(`KeyFormat.layout`)
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        super().__init__({"word": In(keys.word.width), "key": Out(keys.layout)})

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        man_bits, kept = keys.word.mantissa_bits, keys.kept_bits
        man, exponent = self.word[:man_bits], self.word[man_bits:-1]
        is_lowest, is_highest = exponent == 0, exponent.all()
        magnitude = self.key.magnitude

        def reduce(bits: Value) -> Value:
            """Fraction of a key from the bits behind a leading one."""
            padded = Cat(C(0, max(kept - len(bits), 0)), bits)
            dropped = len(padded) - kept
            leading = padded[dropped:]
            return Cat(padded[:dropped].any(), leading) if keys.sticky else leading

        m.d.comb += [
            self.key.sign.eq(self.word[-1]),
            # Words of all ones may not fit yet: they become `top` below.
            assign_low(magnitude.exponent, exponent + keys.offset),
            magnitude.fraction.eq(reduce(man)),
        ]

        # A subnormal word's leading one gives its exponent, as far down as decisions reach. What
        # is left below only needs to differ from zero.
        if keys.offset:
            with m.If(is_lowest):
                m.d.comb += magnitude.exponent.eq(0)
                if keys.depth:
                    m.d.comb += magnitude.fraction.eq(man[: man_bits - keys.depth].any())
        for n in reversed(range(keys.depth)):
            leading_one = man_bits - 1 - n
            with m.If(is_lowest & man[leading_one]):
                m.d.comb += magnitude.exponent.eq(keys.offset - n)
                m.d.comb += magnitude.fraction.eq(reduce(man[:leading_one]))
        if keys.top != (1 << keys.word.exponent_bits) - 1 + keys.offset:
            with m.If(is_highest):
                m.d.comb += magnitude.exponent.eq(keys.top)

        # At both ends of the exponent's range a fraction of zero is what tells infinity from NaN
        # and zero from a small number: there, the dropped bits count after all. (Words below the
        # normalised subnormals were gathered above.)
        ends_matter = not keys.infinity_is_nan and not keys.sticky
        if ends_matter and kept < man_bits:
            ends = is_highest if keys.depth else is_lowest | is_highest
            with m.If(ends & man[: man_bits - kept].any()):
                m.d.comb += magnitude.fraction[0].eq(1)
        return m
