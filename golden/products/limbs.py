"""The exact sum, fast: values as integers, cut into limbs that BLAS multiplies without rounding.

An element times its scale is an integer in units of the smallest one, too long for a float64 sum of
products. Cut into limbs of a few bits, a product of two operands is a short list of matrix
products, one for each pair of limbs, each of which float64 holds exactly whatever the order of
its additions.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import element_values, magnitude_value
from amxfp4.golden.products.operands import Contraction, Operand
from amxfp4.golden.rounding import FP64, integer_terms
from amxfp4.params.formats import BlockFormat

__all__ = ["LONGEST", "exact_terms"]

_EXACT_BITS = FP64.mantissa_bits + 1
"""Integers up to this width are exact in float64."""

_CHUNK = 1 << 12
"""Longest reduction of one exact float64 product; longer ones are cut, and added as int64."""

LONGEST = _CHUNK << (63 - _EXACT_BITS)
"""Elements of the longest reduction whose partial sums int64 holds."""


def exact_terms(a: Operand, b: Operand, contract: Contraction) -> list[npt.NDArray[np.float64]]:
    """Terms whose exact sum is the sum over all blocks of the dot products of rows that meet."""
    blocks, _, block = a.codes.shape
    step = min(_CHUNK // block, blocks)
    widths = _limb_widths(a.row, b.row, step * block)
    if step == blocks:
        whole = _limb_products(a, b, contract, widths, slice(None))
        return [product * 2.0**exponent for exponent, product in whole]
    totals: dict[int, npt.NDArray[np.int64]] = {}
    for start in range(0, blocks, step):
        part = slice(start, start + step)
        for exponent, product in _limb_products(a, b, contract, widths, part):
            total = product.astype(np.int64)
            totals[exponent] = totals[exponent] + total if exponent in totals else total
    return [t for exponent, total in totals.items() for t in integer_terms(total, exponent, 64)]


def _limb_products(
    a: Operand, b: Operand, contract: Contraction, widths: tuple[int, int], blocks: slice
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Products of all pairs of limbs of some blocks: the exponent of the unit, and integers."""
    limbs_a, unit_a = _limbs(a, blocks, widths[0])
    limbs_b, unit_b = _limbs(b, blocks, widths[1])
    for i, x in enumerate(limbs_a):
        for j, y in enumerate(limbs_b):
            yield i * widths[0] + j * widths[1] + unit_a + unit_b, contract(x, y)


def _limb_widths(a: BlockFormat, b: BlockFormat, length: int) -> tuple[int, int]:
    """Widths of the limbs of a and b, so that `length` products of limbs add up exactly."""
    room = _EXACT_BITS - (length - 1).bit_length()
    bits_a, bits_b = _value_bits(a), _value_bits(b)
    best = min(
        (i * j, abs(i - j), -(-bits_a // i), -(-bits_b // j))
        for i in range(1, 8)
        for j in range(1, 8)
        if -(-bits_a // i) + -(-bits_b // j) <= room
    )
    return best[2], best[3]


def _value_bits(row: BlockFormat) -> int:
    """Bits of the largest value in units of the smallest one."""
    # Not the largest magnitude of an encoder: decoders take -8 of INT4 as it is.
    largest = Fraction(float(np.abs(element_values(row)).max()))
    ratio = largest / magnitude_value(row.element, 1)
    ratio *= magnitude_value(row.scale, row.scale.max_magnitude) / magnitude_value(row.scale, 1)
    return ratio.__floor__().bit_length()


def _limbs(o: Operand, blocks: slice, width: int) -> tuple[list[npt.NDArray[np.float64]], int]:
    """Limbs [rows, n] of the values of some blocks, and the exponent of their unit."""
    tables, unit = _limb_tables(o.row, width)
    codes = o.codes[blocks].transpose(1, 0, 2)
    negative = codes >= 1 << (o.row.element.width - 1)
    pos, neg = (side[blocks].T[:, :, None] for side in o.sides)
    index = np.where(negative, neg, pos).astype(np.intp) * tables[0].shape[1] + codes
    # One NaN scale makes the whole block NaN: its other class must not count either.
    index[o.nan[blocks].T] = 0
    index = index.reshape(len(index), -1)
    return [table.reshape(-1).take(index) for table in tables], unit


@cache
def _limb_tables(row: BlockFormat, width: int) -> tuple[list[npt.NDArray[np.float64]], int]:
    """Values [256 scale codes, n elements] in base 2^width, lowest limb first, and their unit.

    Values are integers in units of 2^unit; limbs carry the value's sign. NaN scales give 0.
    """
    element, scale = row.element, row.scale
    unit = (magnitude_value(element, 1) * magnitude_value(scale, 1)).denominator
    assert unit.bit_count() == 1
    values = element_values(row)
    integers = np.zeros((256, len(values)), object)
    for code in range(scale.max_magnitude + 1):
        for index, q in enumerate(values.tolist()):
            value = Fraction(q) * magnitude_value(scale, code) * unit
            assert value.denominator == 1
            integers[code, index] = value.numerator
    signs = np.where(values < 0, -1, 1)
    limbs = [
        (signs * (abs(integers) // 2**low % 2**width)).astype(np.float64)
        for low in range(0, _value_bits(row), width)
    ]
    return limbs, 1 - unit.bit_length()
