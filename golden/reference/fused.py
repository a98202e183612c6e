"""Sums as tensor cores make them, by fractions, summand by summand (docs/numerics.md)."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from amxfp4.params.formats import FP32, BlockFormat
from amxfp4.params.fused import EXACT, ZERO_EXPONENT, FusedStep

from .quantizer import ExactBlock, scale_value
from .sums import round_to_word
from .words import Number, floor_log2, power, word_value

__all__ = ["fused_sums"]

Side = tuple[ExactBlock, BlockFormat]


def _scale(side: Side, code: int) -> Number:
    """Scale that governs an element."""
    block, row = side
    negative = row.asymmetric and code >> (row.element.width - 1)
    chosen = block.scale_neg if negative else block.scale_pos
    assert chosen is not None
    return scale_value(chosen, row.scale)


def _exponent(scale: Fraction, row: BlockFormat) -> int:
    """Exponent of a scale above zero; subnormals have that of the smallest normal one."""
    lowest = int(row.scale.subnormals) - row.scale.bias
    return max(floor_log2(scale), lowest)


def _summands(a: Side, b: Side, part: range) -> list[tuple[Fraction, int]] | None:
    """Values and exponents of a group's summands; ``None`` with a NaN scale in either block."""
    for block, row in (a, b):
        if any(
            code is not None and math.isnan(scale_value(code, row.scale))
            for code in (block.scale_pos, block.scale_neg)
        ):
            return None
    products: dict[tuple[Fraction, Fraction, bool, bool], list[Fraction]] = defaultdict(list)
    for i in part:
        values, scales, negative = [], [], []
        for block, row in (a, b):
            code = block.codes[i]
            values.append(Fraction(word_value(code, row.element)) - (block.zero_point or 0))
            scales.append(Fraction(_scale((block, row), code)))
            negative.append(row.asymmetric and code >> (row.element.width - 1) == 1)
        key = (scales[0], scales[1], negative[0], negative[1])
        products[key].append(values[0] * values[1])
    found = []
    for (s, t, *_), terms in products.items():
        if any(terms) and s and t:
            found.append((sum(terms) * s * t, _exponent(s, a[1]) + _exponent(t, b[1])))
        else:
            found.append((Fraction(0), ZERO_EXPONENT))
    return found


def _toward_zero(x: Fraction, unit: Fraction) -> Fraction:
    return math.trunc(x / unit) * unit


def _round(x: Fraction, rounding: str) -> Number:
    if rounding == "RNE":
        return word_value(round_to_word(x, FP32), FP32)
    if abs(x) >= power(FP32.bias + 1):
        return math.copysign(math.inf, x)
    if not x:
        return x
    exponent = max(floor_log2(abs(x)), 1 - FP32.bias)
    return _toward_zero(x, power(exponent - FP32.mantissa_bits))


def fused_sums(
    a: Sequence[ExactBlock],
    b: Sequence[ExactBlock],
    rows: tuple[BlockFormat, BlockFormat],
    how: FusedStep,
    start: Number = Fraction(0),
) -> list[Number]:
    """Sum after every step of two rows of blocks; a last, shorter step is padded with zeros."""
    places = [
        (block, range(first, first + how.group))
        for block, first in itertools.product(range(len(a)), range(0, len(a[0].codes), how.group))
    ]
    count = how.step // how.group
    total, sums = start, []
    for n in range(0, len(places), count):
        groups = [
            _summands((a[block], rows[0]), (b[block], rows[1]), part)
            for block, part in places[n : n + count]
        ]
        summands = [s for group in groups if group is not None for s in group]
        if None in groups or math.isnan(total):
            total = math.nan
        elif isinstance(total, Fraction):
            exponent = max(floor_log2(abs(total)), 1 - FP32.bias) if total else ZERO_EXPONENT
            summands.append((total, exponent))
            values = [value for value, _ in summands]
            if how.window != EXACT:
                unit = power(max(e for _, e in summands) - int(how.window))
                values = [_toward_zero(value, unit) for value in values]
            total = _round(sum(values, Fraction(0)), how.rounding)
        sums.append(total)
    return sums
