"""Dot products of blocks, sums over blocks, and the word a sum is rounded to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from amxfp4.params.formats import FP32, BlockFormat, FloatFormat

from .quantizer import ExactBlock, dequantize_block, scale_value
from .words import Number, floor_log2, power, word_value

__all__ = ["accumulate", "dot_terms", "round_to_word"]


def dot_terms(
    a: ExactBlock, b: ExactBlock, row_a: BlockFormat, row_b: BlockFormat
) -> list[Fraction] | None:
    """Terms of the exact dot product of two blocks, by sign class; None for a NaN block.

    Four terms for two asymmetric formats, two when one is symmetric, one when both are.
    """
    for block, row in ((a, row_a), (b, row_b)):
        for scale in (block.scale_pos, block.scale_neg):
            if scale is not None and math.isnan(scale_value(scale, row.scale)):
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
    exponent = max(floor_log2(magnitude), 1 - fmt.bias)
    unit = power(exponent - fmt.mantissa_bits)
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
    units = abs(term) * power(frac_bits)
    kept = units.__floor__() * power(-frac_bits)
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
    limit = power(int_bits)
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
