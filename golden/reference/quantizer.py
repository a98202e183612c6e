"""Quantize and dequantize one block, by the definitions of docs/numerics.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from amxfp4.params.formats import BlockFormat, FloatFormat, ScaleRule

from .words import Number, candidates, floor_log2, nearest, power, word_value

__all__ = ["ExactBlock", "dequantize_block", "quantize_block", "scale_value"]


@dataclass(frozen=True, slots=True)
class ExactBlock:
    """Element codes 0..15 and scale codes of one block; what a format has not is None."""

    codes: tuple[int, ...]
    scale_pos: int
    scale_neg: int | None
    zero_point: int | None = None


def _largest(fmt: FloatFormat) -> Fraction:
    """Return the largest magnitude that an encoder writes: 6; 7 or 15 of integers."""
    return candidates(fmt)[-1][0]


def _scale_code(m: Number, row: BlockFormat, ties: str, held: int | None = None) -> int:
    fmt, largest = row.scale, _largest(row.element)
    codes = candidates(fmt)
    if not row.power_of_two:
        if m == math.inf:
            return fmt.max_magnitude
        assert isinstance(m, Fraction)
        if m == 0:
            return next(code for value, code in codes if value == 1)
        return nearest(m / (held or largest), codes, ties)
    assert isinstance(m, Fraction)
    if m == 0:
        return 0
    if row.scale_rule is ScaleRule.CEILING:
        whole = (code for value, code in codes if m <= largest * value)
        return next(whole, fmt.max_magnitude)
    exponent = floor_log2(m)
    grow = row.scale_rule is ScaleRule.ROUND_UP and m / power(exponent) >= Fraction(7, 4)
    # Clamping the code to [0, 254] is clamping the scale to [2^-127, 2^127].
    code = exponent - floor_log2(largest) + grow + fmt.bias
    return min(max(code, 0), fmt.max_magnitude)


def _magnitude(v: Number, scale: int, row: BlockFormat, ties: str) -> int:
    """Magnitude code of R(|v| / s), 0 under a scale of 0."""
    s = word_value(scale, row.scale)
    assert isinstance(s, Fraction)
    if v == 0 or s == 0:
        return 0
    if math.isinf(v):
        return row.element.max_magnitude
    return nearest(abs(Fraction(v)) / s, candidates(row.element), ties)


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


def _best_scale(tried: Sequence[int], side: Sequence[Number], row: BlockFormat, ties: str) -> int:
    """Code of least error; the first of equals."""

    def error(code: int) -> Fraction:
        total = Fraction(0)
        for v in side:
            q, s = _magnitude(v, code, row, ties), word_value(code, row.scale)
            value = Fraction(word_value(q, row.element)) * Fraction(s)
            total += (abs(Fraction(v)) - value) ** 2
        return total

    return min(tried, key=error)


def _takes_second(code: int, second: int, side: Sequence[Number], row: BlockFormat) -> bool:
    """Whether the scale `second` codes above is taken (docs/numerics.md)."""
    scales = {code: value for value, code in candidates(row.scale)}
    last = row.scale.mantissa_bits
    if code < 1 << last or code + second not in scales:
        return False
    binade = floor_log2(scales[code])

    def error(y: Fraction, s: Fraction) -> Fraction:
        return min((y - value * s) ** 2 for value, _ in candidates(row.element))

    total = 0
    for v in side:
        exponent = floor_log2(abs(Fraction(v)))
        if exponent > binade:
            step = power(exponent - last - 1)
            y = (abs(Fraction(v)) // step + Fraction(1, 2)) * step
            gain = error(y, scales[code + second]) - error(y, scales[code])
            total += min(max(-math.floor(Fraction(1, 2) - gain / power(2 * binade)), -2), 1)
    return total < 0


def quantize_block(
    x: Sequence[Number],
    row: BlockFormat,
    ties: str = "RNA",
    search: tuple[int, int] | None = None,
    second: int = 0,
) -> ExactBlock:
    """Quantize one block of at most K values (arXiv 2411.09909, section 4).

    With `search` each scale is the one of least squared error among codes so far from S(m); with
    `second` it may be the one so many codes above.

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
        elif second:
            tried = [code + second * _takes_second(code, second, side, row)]
        elif row.scale_rule is ScaleRule.FOUR_OR_SIX:
            tried.append(_scale_code(largest, row, ties, 4))
        scales.append(tried[0] if len(tried) == 1 else _best_scale(tried, side, row, ties))
    pos, neg = scales[0], scales[-1]
    codes = [_element_code(v, pos if v > 0 else neg, row, ties) for v in padded]
    return ExactBlock(tuple(codes), pos, neg if row.scales == 2 else None)


def scale_value(code: int, fmt: FloatFormat) -> Number:
    """Value of a scale code. A scale has no sign: bit 7 of a code with room for one is ignored."""
    return word_value(code % 128 if fmt.signed_bit else code, fmt)


def dequantize_block(b: ExactBlock, row: BlockFormat) -> list[Number]:
    """Values of one block; NaN where the scale of the element's sign bit is NaN."""
    values: list[Number] = []
    for code in b.codes:
        negative = code >> (row.element.width - 1)
        scale = b.scale_pos if not negative or b.scale_neg is None else b.scale_neg
        s, q = scale_value(scale, row.scale), word_value(code, row.element)
        zero = b.zero_point or 0
        values.append(math.nan if math.isnan(s) else (Fraction(q) - zero) * Fraction(s))
    return values
