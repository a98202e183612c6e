"""The reference: the definitions as they are written, in exact fractions, one block at a time.

The file to read first: what the rest of golden computes fast is here in its plainest form, from
quantizing a block to rounding a sum of dot products, and the tests compare the two bit for bit.
Nothing is shared but the parameters in `amxfp4.params.formats`. A nearest value is found by its
distance to every candidate, and a sum is a sum of fractions. Finite values are
`fractions.Fraction`; infinities and NaN are Python floats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from amxfp4.params.formats import FP32, BlockFormat, FloatFormat, ScaleRule

__all__ = [
    "ExactBlock",
    "accumulate",
    "dequantize_block",
    "dot_terms",
    "quantize_block",
    "round_to_word",
    "word_value",
]

Number = Fraction | float
"""A Fraction; or inf, -inf, nan."""


@dataclass(frozen=True, slots=True)
class ExactBlock:
    """Element codes 0..15 and scale codes of one block; what a format has not is None."""

    codes: tuple[int, ...]
    scale_pos: int
    scale_neg: int | None
    zero_point: int | None = None


@cache
def _power(exponent: int) -> Fraction:
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
        return (word - (1 << fmt.width)) * _power(1 - fmt.bias - fmt.mantissa_bits)
    sign = -1 if fmt.signed_bit and word >> magnitude_bits else 1
    if magnitude == fmt.inf_magnitude:
        return sign * math.inf
    if magnitude > fmt.max_magnitude:
        return math.nan
    exponent = magnitude >> fmt.mantissa_bits
    fraction = Fraction(magnitude % (1 << fmt.mantissa_bits), 1 << fmt.mantissa_bits)
    if fmt.subnormals and exponent == 0:
        return sign * fraction * _power(1 - fmt.bias)
    return sign * (1 + fraction) * _power(exponent - fmt.bias)


@cache
def _candidates(fmt: FloatFormat) -> list[tuple[Fraction, int]]:
    """Finite non-negative values and their codes."""
    found = []
    for code in range(fmt.max_magnitude + 1):
        value = word_value(code, fmt)
        assert isinstance(value, Fraction)
        found.append((value, code))
    return found


def _nearest(x: Fraction, candidates: Sequence[tuple[Fraction, int]], ties: str) -> int:
    """Code of the candidate nearest to x; of two, the larger (RNA) or the even code (RNE)."""
    distances = [abs(x - value) for value, _ in candidates]
    best = min(distances)
    codes = [code for (_, code), d in zip(candidates, distances, strict=True) if d == best]
    return max(codes) if ties == "RNA" else min(codes, key=lambda code: code % 2)


def _floor_log2(x: Fraction) -> int:
    # Where to look, no more: the loops decide.
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    while _power(exponent) > x:
        exponent -= 1
    while _power(exponent + 1) <= x:
        exponent += 1
    return exponent


def _largest(fmt: FloatFormat) -> Fraction:
    """Return the largest magnitude that an encoder writes: 6; 7 or 15 of integers."""
    return _candidates(fmt)[-1][0]


def _scale_code(m: Number, row: BlockFormat, ties: str, held: int | None = None) -> int:
    fmt, largest = row.scale, _largest(row.element)
    candidates = _candidates(fmt)
    if not row.power_of_two:
        if m == math.inf:
            return fmt.max_magnitude
        assert isinstance(m, Fraction)
        if m == 0:
            return next(code for value, code in candidates if value == 1)
        return _nearest(m / (held or largest), candidates, ties)
    assert isinstance(m, Fraction)
    if m == 0:
        return 0
    if row.scale_rule is ScaleRule.CEILING:
        whole = (code for value, code in candidates if m <= largest * value)
        return next(whole, fmt.max_magnitude)
    exponent = _floor_log2(m)
    grow = row.scale_rule is ScaleRule.ROUND_UP and m / _power(exponent) >= Fraction(7, 4)
    # Clamping the code to [0, 254] is clamping the scale to [2^-127, 2^127].
    code = exponent - _floor_log2(largest) + grow + fmt.bias
    return min(max(code, 0), fmt.max_magnitude)


def _magnitude(v: Number, scale: int, row: BlockFormat, ties: str) -> int:
    """Magnitude code of R(|v| / s), 0 under a scale of 0."""
    s = word_value(scale, row.scale)
    assert isinstance(s, Fraction)
    if v == 0 or s == 0:
        return 0
    if math.isinf(v):
        return row.element.max_magnitude
    return _nearest(abs(Fraction(v)) / s, _candidates(row.element), ties)


def _element_code(v: Number, scale: int, row: BlockFormat, ties: str) -> int:
    q = _magnitude(v, scale, row, ties)
    if v > 0 or not q:
        return q
    half = 1 << (row.element.width - 1)
    return 2 * half - q if row.element.twos_complement else half + q


def _range_block(x: Sequence[Number], row: BlockFormat, ties: str) -> ExactBlock:
    """Quantize a block without a NaN to integers that are counted from its zero point."""
    p, n = max([Fraction(0), *x]), max([Fraction(0), *(-v for v in x)])
    scale = _scale_code(p + n, row, ties)
    z = _magnitude(n, scale, row, ties)
    codes = []
    for v in x:
        q = _magnitude(v, scale, row, ties)
        codes.append(min(max(z - q if v < 0 else z + q, 0), row.element.max_magnitude))
    return ExactBlock(tuple(codes), scale, None, z)


def _best_scale(
    candidates: Sequence[int], side: Sequence[Number], row: BlockFormat, ties: str
) -> int:
    """Code of least error; the first of equals."""

    def error(code: int) -> Fraction:
        total = Fraction(0)
        for v in side:
            q, s = _magnitude(v, code, row, ties), word_value(code, row.scale)
            value = Fraction(word_value(q, row.element)) * Fraction(s)
            total += (abs(Fraction(v)) - value) ** 2
        return total

    return min(candidates, key=error)


def quantize_block(
    x: Sequence[Number],
    row: BlockFormat,
    ties: str = "RNA",
    search: tuple[int, int] | None = None,
) -> ExactBlock:
    """Quantize one block of at most K values (arXiv 2411.09909, section 4).

    With `search` each scale is the one of least squared error among codes so far from S(m).

    Examples
    --------
    >>> from amxfp4.params.formats import block_format
    >>> b = quantize_block([Fraction(6), Fraction(-1, 4)], block_format("amxfp4", 16))
    >>> b.codes[:3], hex(b.scale_pos), hex(b.scale_neg)
    ((7, 15, 0), '0x3c', '0x29')
    """
    padded = [*x, *[Fraction(0)] * (row.block - len(x))]
    nan_code = row.scale.nan_magnitude
    assert nan_code is not None
    special = any(math.isnan(v) for v in padded)
    if row.power_of_two:
        special = special or any(math.isinf(v) for v in padded)
    if special:
        zero = 0 if row.zero_point else None
        return ExactBlock((0,) * row.block, nan_code, nan_code if row.scales == 2 else None, zero)
    if row.zero_point:
        return _range_block(padded, row, ties)
    positive, negative = [v for v in padded if v > 0], [v for v in padded if v < 0]
    sides = [positive, negative] if row.scales == 2 else [positive + negative]
    scales = []
    for side in sides:
        largest: Number = max([Fraction(0), *side, *(-v for v in side)])
        code = _scale_code(largest, row, ties)
        tried = [code]
        if largest in (0, math.inf):
            pass
        elif search:
            around = range(code + search[0], code + search[1] + 1)
            tried = [c for c in around if 1 <= c <= row.scale.max_magnitude] or tried
        elif row.scale_rule is ScaleRule.FOUR_OR_SIX:
            tried.append(_scale_code(largest, row, ties, 4))
        scales.append(tried[0] if len(tried) == 1 else _best_scale(tried, side, row, ties))
    pos, neg = scales[0], scales[-1]
    codes = [_element_code(v, pos if v > 0 else neg, row, ties) for v in padded]
    return ExactBlock(tuple(codes), pos, neg if row.scales == 2 else None)


def _scale_value(code: int, fmt: FloatFormat) -> Number:
    # A scale has no sign: bit 7 of a code that has room for one is ignored.
    return word_value(code % 128 if fmt.signed_bit else code, fmt)


def dequantize_block(b: ExactBlock, row: BlockFormat) -> list[Number]:
    """Values of one block; NaN where the scale of the element's sign bit is NaN."""
    values: list[Number] = []
    for code in b.codes:
        negative = code >> (row.element.width - 1)
        scale = b.scale_pos if not negative or b.scale_neg is None else b.scale_neg
        s, q = _scale_value(scale, row.scale), word_value(code, row.element)
        zero = b.zero_point or 0
        values.append(math.nan if math.isnan(s) else (Fraction(q) - zero) * Fraction(s))
    return values


