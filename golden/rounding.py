"""Rounding once: exact sums to FP32 and BF16 words, with integer arithmetic on bit patterns.

A sum travels as a short list of float64 terms whose exact sum it is. `round_to_odd` turns the
list into one float64 that still knows on which side of every coarser rounding boundary the exact
sum lies (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms
using rounding to odd", IEEE TC 2008), and `convert` rounds that to the output word. Nothing here
is rounded twice, and no result passes through a subnormal float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import FP32, FloatFormat

__all__ = [
    "FP32_SIGN",
    "FP64",
    "convert",
    "integer_terms",
    "round_sum",
    "round_to_fp32",
    "round_to_odd",
]

FP32_SIGN = 1 << (FP32.width - 1)
"""Sign bit of an FP32 bit pattern."""

FP64 = FloatFormat(
    name="fp64", signed_bit=True, exponent_bits=11, mantissa_bits=52, bias=1023,
    max_magnitude=0x7FEFFFFFFFFFFFFF, nan_magnitude=0x7FF8000000000000,
    inf_magnitude=0x7FF0000000000000,
)  # fmt: skip
"""The format sums are computed in; no hardware word, so not in the shared parameters."""

_DIGIT = 30
"""Bits of an integer that become one float64 term."""

_UINTS: dict[int, type[np.unsignedinteger[Any]]] = {16: np.uint16, 32: np.uint32, 64: np.uint64}


def convert(
    bits: npt.NDArray[np.unsignedinteger[Any]], source: FloatFormat, target: FloatFormat
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Convert floating-point words, rounding to nearest, ties to even (IEEE 754 section 4.3.1).

    Subnormals are kept on both sides, overflow becomes infinity, the sign of zero stays, and
    every NaN becomes the target's canonical NaN, without a sign, when the target is narrower;
    widening keeps a NaN's sign and payload.

    Parameters
    ----------
    bits
        Words of `source`, unsigned, any shape.
    source, target
        IEEE-style formats with a sign, subnormals, infinity and NaN.

    Returns
    -------
    Words of `target`, unsigned, same shape.
    """
    assert source.inf_magnitude is not None
    assert target.inf_magnitude is not None
    assert target.nan_magnitude is not None
    flat = bits.reshape(-1)
    wide = flat.astype(np.int64) if source.width < 64 else flat.view(np.int64)
    source_sign = 1 << (source.width - 1)
    magnitude = wide & (source_sign - 1)
    negative = (wide < 0) if source.width == 64 else (wide >= source_sign)
    field = magnitude >> source.mantissa_bits
    hidden = 1 << source.mantissa_bits
    significand = (magnitude & (hidden - 1)) + ((field > 0) * np.int64(hidden))
    # Exponent field in the target of the same binade; below 1 it is the subnormal range.
    target_field = np.maximum(field, 1) - source.bias + target.bias
    drop = source.mantissa_bits - target.mantissa_bits
    if drop < 0:
        result = _widen(significand, target_field, -drop, hidden, target)
        result[magnitude == source.inf_magnitude] = target.inf_magnitude
    else:
        # Beyond its own width and one bit a significand rounds to zero at any shift.
        shift = np.minimum(drop + np.maximum(1 - target_field, 0), source.mantissa_bits + 2)
        half_less_one = (np.int64(1) << np.maximum(shift - 1, 0)) - (shift > 0)
        odd = (significand >> shift) & (shift > 0)
        rounded = (significand + half_less_one + odd) >> shift
        # The hidden bit left in `rounded` adds the missing one to the exponent field.
        result = ((np.maximum(target_field, 1) - 1) << target.mantissa_bits) + rounded
    # Narrowed, infinity overflows like any value of its large exponent field.
    result = np.minimum(result, target.inf_magnitude)
    result |= negative.astype(np.int64) << (target.width - 1)
    nan = magnitude > source.inf_magnitude
    if nan.any():
        if drop < 0:
            payload = (magnitude[nan] & (hidden - 1)) << -drop
            sign = negative[nan].astype(np.int64) << (target.width - 1)
            result[nan] = target.inf_magnitude | payload | sign
        else:
            result[nan] = target.nan_magnitude
    return result.astype(_UINTS[target.width]).reshape(bits.shape)


def _widen(
    significand: npt.NDArray[np.int64],
    target_field: npt.NDArray[np.int64],
    up: int,
    hidden: int,
    target: FloatFormat,
) -> npt.NDArray[np.int64]:
    """Magnitudes in a format with `up` more mantissa bits; exact."""
    significand, target_field = significand << up, target_field.copy()
    hidden <<= up
    # Subnormals become normal where the target's exponent range allows it.
    while True:
        low = (significand < hidden) & (significand > 0) & (target_field > 1)
        if not low.any():
            break
        significand[low] <<= 1
        target_field[low] -= 1
    result = ((target_field - 1) << target.mantissa_bits) + significand
    result[significand == 0] = 0
    return result


