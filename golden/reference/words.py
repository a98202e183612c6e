"""Words and codes as fractions, and the nearest of some."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from amxfp4.params.formats import FloatFormat

__all__ = ["Number", "candidates", "floor_log2", "nearest", "power", "word_value"]

Number = Fraction | float
"""A Fraction; or inf, -inf, nan."""


@cache
def power(exponent: int) -> Fraction:
    """2^exponent."""
    return Fraction(2) ** exponent


@cache
def word_value(word: int, fmt: FloatFormat) -> Number:
    """Value of any code, as the bit fields define it.

    Examples
    --------
    >>> from amxfp4.params.formats import BF16, E8M0
    >>> word_value(0xBFC0, BF16), word_value(0x7F80, BF16), word_value(126, E8M0)
    (Fraction(-3, 2), inf, Fraction(1, 2))
    """
    magnitude_bits = fmt.exponent_bits + fmt.mantissa_bits
    magnitude = word % (1 << magnitude_bits)
    if fmt.twos_complement and word >> magnitude_bits:
        return (word - (1 << fmt.width)) * power(1 - fmt.bias - fmt.mantissa_bits)
    sign = -1 if fmt.signed_bit and word >> magnitude_bits else 1
    if magnitude == fmt.inf_magnitude:
        return sign * math.inf
    if magnitude > fmt.max_magnitude:
        return math.nan
    exponent = magnitude >> fmt.mantissa_bits
    fraction = Fraction(magnitude % (1 << fmt.mantissa_bits), 1 << fmt.mantissa_bits)
    if fmt.subnormals and exponent == 0:
        return sign * fraction * power(1 - fmt.bias)
    return sign * (1 + fraction) * power(exponent - fmt.bias)


@cache
def candidates(fmt: FloatFormat) -> list[tuple[Fraction, int]]:
    """Finite non-negative values and their codes."""
    found = []
    for code in range(fmt.max_magnitude + 1):
        value = word_value(code, fmt)
        assert isinstance(value, Fraction)
        found.append((value, code))
    return found


def nearest(x: Fraction, candidates: Sequence[tuple[Fraction, int]], ties: str) -> int:
    """Code of the candidate nearest to x; of two, the larger (RNA) or the even code (RNE)."""
    distances = [abs(x - value) for value, _ in candidates]
    best = min(distances)
    codes = [code for (_, code), d in zip(candidates, distances, strict=True) if d == best]
    return max(codes) if ties == "RNA" else min(codes, key=lambda code: code % 2)


def floor_log2(x: Fraction) -> int:
    """Exponent of the binade of x > 0."""
    # Where to look, no more: the loops decide.
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    while power(exponent) > x:
        exponent -= 1
    while power(exponent + 1) <= x:
        exponent += 1
    return exponent