def dot_terms(
    a: ExactBlock, b: ExactBlock, row_a: BlockFormat, row_b: BlockFormat
) -> list[Fraction] | None:
    """Terms of the exact dot product of two blocks, by sign class; None for a NaN block.

    Four terms for two asymmetric formats, two when one is symmetric, one when both are.
    """
    for block, row in ((a, row_a), (b, row_b)):
        for scale in (block.scale_pos, block.scale_neg):
            if scale is not None and math.isnan(_scale_value(scale, row.scale)):
                return None
    terms: dict[tuple[bool, bool], Fraction] = {}
    values_a, values_b = dequantize_block(a, row_a), dequantize_block(b, row_b)
    for code_a, code_b, x, y in zip(a.codes, b.codes, values_a, values_b, strict=True):
        key = (row_a.scales == 2 and code_a >= 8, row_b.scales == 2 and code_b >= 8)
        terms[key] = terms.get(key, Fraction(0)) + Fraction(x) * Fraction(y)
    return list(terms.values())


def round_to_word(x: Number, fmt: FloatFormat) -> int:
    """Word of an IEEE format nearest to x, ties to even (IEEE 754 section 4.3.1).

    Overflow is infinity, subnormals are kept, an exact zero is +0, NaN is the canonical one.

    Examples
    --------
    >>> from amxfp4.params.formats import BF16
    >>> hex(round_to_word(1 + Fraction(1, 256), BF16)), hex(round_to_word(Fraction(-1, 3), BF16))
    ('0x3f80', '0xbeab')
    """
    assert fmt.inf_magnitude is not None
    assert fmt.nan_magnitude is not None
    if math.isnan(x):
        return fmt.nan_magnitude
    sign = 1 << (fmt.width - 1) if x < 0 else 0
    if math.isinf(x):
        return sign | fmt.inf_magnitude
    magnitude = abs(Fraction(x))
    if magnitude == 0:
        return 0
    exponent = max(_floor_log2(magnitude), 1 - fmt.bias)
    unit = _power(exponent - fmt.mantissa_bits)
    count = round(magnitude / unit)  # Python rounds a Fraction half to even
    if count >= 2 << fmt.mantissa_bits:
        count, exponent = count // 2, exponent + 1
    if count < 1 << fmt.mantissa_bits:
        return sign | count
    field = exponent + fmt.bias
    word = (field << fmt.mantissa_bits) + count - (1 << fmt.mantissa_bits)
    return sign | min(word, fmt.inf_magnitude)


