"""Dot products of quantized vectors, as the hardware's `dot` unit forms them."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from .accumulator import accumulate, mode
from .blocks import Blocks
from .terms import Operand, paired, require_pair

__all__ = ["dot"]

_ROWS = 1 << 13
"""Rows worked on at a time."""


@overload
def dot(
    a: Blocks,
    b: Blocks,
    acc: Literal["exact", "fp32"] = "exact",
    out: str = "fp32",
    *,
    max_blocks: int | None = None,
) -> npt.NDArray[np.float32]: ...


@overload
def dot(
    a: Blocks,
    b: Blocks,
    acc: Literal["fixed"],
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]: ...


@overload
def dot(
    a: Blocks,
    b: Blocks,
    acc: str,
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
) -> npt.NDArray[np.float32] | tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]: ...


def dot(
    a: Blocks,
    b: Blocks,
    acc: str = "exact",
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
) -> npt.NDArray[np.float32] | tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Dot product of each row of a with the same row of b, accumulated over its blocks.

    As `amxfp4.golden.matmul`, row by row: the same modes, roundings, flags and NaN.

    Parameters
    ----------
    a, b
        Quantized tensors of codes [..., blocks, K] with the same leading shape; the formats may
        differ.
    acc, out, frac_bits, int_bits, max_blocks
        As for `matmul`.

    Returns
    -------
    float32 [...]; with ``acc="fixed"`` also the flags, bool [..., 2] (inexact, overflow).

    Raises
    ------
    TypeError
        An operand is not `Blocks`, or a parameter is of the wrong kind.
    ValueError
        Shapes or block sizes differ, a parameter is out of range, or ``exact`` or ``fixed`` is
        asked for with power-of-two scales.

    Examples
    --------
    >>> from amxfp4.golden import quantize
    >>> a = quantize(np.array([[6, -3], [3, 0]], np.float32))
    >>> b = quantize(np.array([[3, 1.5], [-6, 0]], np.float32), "mxfp4-e5m2")
    >>> dot(a, b)
    array([ 13.5, -18. ], dtype=float32)
    """
    a, b = require_pair(a, b)
    lead = a.codes.shape[:-2]
    if b.codes.shape[:-2] != lead:
        raise ValueError(f"b must have rows {lead} as a has, not {b.codes.shape[:-2]}")
    how = mode((a.row, b.row), a.codes.shape[-2], acc, out, frac_bits, int_bits, max_blocks)
    x, y = Operand.of(a), Operand.of(b)
    count = x.codes.shape[1]
    result = np.empty(count, np.float32)
    flags = np.empty((count, 2), np.bool_)
    for start in range(0, count, _ROWS):
        part = slice(start, start + _ROWS)
        result[part], raised = accumulate(x.part(part), y.part(part), paired, how)
        if raised is not None:
            flags[part] = raised
    if how.acc == "fixed":
        return result.reshape(lead), flags.reshape(*lead, 2)
    return result.reshape(lead)