def integer_terms(
    total: npt.NDArray[np.int64] | npt.NDArray[np.object_], exponent: int, bits: int
) -> list[npt.NDArray[np.float64]]:
    """Integers of up to `bits` bits, in units of 2^exponent, as exact float64 terms."""
    terms = []
    for low in range(0, bits, _DIGIT):
        digit = total >> low
        if low + _DIGIT < bits:
            digit = digit & ((1 << _DIGIT) - 1)
        terms.append(np.asarray(digit, np.float64) * 2.0 ** (exponent + low))
    return terms


def round_to_odd(terms: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Exact sum of the terms, rounded to odd: inexact results get an odd last bit.

    The terms are distilled with error-free additions (Knuth's TwoSum) until each is too small
    to change the next; the sign of the second largest then tells which neighbour of the largest
    is the odd one. A later rounding to 51 bits or fewer equals rounding the exact sum.

    Parameters
    ----------
    terms
        Finite float64 arrays of one shape, far from float64's subnormal range; a single one may
        also hold NaN and infinity, which stay.

    Returns
    -------
    float64, same shape; an exact zero is +0.

    Raises
    ------
    ValueError
        One of several terms is NaN or infinity.
    """
    parts = list(terms)
    if len(parts) > 1 and not all(np.isfinite(part).all() for part in parts):
        raise ValueError("terms must be finite, not NaN or infinity")
    changed = residue = len(parts) > 1
    while changed:
        changed = residue = False
        for i in range(len(parts) - 1):
            low, high = parts[i], parts[i + 1]
            total = low + high
            virtual = total - high
            changed = changed or not np.array_equal(total, high)
            parts[i] = (high - (total - virtual)) + (low - virtual)
            parts[i + 1] = total
            residue = residue or bool(parts[i].any())
        if not residue or len(parts) == 2:
            break  # nothing was rounded off; or one TwoSum, which is its own fixed point
    top = parts[-1] + 0.0  # a copy, and -0 becomes +0
    if residue:
        rest = parts[-2]
        bits = top.view(np.int64)
        inexact_even = (rest != 0) & (bits & 1 == 0)
        bits += np.where((rest > 0) == (top > 0), 1, -1) * inexact_even
    return top


def round_to_fp32(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round FP64 values to FP32 ones (nearest, ties to even), still held in FP64.

    Where FP32 is subnormal, FP64 is not, so a processor that flushes subnormals does no harm.
    A sum of two FP32 values, rounded to FP64 and then here, is the IEEE 754 FP32 sum: 53 bits are
    more than twice 24 and two.

    Parameters
    ----------
    x
        float64, any shape; exact, rounded to odd, or the sum of two FP32 values.

    Returns
    -------
    float64, same shape. Overflow is infinity; infinity and NaN stay.
    """
    bits, drop = x.view(np.int64), FP64.mantissa_bits - FP32.mantissa_bits
    odd = (bits >> drop) & 1
    rounded = ((bits + ((1 << (drop - 1)) - 1) + odd) & -(1 << drop)).view(np.float64)
    subnormal = np.abs(x) < 2.0 ** (1 - FP32.bias)
    if subnormal.any():
        # FP64 numbers of this size have FP32's smallest subnormal as their unit.
        unit = 1 - FP32.bias - FP32.mantissa_bits
        large = 1.5 * 2.0 ** (unit + FP64.mantissa_bits)
        rounded = np.where(subnormal, (x + large) - large, rounded)
    overflow = np.abs(rounded) >= 2.0 ** (FP32.bias + 1)
    if overflow.any():
        rounded[overflow] = np.copysign(np.inf, rounded[overflow])
    return rounded


def round_sum(
    terms: Sequence[npt.NDArray[np.float64]], target: FloatFormat
) -> npt.NDArray[np.float32]:
    """Exact sum of the terms, rounded once to FP32 or BF16 (nearest, ties to even).

    Parameters
    ----------
    terms
        As for `round_to_odd`.
    target
        FP32 or BF16.

    Returns
    -------
    float32 holding values of `target`; overflow is infinity, subnormals are kept, an exact zero
    is +0 (a negative sum that rounds to zero is -0), NaN is the canonical one.

    Examples
    --------
    >>> from amxfp4.params.formats import BF16, FP32
    >>> terms = [np.array([2.0**80]), np.array([-(2.0**80)]), np.array([1.0]), np.array([2.0**-8])]
    >>> round_sum(terms, FP32), round_sum(terms, BF16)
    (array([1.0039062], dtype=float32), array([1.], dtype=float32))
    """
    words = convert(round_to_odd(terms).view(np.uint64), FP64, target)
    return (words.astype(np.uint32) << (FP32.width - target.width)).view(np.float32)