def _truncate(term: Fraction, frac_bits: int) -> tuple[Fraction, bool]:
    """Drop the magnitude's bits below 2^-frac_bits of a term; also say whether any was 1."""
    units = abs(term) * _power(frac_bits)
    kept = units.__floor__() * _power(-frac_bits)
    return (-kept if term < 0 else kept), units.denominator != 1


def accumulate(
    blocks: Iterable[list[Fraction] | None],
    out: FloatFormat,
    acc: str = "exact",
    *,
    frac_bits: int = 0,
    int_bits: int = 0,
) -> tuple[int, bool, bool]:
    """Accumulate the terms of blocks in order and round to a word.

    Parameters
    ----------
    blocks
        What `dot_terms` returns for each block.
    out
        FP32 or BF16.
    acc
        ``exact``: one rounding at the end. ``fp32``: each block and each addition is rounded
        to FP32. ``fixed``: terms are truncated to `frac_bits` and added modulo
        2^(`int_bits` + 1).

    Returns
    -------
    Result word, and the flags inexact and overflow (of ``fixed``).
    """
    total: Number = Fraction(0)
    inexact = overflow = nan = False
    limit = _power(int_bits)
    for terms in blocks:
        if terms is None:
            nan = True
        elif acc == "exact":
            total += sum(terms, Fraction(0))
        elif acc == "fp32":
            d = word_value(round_to_word(sum(terms, Fraction(0)), FP32), FP32)
            total = word_value(round_to_word(total + d, FP32), FP32)
        else:
            for term in terms:
                kept, lost = _truncate(term, frac_bits)
                inexact |= lost
                overflow |= not -limit <= kept < limit
                total += kept
            overflow |= not -limit <= total < limit
            total = (total + limit) % (2 * limit) - limit
    return round_to_word(math.nan if nan else total, out), inexact, overflow
