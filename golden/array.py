"""Matrix products of quantized operands, as the hardware's `array` unit forms them."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from .accumulator import accumulate, mode
from .blocks import Blocks
from .terms import Operand, require_pair, rows_by_rows

__all__ = ["matmul"]

_TILE = {"exact": 1024, "fixed": 256, "fp32": 256}
"""Rows and columns of C worked on at a time: digits in memory, or terms in the cache."""


@overload
def matmul(
    a: Blocks,
    b: Blocks,
    acc: Literal["exact", "fp32"] = "exact",
    out: str = "fp32",
    *,
    max_blocks: int | None = None,
) -> npt.NDArray[np.float32]: ...


@overload
def matmul(
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
def matmul(
    a: Blocks,
    b: Blocks,
    acc: str,
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
) -> npt.NDArray[np.float32] | tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]: ...


def matmul(
    a: Blocks,
    b: Blocks,
    acc: str = "exact",
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
) -> npt.NDArray[np.float32] | tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Matrix product C[m, n] = sum over blocks k of D(A[m, k], B[n, k]) (arXiv 2411.09909).

    D is the exact dot product of two blocks. Both operands have their reduction axis last:
    quantize A along its rows (``axis=-1``) and B along its columns (``axis=0``).

    Parameters
    ----------
    a, b
        Quantized matrices of codes [M, blocks, K] and [N, blocks, K]; the formats may differ.
    acc
        - ``exact``: the sum of D over all blocks is exact and rounded once. E5M2 and E4M3
          scales only.
        - ``fixed``: two's complement accumulator with `frac_bits` F and `int_bits` I. Each term
          of D (four, two or one) loses the bits of its magnitude below 2^-F (flag inexact if any
          was 1), terms are added modulo 2^(I+1) (flag overflow if a truncated term, or the sum
          after a block, leaves [-2^I, 2^I)), and the sum is rounded once. Without flags the
          result is that of ``exact``. E5M2 and E4M3 scales only.
        - ``fp32``: each D is rounded to FP32 and added in FP32, blocks in order, from +0.
    out
        ``fp32`` or ``bf16``; every rounding is to nearest, ties to even. In ``fp32`` mode a
        BF16 result is the rounded FP32 sum.
    frac_bits, int_bits
        F and I; by default those of `amxfp4.params.dot.FIXED_BITS`.
    max_blocks
        Refuse reductions of more blocks, as the hardware's accumulator would have to.

    Returns
    -------
    float32 [M, N], holding BF16 values with ``out="bf16"`` (`formats.words` gives the words).
    With ``acc="fixed"`` also the flags, bool [M, N, 2] (inexact, overflow). Subnormal results
    are kept, overflow is infinity, an exact zero is +0. A block with a NaN scale makes its
    results the canonical NaN, and raises no flag.

    Raises
    ------
    TypeError
        An operand is not `Blocks`, or a parameter is of the wrong kind.
    ValueError
        An operand is not a matrix, reduction axes or block sizes differ, a parameter is out of
        range, or ``exact`` or ``fixed`` is asked for with power-of-two scales.

    Examples
    --------
    >>> from amxfp4.golden import quantize
    >>> a = quantize(np.array([[6, -3], [3, 0]], np.float32), axis=-1)
    >>> b = quantize(np.array([[3, 0.75], [6, 6]], np.float32), axis=0)
    >>> matmul(a, b)
    array([[  0., -12.],
           [  9.,   3.]], dtype=float32)
    >>> c, flags = matmul(a, b, acc="fixed", frac_bits=0, int_bits=3)
    >>> flags[1, 0]
    array([False,  True])
    """
    a, b = require_pair(a, b)
    for name, operand in (("a", a), ("b", b)):
        if operand.codes.ndim != 3:
            raise ValueError(f"{name} must be a matrix, not of shape {operand.shape}")
    how = mode((a.row, b.row), a.codes.shape[-2], acc, out, frac_bits, int_bits, max_blocks)
    x, y = Operand.of(a), Operand.of(b)
    shape = (x.codes.shape[1], y.codes.shape[1])
    result = np.empty(shape, np.float32)
    flags = np.empty((*shape, 2) if how.acc == "fixed" else 0, np.bool_)
    step = _TILE[how.acc]
    for i in range(0, shape[0], step):
        rows = slice(i, i + step)
        for j in range(0, shape[1], step):
            columns = slice(j, j + step)
            tile, raised = accumulate(x.part(rows), y.part(columns), rows_by_rows, how)
            result[rows, columns] = tile
            if raised is not None:
                flags[rows, columns] = raised
    return (result, flags) if how.acc == "fixed" else result
