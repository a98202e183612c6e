"""Elements that are integers: counted from 0 in two's complement, or from a block's zero point."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import FP32, BlockFormat, FloatFormat, Ties

from .formats import magnitude_value, one_code
from .rounding import FP64, convert, round_to_odd

__all__ = ["count_integers", "range_codes"]


@cache
def _range_thresholds(row: BlockFormat, ties: Ties) -> npt.NDArray[np.float64]:
    """List the sums at which the scale code grows by one: 15 (v[c] + v[c+1]) / 2, or just above."""
    most = magnitude_value(row.element, row.element.max_magnitude)
    found = []
    for code in range(row.scale.max_magnitude):
        ends = magnitude_value(row.scale, code) + magnitude_value(row.scale, code + 1)
        middle = float(most * ends / 2)
        above = ties is Ties.RNE and code % 2 == 0
        found.append(float(np.nextafter(middle, np.inf)) if above else middle)
    return np.array(found)


def range_codes(
    p: npt.NDArray[Any],
    n: npt.NDArray[Any],
    cut: int,
    row: BlockFormat,
    ties: Ties,
    steps: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Scale codes R((p + n) / 15), of the exact sum, and zero points R(n / s), at most 15.

    Parameters
    ----------
    p, n
        Largest positive and negative magnitudes [blocks], as bit patterns `cut` bits less than
        FP32. An infinity has the scale of the largest finite number, under which any saturates.
    steps
        Thresholds of element magnitudes [15, 256 scale codes], in words as p and n.
    """
    largest = FP32.max_magnitude
    ends = [np.minimum(m.astype(np.int64) << cut, largest).astype(np.uint32) for m in (p, n)]
    # To odd: beside a threshold, which is even, an inexact sum stays on its side.
    total = round_to_odd([convert(m, FP32, FP64).view(np.float64) for m in ends])
    found = np.searchsorted(_range_thresholds(row, ties), total, side="right")
    scale = np.where(total == 0, one_code(row), found).astype(np.uint8)
    return scale, (steps.take(scale, axis=1) <= n).sum(axis=0, dtype=np.uint8)


def count_integers(
    key: npt.NDArray[Any],
    steps: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    zero: npt.NDArray[np.uint8] | None,
    element: FloatFormat,
    reached: npt.NDArray[np.bool_],
    count: npt.NDArray[np.uint8],
) -> None:
    """Write the codes of bit patterns [K, n] to count: up and down from the zero point, or from 0.

    Parameters
    ----------
    key
        Words as signed integers.
    steps
        Thresholds [n] of the magnitudes 1, 2, ...: of negative words, as unsigned integers, and of
        positive ones.
    zero
        Zero points [n], from which codes are counted and clamped; ``None`` for two's complement.
    reached, count
        Scratch memory of more columns than n, and codes, which are its first n.
    """
    most, columns = element.max_magnitude, key.shape[1]
    # All of the scratch memory at once, since one long row is faster than many.
    flags, here = reached.reshape(-1).view(np.uint8), reached[:, :columns]
    wide = count if zero is None or 3 * most < 256 else np.empty(count.shape, np.uint16)
    total = wide.reshape(-1)
    if zero is None:
        total.fill(0)
    else:
        wide[:, :columns] = zero + wide.dtype.type(most)  # counting down from there stays above 0
    for negative, positive in steps:
        np.greater_equal(key.view(negative.dtype), negative, out=here)
        total -= flags
        np.greater_equal(key, positive, out=here)
        total += flags
    if zero is None:
        total &= np.uint8((1 << element.width) - 1)
    else:
        np.clip(total, most, 2 * most, out=total)
        np.subtract(total, most, out=count.reshape(-1), casting="unsafe")
