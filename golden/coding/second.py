"""A second scale, chosen by a comparison of errors that hardware can afford (docs/numerics.md).

Each scale, so with two scales each sign, is s0, that of S(m), or s1, whose code is `second` higher.
An element is seen through its exponent and one fraction bit more than scales have: with 2^b <= s0
< 2^(b + 1), all x in an eighth of a binade (a sixteenth, where scales have three bits) count as the
middle y of it, and weigh::

    w(y) = R((y - q1(y) s1)^2 - (y - q0(y) s0)^2)        in units of 2^2b, cut to [-2, 1]

R rounds to the nearest integer, ties down. Elements below 2^(b + 1) weigh nothing. s1 is taken when
the weights of the elements that the scale governs add up to less than 0. Where s0 is subnormal, or
s1 would be above the largest scale, s0 stays.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import magnitude_value
from amxfp4.params.formats import FP32, BlockFormat
from amxfp4.params.second import BINADES, WEIGHTS, fraction_bits

__all__ = ["take_second"]


def _error(x: Fraction, code: int, row: BlockFormat, unit: Fraction) -> Fraction:
    """Squared distance of x to the nearest element under a scale, in units of the scale's."""
    s = magnitude_value(row.scale, code)
    values = [magnitude_value(row.element, q) * s for q in range(row.element.max_magnitude + 1)]
    return min(((x - v) / unit) ** 2 for v in values)


@cache
def _weights(row: BlockFormat, second: int) -> npt.NDArray[np.int8]:
    """Weights [fractions of s0, 1 + places above 2^(b + 1)], after one of all that is below."""
    fractions, steps = 1 << row.scale.mantissa_bits, 1 << fraction_bits(row)
    table = np.zeros((fractions, 1 + len(BINADES) * steps), np.int8)
    for fraction in range(fractions):
        code = fractions + fraction  # of the lowest binade of normal scales
        unit = magnitude_value(row.scale, fractions)
        for place in range(table.shape[1] - 1):
            binade, step = divmod(place, steps)
            y = unit * 2 ** BINADES[binade] * (1 + Fraction(2 * step + 1, 2 * steps))
            gain = _error(y, code + second, row, unit) - _error(y, code, row, unit)
            rounded = (gain - Fraction(1, 2)).__ceil__()
            table[fraction, 1 + place] = min(max(rounded, WEIGHTS[0]), WEIGHTS[-1])
    table.flags.writeable = False
    return table


def take_second(
    magnitudes: npt.NDArray[Any], codes: npt.NDArray[np.uint8], row: BlockFormat, second: int
) -> npt.NDArray[np.uint8]:
    """Scale codes [n] of blocks, given those of S(m).

    Parameters
    ----------
    magnitudes
        [K, n], bit patterns of the elements that the scale governs, others below 1: FP32's, or
        their upper halves, as signed integers.
    codes
        uint8 [n], codes of S(m).
    """
    scale, table = row.scale, _weights(row, second)
    cut = FP32.width - 8 * magnitudes.itemsize
    seen = fraction_bits(row)
    places = magnitudes >> (FP32.mantissa_bits - seen - cut)
    field, fraction = np.divmod(codes.astype(places.dtype), 1 << scale.mantissa_bits)
    # The place of 2^(b + 1) is 1.
    lowest = (field - scale.bias + FP32.bias + BINADES[0] << seen) - 1
    places -= lowest
    np.clip(places, 0, table.shape[1] - 1, out=places)
    places += fraction * table.shape[1]
    total = table.ravel().take(places).sum(axis=0, dtype=np.int16)
    there = (field > 0) & (codes <= scale.max_magnitude - second)
    return np.where((total < 0) & there, codes + np.uint8(second), codes)
