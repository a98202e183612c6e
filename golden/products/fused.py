"""Sums as tensor cores make them: the sum so far is one more summand of a step.

Products of a group are added exactly and scaled. Whatever then lies below the window of the step's
largest summand is dropped, the rest is added exactly, and one rounding ends the step
(docs/numerics.md, Fused sums).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import element_values
from amxfp4.golden.products.operands import Contraction, Operand
from amxfp4.golden.rounding import FP64, round_to_fp32, round_to_odd
from amxfp4.params.formats import FP32
from amxfp4.params.fused import EXACT, ZERO_EXPONENT, FusedStep

__all__ = ["NAN", "add_steps"]

NAN = 0x7FFFFFFF
"""The FP32 word of a sum that is none."""

_LOWEST = 1 - FP32.bias
"""Exponent of FP32's subnormals."""

_Exact = npt.NDArray[np.float64]


def add_steps(
    a: Operand, b: Operand, contract: Contraction, how: FusedStep, start: npt.NDArray[np.float32]
) -> _Exact:
    """Add all blocks of the rows that meet to `start`, step by step.

    Parameters
    ----------
    a, b
        Operands; NaN blocks count as zeros.
    contract
        Which of their rows meet.
    how
        The step.
    start
        The sums to begin with, of the result's shape.

    Returns
    -------
    float64 holding FP32 values. A sum that is infinity or NaN stays what it is.
    """
    total = start.astype(np.float64)
    narrow = _fits(a, b, how)
    groups = _summands(a, b, contract, how.group)
    while step := list(itertools.islice(groups, how.step // how.group)):
        finite = np.isfinite(total)
        summands = [s for group in step for s in group]
        added = _add_step(summands, np.where(finite, total, 0), how, narrow)
        total = np.where(finite, added, total)
    return total


def _classes(operand: Operand) -> list[tuple[Any, Any, Any]]:
    """List elements, scales and the scales' exponents by class, as `Operand.classes`.

    Elements under a scale of zero are zero: what it takes away is no product.
    """
    scale = operand.row.scale
    codes = np.arange(1 << (scale.width - scale.signed_bit))
    fields = np.maximum(codes >> scale.mantissa_bits, int(scale.subnormals))
    exponents = (fields - scale.bias).astype(np.float64)[operand.sides]
    return [
        (values * (scales > 0)[..., None], scales, exponent)
        for (values, scales), exponent in zip(operand.classes(), exponents, strict=False)
    ]


def _summands(
    a: Operand, b: Operand, contract: Contraction, group: int
) -> Iterator[list[tuple[_Exact, _Exact]]]:
    """Yield the summands of every group in turn: values, and the exponents of their scales."""
    left, right = _classes(a), _classes(b)
    one_sign = a.row.asymmetric and b.row.asymmetric
    for block, place in np.ndindex(len(a.codes), a.codes.shape[-1] // group):
        part = np.s_[block, :, place * group : (place + 1) * group]
        found = []
        for (x, s, e), (y, t, f) in itertools.product(left, right):
            sums = contract(x[part], y[part])
            # Products of one sign add to zero only if each of them is zero.
            some = sums if one_sign else contract(np.abs(x[part]), np.abs(y[part]))
            value = sums * contract(0.25 * s[block][:, None], t[block][:, None])
            exponent = contract(_beside_one(e[block]), _beside_one(f[block])[:, ::-1])
            found.append((value, np.where(some != 0, exponent, ZERO_EXPONENT)))
        yield found


def _beside_one(x: _Exact) -> _Exact:
    """Pairs (x, 1): the products of (x, 1) and (1, y) add up to x + y."""
    return np.stack([x, np.ones_like(x)], axis=-1)


def _fits(a: Operand, b: Operand, how: FusedStep) -> bool:
    """Whether FP64 adds the summands of a step, cut to the window, without rounding."""
    if how.window == EXACT:
        return False
    largest = [np.abs(element_values(o.row)).max() for o in (a, b)]
    # A significand is below 2, and the sum so far too; at most four pairs of scales a group.
    count = 4 * (how.step // how.group)
    return bool(
        (count * 4 * how.group * largest[0] * largest[1] + 2) * 2.0 ** int(how.window) < 2.0**53
    )


def _add_step(
    summands: list[tuple[_Exact, _Exact]], total: _Exact, how: FusedStep, narrow: bool
) -> _Exact:
    """Add the summands of a step to the sums so far, and round once."""
    values = [total, *(value for value, _ in summands)]
    if how.window == EXACT:
        return _round(round_to_odd(values), how.rounding)
    highest = np.where(total == 0, ZERO_EXPONENT, np.maximum(_exponent_of(total), _LOWEST))
    for _, exponent in summands:
        highest = np.maximum(highest, exponent)
    # One unit at the window's low end.
    unit = np.ldexp(1.0, highest.astype(np.int32) - int(how.window))
    kept = [np.trunc(value / unit) for value in values]
    return _round((sum(kept) if narrow else round_to_odd(kept)) * unit, how.rounding)


def _exponent_of(x: _Exact) -> npt.NDArray[np.int64]:
    """Exponent of FP64 values' leading ones; of zero something below all others."""
    field = (x.view(np.int64) >> FP64.mantissa_bits) & ((1 << FP64.exponent_bits) - 1)
    return field - FP64.bias


def _round(x: _Exact, rounding: str) -> _Exact:
    """Round FP64 values, exact or rounded to odd, to FP32 ones; a zero is +0."""
    if rounding == "RNE":
        return round_to_fp32(x) + 0.0
    drop = FP64.mantissa_bits - FP32.mantissa_bits
    rounded = (x.view(np.int64) & -(1 << drop)).view(np.float64)
    unit = 2.0 ** (_LOWEST - FP32.mantissa_bits)
    rounded = np.where(np.abs(x) < 2.0**_LOWEST, np.trunc(x / unit) * unit, rounded)
    rounded[np.abs(x) >= 2.0 ** (FP32.bias + 1)] = np.inf
    return np.copysign(rounded, x) + 0.0
