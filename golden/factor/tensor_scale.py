"""The factor of a whole tensor, t, which moves its values into the range of small scales.

Scales of E4M3 reach from 2^-9 to 448: weights of a standard deviation of 0.001 need scales below
that. NVFP4 therefore keeps one FP32 factor a tensor beside the blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.checks import check_fp32
from amxfp4.golden.formats import magnitude_value
from amxfp4.params.formats import BlockFormat

__all__ = ["auto_scale", "check_scale", "divided", "factor", "has_factor", "largest_finite"]

_CHUNK = 1 << 17
"""Elements worked on at a time."""
_LARGEST_SCALE = {"nvfp4": 448, "nvfp4-46": 256}
"""Scale of a tensor's largest element; of ``nvfp4-46`` one that can still grow by 6 / 4."""
_SMALLEST = np.float32(2.0**-149)
_LARGEST = np.finfo(np.float32).max


def check_scale(value: object) -> float:
    """Return `value`, a finite FP32 number above 0."""
    if isinstance(value, str):
        raise ValueError(f"tensor_scale must be a number above 0 or 'auto', not {value!r}")
    scale = check_fp32("tensor_scale", value)
    if not 0 < scale < np.inf:
        raise ValueError(f"tensor_scale must be finite and above 0, not {value!r}")
    return scale


def auto_scale(x: npt.NDArray[Any], row: BlockFormat) -> float:
    """Factor of a tensor in a format: see `factor`.

    Examples
    --------
    >>> from amxfp4.params.formats import block_format
    >>> auto_scale(np.array([0.5, -5.25], np.float32), block_format("nvfp4"))
    0.001953125
    """
    return factor(largest_finite(x), row)


def has_factor(row: BlockFormat) -> bool:
    """Whether tensors of a format have a factor by default."""
    return row.name in _LARGEST_SCALE


def factor(largest: np.float32, row: BlockFormat) -> float:
    """Factor R(max|x| / (6 * 448)) of NVFP4, of ``nvfp4-46`` with 256; 1 where there is none.

    It is 1 of an all-zero tensor and of other formats.

    NaN and infinity are passed over, so that one of them does not change all other elements; and
    the factor is never below 2^-149, the smallest FP32 number.
    """
    if not has_factor(row) or largest == 0:
        return 1.0
    end = magnitude_value(row.element, row.element.max_magnitude) * _LARGEST_SCALE[row.name]
    return float(max(np.float32(largest) / np.float32(end), _SMALLEST))


def largest_finite(x: npt.NDArray[Any]) -> np.float32:
    """Largest finite magnitude of float32, float16 or bfloat16 elements; 0 where there is none."""
    rows = x.reshape(-1, x.shape[-1])
    top = np.float32(0)
    for r in range(0, len(rows), max(1, _CHUNK // x.shape[-1])):
        for c in range(0, x.shape[-1], _CHUNK):
            part = rows[r : r + max(1, _CHUNK // x.shape[-1]), c : c + _CHUNK]
            wide = np.abs(part.astype(np.float32))
            top = max(top, np.max(wide, where=wide <= _LARGEST, initial=0))
    return top


def divided(x: npt.NDArray[Any], t: np.float32) -> npt.NDArray[np.float32]:
    """R(x / t) of float32, float16 or bfloat16 elements."""
    with np.errstate(all="ignore"):
        quotient: npt.NDArray[np.float32] = x.astype(np.float32) / t
    return quotient
