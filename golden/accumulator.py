"""Accumulation over blocks in three modes, and the rounding of the result.

Every mode takes two operands and a `Product` that says which rows meet: all with all in a
matrix product, each with its own in a batch of dot products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose
from amxfp4.params.dot import ACCUMULATIONS, FIXED_BITS
from amxfp4.params.formats import OUTPUTS, BlockFormat, FloatFormat, ScaleRule

from .formats import magnitude_value
from .rounding import round_sum, round_to_fp32, round_to_odd, to_values
from .terms import Operand, Product, block_terms, valid

__all__ = ["Mode", "Result", "accumulate", "mode"]

_FLOAT64_BITS = 53
_CHUNK = 1 << 12
"""Longest reduction of one exact float64 product; longer ones are cut, and added as int64."""
_CHUNKS = 1 << (63 - _FLOAT64_BITS)
"""Partial sums that int64 holds."""

_DIGIT = 30
"""Bits of an accumulator handed to the rounding as one float64 term."""

_MOST_BITS = 128
"""Limit of `frac_bits` and of `int_bits`, far beyond what any format can use."""

_INT64_BITS = 60
"""Accumulators up to this width fit int64 together with the terms of a block."""

Result = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]
"""Values, and the flags inexact and overflow along a last axis in fixed mode."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How sums are kept: `acc`, the output format, and the fixed accumulator's bits."""

    acc: str
    out: FloatFormat
    frac_bits: int = 0
    int_bits: int = 0


def mode(
    rows: tuple[BlockFormat, BlockFormat],
    blocks: int,
    acc: object,
    out: object,
    frac_bits: object = None,
    int_bits: object = None,
    max_blocks: object = None,
) -> Mode:
    """Check the parameters of an accumulation of `blocks` blocks of two formats."""
    chosen = choose("acc", acc, {m: m for m in ACCUMULATIONS})
    target = choose("out", out, OUTPUTS)
    if chosen != "fp32":
        for row in rows:
            if row.scale_rule is not ScaleRule.NEAREST:
                raise ValueError(f"acc must be fp32 for the scales of {row.name}, not {acc!r}")
    bits = [sum(FIXED_BITS.get(r.scale.name, (0, 0))[i] for r in rows) for i in range(2)]
    for i, (name, value) in enumerate((("frac_bits", frac_bits), ("int_bits", int_bits))):
        if value is None:
            continue
        if chosen != "fixed":
            raise ValueError(f"{name} must be None unless acc is fixed, not {value!r}")
        bits[i] = _integer(name, value, 0, _MOST_BITS)
    most = _CHUNK // rows[0].block * _CHUNKS
    if max_blocks is not None and _integer("max_blocks", max_blocks, 1, most) < blocks:
        raise ValueError(
            f"max_blocks must be at least the {blocks} blocks to add, not {max_blocks!r}"
        )
    if blocks > most:
        raise ValueError(f"a must be of at most {most} blocks per row, not {blocks}")
    return Mode(chosen, target, *bits)


def _integer(name: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value!r}")
    return int(value)


def accumulate(a: Operand, b: Operand, product: Product, mode: Mode) -> Result:
    """Accumulate all blocks of the rows that meet. A NaN block makes its results NaN."""
    flags = None
    if mode.acc == "exact":
        result = round_sum(_exact_terms(a, b, product), mode.out)
    elif mode.acc == "fixed":
        result, flags = _fixed(a, b, product, mode)
    else:
        result = _fp32(a, b, product, mode.out)
    if mode.acc != "fp32" and (a.nan.any() or b.nan.any()):
        good = [1 - o.nan.max(axis=0)[:, None].astype(np.float32) for o in (a, b)]
        result[product(good[0], good[1]) == 0] = np.nan
    return result, flags


