"""Input words reduced to what the quantizer's decisions can see.

A decision compares a significand with a handful of constants of a few bits, so most of an input's
fraction never matters; and where scales have a small range, nor do most of its exponents: words
far below the smallest scale are zero, words far above the largest saturate. A *key* keeps the
sign, as much exponent as decisions tell apart, and just enough fraction; keys order as the
magnitudes do wherever anything is decided. Everything behind the keys (maxima, buffer, comparators)
is as wide as a key, not as a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from amaranth.hdl import C, Cat, Module, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.params.formats import FloatFormat, Ties
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.formats import (
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

    A key of exponent e and fraction f (of `fraction_bits` bits) stands for
    (1 + f / 2^fraction_bits) * 2^(e - bias), with the bits below dropped, or gathered in the
    lowest bit of f where a tie must be distinguished from its neighbours (`sticky`).

    A format with a zero point has one scale and needs both maxima, and their sum: its keys keep all
    fraction bits of a word, and the exponents that a sum of them can see. Where errors are compared
    keys keep all fraction bits, too.

    At both ends of the range keys say less. Below `small` a key is below every decision: all that
    counts is whether it is zero. From `saturated` on, every key has the largest scale and is the
    largest element.
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
        return self.config.row.power_of_two

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

    @property
    def sides(self) -> int:
        """Maxima of a block: of positive and of negative elements, or one of both."""
        return max(self.config.row.scales, 1 + self.config.row.zero_point)

    @cached_property
    def kept_bits(self) -> int:
        """Leading fraction bits of a word that decisions can see."""
        if self.config.row.zero_point or self.config.row.compares_errors:
            return self.word.mantissa_bits
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
    def sum_bits(self) -> int:
        """Leading fraction bits of a sum of two maxima that decisions on a scale can see."""
        return max(t.fraction_bits for t in self.scale_steps)

    @property
    def sum_places(self) -> int:
        """Fraction bits with which two maxima are added: a larger one's, or those of decisions."""
        return max(self.fraction_bits, self.sum_bits)

    @property
    def sum_sticky(self) -> bool:
        """Whether a sum's lowest fraction bit gathers what is below those."""
        return any(t.strict for t in self.scale_steps)

    @cached_property
    def lowest_decision(self) -> int:
        """Exponent of the lowest binade in which anything is decided."""
        on_scale = self.scale_steps[0].exponent
        if self.config.row.zero_point:
            # Of two maxima one is at least half of the sum, and the other may reach as far down.
            on_scale -= 1 + self.sum_places
        return min(on_scale, self.lowest_scale + self.element_steps[0].exponent)

    @cached_property
    def saturating(self) -> range | None:
        """Exponents of which any may be the first to saturate; ``None`` if no scale saturates.

        From the lowest on, words have the largest scale and are the largest element. From the
        highest on they must be said to be, since the exponent of a ratio would wrap.
        """
        if self.infinity_is_nan:
            return None
        largest = magnitude_value(self.scale, self.scale.max_magnitude)
        lowest = max(self.scale_steps[-1].exponent, (self.element_steps[-1] * largest).exponent) + 1
        # A ratio's exponent is at most that of the word less that of the scale.
        wraps = floor_log2(largest) + self.element_steps[0].exponent + (1 << self.ratio_bits)
        return range(lowest, wraps + 1)

    @cached_property
    def ratio_bits(self) -> int:
        """Bits that tell apart the exponents of ratios about which something is decided."""
        first, last = self.element_steps[0].exponent, self.element_steps[-1].exponent
        return bits_for(last + 1 - first)

    @cached_property
    def depth(self) -> int:
        """Binades of subnormal words that some decision can see."""
        lowest_normal = 1 - self.word.bias
        return min(max(lowest_normal - self.lowest_decision, 0), self.word.mantissa_bits)

    @cached_property
    def window(self) -> int | None:
        """Bits of an exponent about 2^0 that is enough for every decision, if it is shorter.

        Its binades are 2^(1 - n) to 2^n with n = 2^(bits - 1); words beyond are moved to its ends.
        """
        if self.saturating is None:
            return None
        for bits in range(2, self.word.exponent_bits):
            half = 1 << (bits - 1)
            if 1 - half < self.lowest_decision and self.saturating[0] <= half:
                return bits
        return None

    @cached_property
    def offset(self) -> int:
        """What a key's exponent is above the exponent field of a normal word.

        Without a window at least `depth`, which gives subnormal words exponents of their own; and
        so much that exponent 0 stays below the first decision for the lowest scale: the ratio's
        exponent is at most that of the key less that of the scale.
        """
        if self.window:
            return (1 << (self.window - 1)) - (1 << (self.word.exponent_bits - 1))
        room = self.word.bias + self.lowest_scale + self.element_steps[0].exponent - 1
        return max(self.depth, -room)

    @property
    def bias(self) -> int:
        """Exponent e of a key is the binade 2^(e - bias)."""
        return self.word.bias + self.offset

    @cached_property
    def ends(self) -> int:
        """Leading bits of a window's exponent, below the first, that tell its ends.

        A word below the window has them cleared, one above has them set.
        """
        assert self.window
        assert self.saturated is not None
        lowest = self.lowest_decision + self.bias
        rest = self.window - 1
        while 1 << rest > min(lowest, (1 << self.window) - self.saturated):
            rest -= 1
        return self.window - 1 - rest

    @cached_property
    def small(self) -> int:
        """Exponents below this power of two are below every decision."""
        return 1 << (self.window - 1 - self.ends) if self.window else 1

    @cached_property
    def saturated(self) -> int | None:
        """Exponent from which on keys saturate: of those that may be it, the easiest to tell."""
        if self.saturating is None:
            return None
        places = [exponent + self.bias for exponent in self.saturating]
        return max(places, key=lambda place: place & -place)

    @cached_property
    def top(self) -> int:
        """Largest exponent of a key."""
        if self.window:
            return (1 << self.window) - 1
        all_ones = (1 << self.word.exponent_bits) - 1 + self.offset
        return max(all_ones, self.saturated or 0)

    @property
    def exponent_bits(self) -> int:
        """Bits of a key's exponent."""
        return bits_for(self.top)

    @property
    def magnitude_layout(self) -> data.StructLayout:
        """A key without its sign."""
        return data.StructLayout({"fraction": self.fraction_bits, "exponent": self.exponent_bits})

    @property
    def maxima_layout(self) -> data.ArrayLayout:
        """The maxima of a block: of its positive keys and of its negative ones, or of all."""
        return data.ArrayLayout(self.magnitude_layout, self.sides)

    @property
    def maximum_bits(self) -> int:
        """Fraction bits of what a scale is chosen from: a maximum, or the sum of both."""
        if self.config.row.zero_point:
            return self.sum_bits + self.sum_sticky
        return self.fraction_bits

    @property
    def maximum_layout(self) -> data.StructLayout:
        """What a scale is chosen from."""
        return data.StructLayout({"fraction": self.maximum_bits, "exponent": self.exponent_bits})

    @property
    def layout(self) -> data.StructLayout:
        """A key."""
        return data.StructLayout({"magnitude": self.magnitude_layout, "sign": 1})

    @property
    def scale_layout(self) -> data.StructLayout:
        """A normalised scale as lanes take it.

        The fraction of its significand, and the exponent, in the terms of keys, of the first
        decision under it. With all ones in the exponent no key that does not saturate is above.
        """
        return data.StructLayout(
            {"fraction": self.scale.mantissa_bits, "exponent": self.exponent_bits}
        )

    @property
    def kill(self) -> int:
        """Exponent of a scale under which every element that does not saturate is zero."""
        return (1 << self.exponent_bits) - 1


