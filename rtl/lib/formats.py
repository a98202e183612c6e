"""Number formats as the hardware sees them: exact values, and the thresholds of rounding.

Everything here runs while the hardware is described, on exact fractions; no constant of a format
is written down, each is derived from the parameters in `amxfp4.gen.config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from amxfp4.params.formats import BlockFormat, FloatFormat, ScaleRule, Ties

__all__ = [
    "Threshold",
    "element_bound",
    "element_magnitudes",
    "element_thresholds",
    "element_unit",
    "floor_log2",
    "is_integer",
    "magnitude_value",
    "scale_thresholds",
    "significand",
]


def floor_log2(x: Fraction) -> int:
    """Exponent e of the binade [2^e, 2^(e+1)) that holds `x` > 0."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if x >= Fraction(2) ** e else e - 1


def significand(x: Fraction) -> Fraction:
    """`x` > 0 divided by the power of two at or below it: in [1, 2)."""
    return x / Fraction(2) ** floor_log2(x)


def magnitude_value(fmt: FloatFormat, magnitude: int) -> Fraction:
    """Value of a finite magnitude code (OCP MX v1.0 section 5.3; IEEE 754 with subnormals)."""
    exponent, mantissa = divmod(magnitude, 1 << fmt.mantissa_bits)
    fraction = Fraction(mantissa, 1 << fmt.mantissa_bits)
    if fmt.subnormals and exponent == 0:
        return fraction * Fraction(2) ** (1 - fmt.bias)
    return (1 + fraction) * Fraction(2) ** (exponent - fmt.bias)


def is_integer(fmt: FloatFormat) -> bool:
    """Whether values are integers, their codes plain or two's complement."""
    return not fmt.exponent_bits


def element_unit(fmt: FloatFormat) -> int:
    """Exponent of the power of two of which every value of an element is a multiple."""
    return 1 - fmt.bias - fmt.mantissa_bits


def element_magnitudes(fmt: FloatFormat) -> list[Fraction]:
    """Magnitudes of elements, whoever wrote them; with a zero point, of distances from it."""
    values = [magnitude_value(fmt, code) for code in range(fmt.max_magnitude + 1)]
    # Two's complement has one more below zero.
    return [*values, values[-1] + 1] if fmt.twos_complement else values


def element_bound(fmt: FloatFormat) -> int:
    """Largest magnitude of an element, in its unit."""
    return int(element_magnitudes(fmt)[-1] / Fraction(2) ** element_unit(fmt))


@dataclass(frozen=True)
class Threshold:
    """A decision: x passes when x >= `value`, or when x > `value` if `strict`."""

    value: Fraction
    strict: bool = False

    @property
    def exponent(self) -> int:
        """Exponent of the binade that holds the value."""
        return floor_log2(self.value)

    @property
    def fraction(self) -> Fraction:
        """Fraction of the value in its binade, in [0, 1)."""
        return significand(self.value) - 1

    @property
    def fraction_bits(self) -> int:
        """Bits that write `fraction` exactly."""
        return self.fraction.denominator.bit_length() - 1

    def __mul__(self, factor: Fraction) -> Threshold:
        return Threshold(self.value * factor, self.strict)


def _midpoints(fmt: FloatFormat, ties: Ties) -> list[Threshold]:
    """Decisions of round to nearest: number k separates magnitudes k and k + 1.

    With RNE the tie goes to the even code, so the step up to an odd one is strict.
    """
    values = [magnitude_value(fmt, c) for c in range(fmt.max_magnitude + 1)]
    return [
        Threshold((low + high) / 2, strict=ties is Ties.RNE and code % 2 == 1)
        for code, (low, high) in enumerate(pairwise(values), start=1)
    ]


def element_thresholds(row: BlockFormat, ties: Ties) -> list[Threshold]:
    """Decisions on the ratio of an element to its scale: as many as pass is its magnitude code."""
    return _midpoints(row.element, ties)


def scale_thresholds(row: BlockFormat, ties: Ties, held: int | None = None) -> list[Threshold]:
    """Decisions on the block maximum m > 0: as many as pass is the scale code.

    ``NEAREST`` is R(m / 6), with 6 the largest element, or `held` in its place: the midpoints of
    the scale format times 6. ``FOUR_OR_SIX`` has that of either. ``RANGE`` is the same of the range
    p + n, and 15. ``FLOOR`` is 2^(floor(log2 m) - 2), with 2
    the exponent of the largest element (OCP MX v1.0 section 6.3). ``ROUND_UP`` steps where that
    largest element would round up to the next power of two if it could: 7 in place of 8, that is
    1.75 instead of 2 (PoT-R in arXiv 2411.09909).
    ``CEILING`` is the smallest power of two s with m <= 6 s.
    """
    largest = magnitude_value(row.element, row.element.max_magnitude)
    if row.scale_rule in (ScaleRule.NEAREST, ScaleRule.RANGE, ScaleRule.FOUR_OR_SIX):
        return [t * Fraction(held or largest) for t in _midpoints(row.scale, ties)]
    if row.scale_rule is ScaleRule.CEILING:
        # A scale holds up to its largest element, and not a bit more.
        codes = range(row.scale.max_magnitude)
        return [Threshold(largest * magnitude_value(row.scale, c), strict=True) for c in codes]
    binade = Fraction(2) ** (floor_log2(largest) + 1)
    # FLOOR steps at 4 s; ROUND_UP in the binade below, where m / s would grow to 7.
    step = binade / 2 if row.scale_rule is ScaleRule.FLOOR else (largest + binade) / 4
    codes = range(1, row.scale.max_magnitude + 1)
    return [Threshold(step * magnitude_value(row.scale, code)) for code in codes]