@cache
def _limb_tables(row: BlockFormat, width: int) -> tuple[list[npt.NDArray[np.float64]], int]:
    """Values [256 scale codes, 16 codes] in base 2^width, lowest digit first, and their unit.

    Values are integers in units of 2^unit; digits carry the value's sign. NaN scales give 0.
    """
    element, scale = row.element, row.scale
    half = 1 << (element.width - 1)
    unit = (magnitude_value(element, 1) * magnitude_value(scale, 1)).denominator
    assert unit.bit_count() == 1
    integers = np.zeros((256, 2 * half), object)
    top = 1 << (scale.width - 1)
    for code in range(scale.max_magnitude + 1):
        for q in range(half):
            value = magnitude_value(element, q) * magnitude_value(scale, code) * unit
            assert value.denominator == 1
            # Decoders ignore the sign bit of a scale.
            integers[[code, code + top], q] = value.numerator
            integers[[code, code + top], q + half] = -value.numerator
    signs = np.where(np.arange(2 * half) < half, 1, -1)
    digits = [
        (signs * (abs(integers) // 2**low % 2**width)).astype(np.float64)
        for low in range(0, _value_bits(row), width)
    ]
    return digits, 1 - unit.bit_length()


def _value_bits(row: BlockFormat) -> int:
    """Bits of the largest value in units of the smallest one."""
    element, scale = row.element, row.scale
    ratio = magnitude_value(element, element.max_magnitude) / magnitude_value(element, 1)
    ratio *= magnitude_value(scale, scale.max_magnitude) / magnitude_value(scale, 1)
    return ratio.__floor__().bit_length()


def _limb_widths(a: BlockFormat, b: BlockFormat, length: int) -> tuple[int, int]:
    """Widths of the digits of a and b, so that `length` products of digits add up exactly."""
    room = _FLOAT64_BITS - (length - 1).bit_length()
    bits_a, bits_b = _value_bits(a), _value_bits(b)
    best = min(
        (i * j, abs(i - j), -(-bits_a // i), -(-bits_b // j))
        for i in range(1, 8)
        for j in range(1, 8)
        if -(-bits_a // i) + -(-bits_b // j) <= room
    )
    return best[2], best[3]


def _exact_terms(a: Operand, b: Operand, product: Product) -> list[npt.NDArray[np.float64]]:
    """Terms whose exact sum is the sum over all blocks: products of digits, each exact.

    Digits are narrow enough that float64 sums of their products stay below 2^53, where every
    order of additions, and every fused one, is exact: BLAS may do as it likes.
    """
    blocks, block = a.codes.shape[0], a.codes.shape[2]
    step = max(1, min(_CHUNK // block, blocks))
    width_a, width_b = _limb_widths(a.row, b.row, step * block)
    sums: dict[int, list[npt.NDArray[np.float64]]] = {}
    totals: dict[int, npt.NDArray[np.int64]] = {}
    for start in range(0, blocks, step):
        part = slice(start, start + step)
        digits_a, unit_a = _digits(a, part, width_a)
        digits_b, unit_b = _digits(b, part, width_b)
        for i, x in enumerate(digits_a):
            for j, y in enumerate(digits_b):
                exponent = i * width_a + j * width_b + unit_a + unit_b
                term = product(x, y)
                if step == blocks:
                    sums.setdefault(exponent, []).append(term)
                elif exponent in totals:
                    totals[exponent] += term.astype(np.int64)
                else:
                    totals[exponent] = term.astype(np.int64)
    terms = [t * 2.0**e for e, group in sums.items() for t in group]
    for exponent, total in totals.items():
        terms += _digit_terms(total, exponent, 64)
    return terms


def _digits(o: Operand, part: slice, width: int) -> tuple[list[npt.NDArray[np.float64]], int]:
    """Digits [rows, n] of the values of some blocks, and the exponent of their unit."""
    tables, unit = _limb_tables(o.row, width)
    codes = o.codes[part].transpose(1, 0, 2)
    negative = codes >= 1 << (o.row.element.width - 1)
    pos, neg = (side[part].T[:, :, None] for side in o.sides)
    index = np.where(negative, neg, pos).astype(np.intp) * tables[0].shape[1] + codes
    # One NaN scale makes the whole block NaN: its other class must not count either.
    index[o.nan[part].T] = 0
    index = index.reshape(len(index), -1)
    return [table.reshape(-1).take(index) for table in tables], unit


def _digit_terms(
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


def _fp32(a: Operand, b: Operand, product: Product, out: FloatFormat) -> npt.NDArray[np.float32]:
    """Add blocks in order: each dot product and each sum is rounded to FP32 (IEEE 754)."""
    terms = block_terms(a, b, product)
    total: npt.NDArray[np.float64] | None = None
    has_nan = a.nan.any() or b.nan.any()
    for block in range(len(a.codes)):
        d = round_to_fp32(round_to_odd([term(block) for term in terms]))
        if has_nan:
            d[~valid(a, b, product, block)] = np.nan
        with np.errstate(invalid="ignore"):  # infinity - infinity
            total = d if total is None else round_to_fp32(total + d)
    assert total is not None
    # Adding the first block to +0 leaves no -0.
    return to_values(total + 0.0, out)


def _fixed(
    a: Operand, b: Operand, product: Product, mode: Mode
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Add truncated terms modulo 2^(int_bits + 1), with sticky flags."""
    width = mode.frac_bits + mode.int_bits + 1
    narrow = width <= _INT64_BITS
    limit = 1 << (width - 1)
    terms = block_terms(a, b, product)
    total: npt.NDArray[np.int64] | npt.NDArray[np.object_] | None = None
    to_int = np.frompyfunc(int, 1, 1)
    for block in range(len(a.codes)):
        for term in terms:
            exact = term(block)
            if total is None:
                total = np.zeros(exact.shape, np.int64 if narrow else object)
                inexact = np.zeros(exact.shape, np.bool_)
                overflow = np.zeros(exact.shape, np.bool_)
            # Scaling by a power of two and dropping bits are exact in float64.
            scaled = exact * 2.0**mode.frac_bits
            kept = np.trunc(scaled)
            inexact |= kept != scaled
            overflow |= (kept < -limit) | (kept >= limit)
            if narrow:
                total += np.fmod(kept, 2.0**width).astype(np.int64)
            else:
                total += to_int(kept)
        assert total is not None
        overflow |= ((total < -limit) | (total >= limit)).astype(np.bool_)
        total = ((total + limit) & (2 * limit - 1)) - limit
    assert total is not None
    result = round_sum(_digit_terms(total, -mode.frac_bits, width), mode.out)
    return result, np.stack([inexact, overflow], axis=-1)
