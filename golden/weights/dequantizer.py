"""Values of weights in the formats of AFPQ."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import in_place

from .blocks import WeightBlocks

__all__ = ["dequantize"]

_CHUNK = 1 << 16
"""Elements worked on at a time: indices and values stay in the L2 cache."""


def dequantize(b: WeightBlocks) -> npt.NDArray[np.float32]:
    """Values of quantized weights, in their original shape and axis order.

        value_i = R(T[code_i] s),    s = s_neg if T[code_i] < 0, else s_pos

    T is the format's table, R the rounding to FP32, or to FP16 if packed (which may overflow to
    infinity); to nearest, ties to even. A zero is +0. A NaN scale makes every element of its side
    NaN; zeros are of the positive side.

    Parameters
    ----------
    b
        Quantized weights of codes [..., groups, K].

    Returns
    -------
    float32 of shape `b.shape`.

    Examples
    --------
    >>> from amxfp4.golden.weights import quantize
    >>> dequantize(quantize(np.array([6, 3.5, -0.5, -0.3, 0], np.float32), "afpq-fp4", block=-1))
    array([ 6.        ,  3.        , -0.5       , -0.33333334,  0.        ],
          dtype=float32)
    """
    row = b.row
    table = np.array(row.values, np.float32)
    size = b.codes.shape[-1]
    flat = b.codes.reshape(-1, size)
    pos, neg = (b.scales[side].reshape(-1, 1) for side in (0, -1))
    result = np.empty(flat.shape, np.float32)
    step = max(1, _CHUNK // size)
    # Every group gets its own values; its elements index them.
    base = (np.arange(min(step, len(flat))) * len(table))[:, None]
    for start in range(0, len(flat), step):
        part = slice(start, min(start + step, len(flat)))
        values = _values(table, pos[part], neg[part], row.packed)
        index = np.add(flat[part], base[: len(values)], dtype=np.intp)
        # Indices are in range by construction; "clip" only avoids NumPy's buffering.
        values.reshape(-1).take(index, out=result[part], mode="clip")
    return in_place(result.reshape(b.codes.shape), b.shape, b.axis)


def _values(
    table: npt.NDArray[np.float32], pos: npt.NDArray[Any], neg: npt.NDArray[Any], packed: bool
) -> npt.NDArray[np.float32]:
    """Value [groups, codes] of every code of each group."""
    with np.errstate(all="ignore"):  # overflow to infinity, and NaN
        # FP32 holds the product of two FP16 numbers, which then is rounded once.
        values = table * np.where(table < 0, neg, pos).astype(np.float32)
        if packed:
            values = values.astype(np.float16).astype(np.float32)
    values += np.float32(0)
    values[np.isnan(values)] = np.nan
    return values