class KeyDecoder(wiring.Component):
    """Key of one input word. Combinational.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    word : In(width of a word), BF16, FP16 or FP32
    key : Out(`KeyFormat.layout`)
    nan : Out(1), the word makes its block NaN
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        super().__init__({"word": In(keys.word.width), "key": Out(keys.layout), "nan": Out(1)})

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        man_bits = keys.word.mantissa_bits
        man, field = self.word[:man_bits], self.word[man_bits:-1]
        exponent, fraction = self.key.magnitude.exponent, self.key.magnitude.fraction
        is_highest = field.all()
        m.d.comb += [
            self.nan.eq(is_highest & (keys.infinity_is_nan | (man != 0))),
            self.key.sign.eq(self.word[-1]),
            fraction.eq(self._reduce(man)),
        ]
        is_small, moved = field == 0, C(0, 0)
        if keys.window:
            is_small, moved = self._cut(m, field)
        else:
            # Words of all ones may not fit yet: they become `top` below.
            m.d.comb += assign_low(exponent, field + keys.offset)
            self._normalise(m, man, is_lowest=is_small)
            if keys.top != (1 << keys.word.exponent_bits) - 1 + keys.offset:
                with m.If(is_highest):
                    m.d.comb += exponent.eq(keys.top)

        # Zero has a scale of its own, and what is too small for any decision has the scale zero: a
        # small word's lowest bit gathers what its key has lost. (Subnormal words that are
        # normalised have it gathered already.)
        if not keys.infinity_is_nan and not keys.depth:
            dropped = man[: 0 if keys.sticky else man_bits - keys.kept_bits]
            with m.If(is_small & Cat(dropped, moved).any()):
                m.d.comb += fraction[0].eq(1)
        return m

    def _reduce(self, bits: Value) -> Value:
        """Fraction of a key from the bits behind a leading one."""
        keys = self._keys
        padded = Cat(C(0, max(keys.kept_bits - len(bits), 0)), bits)
        dropped = len(padded) - keys.kept_bits
        leading = padded[dropped:]
        return Cat(padded[:dropped].any(), leading) if keys.sticky else leading

    def _cut(self, m: Module, field: Value) -> tuple[Value, Value]:
        """Cut an exponent field down to the window, and move what is beyond to its ends.

        Returns whether the word is small, and the bits of the field that its key then lacks.
        """
        assert self._keys.window
        low = self._keys.window - 1
        end = low - self._keys.ends
        above, beyond = field[-1], field[low:-1]
        exponent = self.key.magnitude.exponent
        m.d.comb += exponent.eq(Cat(field[:low], above))
        with m.If(~above & ~beyond.all()):
            m.d.comb += exponent[end:low].eq(0)
        with m.If(above & beyond.any()):
            m.d.comb += exponent[end:low].eq(~C(0, low - end))
        is_small = ~above & ~(beyond.all() & field[end:low].any())
        return is_small, field[end:-1]

    def _normalise(self, m: Module, man: Value, *, is_lowest: Value) -> None:
        """Take a subnormal word's exponent from its leading one, as far down as decisions reach.

        What is left below only needs to differ from zero.
        """
        keys, man_bits = self._keys, len(man)
        exponent, fraction = self.key.magnitude.exponent, self.key.magnitude.fraction
        if keys.offset:
            with m.If(is_lowest):
                m.d.comb += exponent.eq(0)
                if keys.depth:
                    m.d.comb += fraction.eq(man[: man_bits - keys.depth].any())
        for n in reversed(range(keys.depth)):
            leading_one = man_bits - 1 - n
            with m.If(is_lowest & man[leading_one]):
                m.d.comb += exponent.eq(keys.offset - n)
                m.d.comb += fraction.eq(self._reduce(man[:leading_one]))
