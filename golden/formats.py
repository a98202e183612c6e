"""Codes and the values they stand for, words of tensors, and the rounding tables.

Bit patterns of non-negative floats order like the integers they are. Rounding to the nearest
member of an increasing set of codes therefore is counting: how many thresholds does the bit
pattern reach? All inputs become FP32 bit patterns, which hold BF16, FP16 and FP32 exactly, and
every threshold is derived from the parameters in `amxfp4.params.formats` exactly. No
FP32 comparison takes part, so flush-to-zero modes of the processor change nothing.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose
from amxfp4.params.formats import FP32, INPUTS, BlockFormat, FloatFormat, ScaleRule, Ties

from .checks import check_array
from .rounding import convert

__all__ = [
    "NEVER",
    "decode",
    "element_index",
    "element_thresholds",
    "element_values",
    "magnitude_value",
    "one_code",
    "scale_thresholds",
    "values",
    "words",
]

NEVER = 0x7FFFFFFF
"""Threshold above every finite and infinite FP32 bit pattern."""

_WORD_DTYPES: dict[int, type[np.unsignedinteger[Any]]] = {16: np.uint16, 32: np.uint32}


def magnitude_value(fmt: FloatFormat, magnitude: int) -> Fraction:
    """Value of a finite magnitude code (the code without its sign bit), exactly.

    Examples
    --------
    >>> from amxfp4.params.formats import E2M1
    >>> [str(magnitude_value(E2M1, m)) for m in range(8)]
    ['0', '1/2', '1', '3/2', '2', '3', '4', '6']
    """
    exponent, mantissa = divmod(magnitude, 1 << fmt.mantissa_bits)
    if fmt.subnormals and exponent == 0:
        exponent = 1
    else:
        mantissa += 1 << fmt.mantissa_bits
    return mantissa * Fraction(2) ** (exponent - fmt.bias - fmt.mantissa_bits)


@cache
def _values(fmt: FloatFormat) -> npt.NDArray[np.float64]:
    """Value of every code of a format of at most 8 bits; NaN above `max_magnitude`."""
    half = 1 << (fmt.width - fmt.signed_bit)
    table = np.full(half, np.nan)
    for magnitude in range(fmt.max_magnitude + 1):
        table[magnitude] = float(magnitude_value(fmt, magnitude))
    if fmt.twos_complement:
        # A negative code is 2^width less its magnitude, and the most negative one has no other.
        table = np.concatenate([table, np.arange(-half, 0) * table[1]])
    elif fmt.signed_bit:
        negative = -table
        negative[table == 0] = 0.0
        negative[np.isnan(table)] = np.nan
        table = np.concatenate([table, negative])
    table.flags.writeable = False
    return table


def decode(codes: npt.NDArray[np.uint8], fmt: FloatFormat) -> npt.NDArray[np.float64]:
    """Values of element or scale codes (OCP MX v1.0 section 5.3, OCP FP8 v1.0 section 3).

    Exact. Both zeros decode to +0; codes above the largest finite magnitude decode to NaN.

    Parameters
    ----------
    codes
        uint8 [...], each below 2^`fmt.width`.
    fmt
        A format of at most 8 bits: one of elements, or one of scales.

    Returns
    -------
    float64 [...], in which no value is subnormal.

    Examples
    --------
    >>> from amxfp4.params.formats import E2M1, E5M2
    >>> decode(np.arange(6, 11, dtype=np.uint8), E2M1)
    array([ 4. ,  6. ,  0. , -0.5, -1. ])
    >>> decode(np.array([0x3C, 0x7B, 0x7C], np.uint8), E5M2)
    array([1.0000e+00, 5.7344e+04,        nan])
    """
    return _values(fmt)[codes]


@cache
def element_values(row: BlockFormat) -> npt.NDArray[np.float64]:
    """Values of elements before scaling, by `element_index`: +0 where they are zero.

    They are those of the codes; with a zero point those of all differences of two codes.
    """
    most = row.element.max_magnitude
    if row.zero_point:
        return np.arange(-most, most + 1, dtype=np.float64)
    return _values(row.element)


def element_index(
    row: BlockFormat, codes: npt.NDArray[np.uint8], zero_point: npt.NDArray[np.uint8] | None
) -> npt.NDArray[Any]:
    """Index into `element_values` of element codes [..., K], with zero points [...] if any."""
    if zero_point is None:
        return codes
    most = row.element.max_magnitude
    kind = np.uint8 if 2 * most < 256 else np.uint16
    return np.add(codes, (most - zero_point)[..., None], dtype=kind)


def one_code(row: BlockFormat) -> int:
    """Scale code of a side without elements: 1.0, and 2^-127 (code 0) for power-of-two scales."""
    if row.power_of_two:
        return 0
    return int(np.flatnonzero(_values(row.scale) == 1)[0])


def _key(threshold: Fraction, *, above: bool = False) -> int:
    """Smallest FP32 bit pattern that is at least (or, with `above`, above) a positive threshold.

    `NEVER` when no finite FP32 value is.
    """
    # Exponent of the unit in the last place, 2^exponent <= threshold / 2^23 where normal.
    exponent = threshold.numerator.bit_length() - threshold.denominator.bit_length()
    if Fraction(2) ** exponent > threshold:
        exponent -= 1
    field = max(exponent + FP32.bias, 1)
    units = threshold / Fraction(2) ** (field - FP32.bias - FP32.mantissa_bits)
    count = units.__floor__() + 1 if above else units.__ceil__()
    # The hidden bit in `count` carries into the exponent field; a subnormal has none.
    key = ((field - 1) << FP32.mantissa_bits) + count
    return key if key <= FP32.max_magnitude else NEVER


def _even(code: int) -> bool:
    return code % 2 == 0


@cache
def scale_thresholds(
    row: BlockFormat, ties: Ties, held: int | None = None
) -> npt.NDArray[np.int32]:
    """FP32 bit patterns of the block maxima at which the scale code grows by one.

    Entry c is the smallest m with S(m) > c, so S(m) is the number of entries that m reaches:

    - nearest (arXiv 2411.09909, section 4), with 6 or `held`: m >= 6 * (v[c] + v[c+1]) / 2; 7 in
      place of 6 for integers;
    - floor (OCP MX v1.0, section 6.3): m >= 2^(c+1-127) * 4;
    - round-up: as floor, but from 7/8 of the next power of two on;
    - ceiling: m > 6 * v[c].

    Parameters
    ----------
    row
        The format; its element gives the 6 and the 4, its scale the values v.
    ties
        Whether m exactly on a midpoint takes the upper code (RNA) or the even one (RNE).
    held
        What the maximum is to be in units of the scale, where that is not the largest element.

    Returns
    -------
    int32 [largest finite scale code], increasing; `NEVER` where no finite m is large enough.
    """
    scale, element = row.scale, row.element
    largest = magnitude_value(element, element.max_magnitude)
    binade = Fraction(2) ** (largest.__floor__().bit_length() - 1)
    keys = []
    for code in range(scale.max_magnitude):
        low, high = magnitude_value(scale, code), magnitude_value(scale, code + 1)
        if not row.power_of_two:
            above = ties is Ties.RNE and not _even(code + 1)
            keys.append(_key((held or largest) * (low + high) / 2, above=above))
        elif row.scale_rule is ScaleRule.FLOOR:
            keys.append(_key(binade * high))
        elif row.scale_rule is ScaleRule.CEILING:
            keys.append(_key(largest * low, above=True))
        else:
            # The maximum itself would round past the largest element, to the next binade.
            keys.append(_key((largest + 2 * binade) / 2 * low))
    table = np.array(keys, np.int32)
    table.flags.writeable = False
    return table


@cache
def element_thresholds(row: BlockFormat, ties: Ties) -> npt.NDArray[np.int32]:
    """FP32 bit patterns of |x| at which the element magnitude grows by one, per scale code.

    Entry [k, c] is the smallest |x| whose quotient by scale c rounds above magnitude k:
    x / s >= t exactly when x >= s * t, with t the midpoint of magnitudes k and k+1.

    Returns
    -------
    int32 [largest magnitude, 256]; `NEVER` for a zero scale, for NaN scales, and where s * t is
    not finite.
    """
    values = _values(row.element)[: row.element.max_magnitude + 1]
    scales = _values(row.scale)[: row.scale.max_magnitude + 1]
    upper = np.arange(1, len(values))[:, None]
    # Of a dozen bits each: FP64 holds the products, far from its own subnormals.
    thresholds = (values[1:] + values[:-1])[:, None] / 2 * scales
    table = np.full((len(upper), 256), NEVER, np.int32)
    table[:, : len(scales)] = _keys(thresholds, (ties is Ties.RNE) & (upper % 2 == 1))
    table.flags.writeable = False
    return table


def _keys(
    thresholds: npt.NDArray[np.float64], above: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """`_key` of many thresholds; `NEVER` where one is 0."""
    exponent = np.frexp(thresholds)[1] - 1
    field = np.maximum(exponent + FP32.bias, 1)
    units = np.ldexp(thresholds, FP32.bias + FP32.mantissa_bits - field)
    count = np.where(above, np.floor(units) + 1, np.ceil(units)).astype(np.int64)
    keys = ((field - 1).astype(np.int64) << FP32.mantissa_bits) + count
    return np.where((thresholds > 0) & (keys <= FP32.max_magnitude), keys, NEVER)


def values(words: npt.NDArray[np.unsignedinteger[Any]], word: str) -> npt.NDArray[np.float32]:
    """Values of raw tensor words, as float32; exact, subnormals and NaN payloads included.

    Parameters
    ----------
    words
        uint16 (bf16, fp16) or uint32 (fp32), any shape.
    word
        ``bf16``, ``fp16`` or ``fp32``.

    Raises
    ------
    TypeError
        `words` is not an array of the word's unsigned type.
    ValueError
        `word` is unknown.

    Examples
    --------
    >>> values(np.array([0x3F80, 0xC040], np.uint16), "bf16")
    array([ 1., -3.], dtype=float32)
    """
    fmt = choose("word", word, INPUTS)
    check_array("words", words, _WORD_DTYPES[fmt.width], f" for {word}")
    if fmt.width == FP32.width:
        return words.view(np.float32)
    if word == "bf16":  # the upper half of FP32
        wide: npt.NDArray[np.uint32] = np.left_shift(words, 16, dtype=np.uint32)
        return wide.view(np.float32)
    return convert(words, fmt, FP32).view(np.float32)


def words(values: npt.NDArray[np.float32], word: str) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Raw tensor words of float32 values, rounded to nearest, ties to even, where narrower.

    Overflow becomes infinity, subnormals are kept, -0 stays -0. A NaN becomes the word's
    canonical NaN; with ``fp32`` nothing is narrowed and the bits are returned as they are.

    Parameters
    ----------
    values
        float32, any shape.
    word
        ``bf16``, ``fp16`` or ``fp32``.

    Returns
    -------
    uint16 or uint32, same shape.

    Raises
    ------
    TypeError
        `values` is not a float32 array.
    ValueError
        `word` is unknown.

    Examples
    --------
    >>> [hex(w) for w in words(np.array([1.0, -3.0, 3.4e38], np.float32), "bf16")]
    ['0x3f80', '0xc040', '0x7f80']
    """
    fmt = choose("word", word, INPUTS)
    check_array("values", values, np.float32)
    bits = np.ascontiguousarray(values).view(np.uint32).reshape(values.shape)
    if fmt.width == FP32.width:
        return bits
    return convert(bits, FP32, fmt).astype(_WORD_DTYPES[fmt.width])
