"""Matrix products and dot products, as the hardware's `array` and `dot` units form them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol, TypedDict, Unpack, cast, overload

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.checks import check_array, check_integer, check_kind
from amxfp4.golden.formats import values as values_of
from amxfp4.golden.formats import words
from amxfp4.golden.products.accumulators import accumulator
from amxfp4.golden.products.limbs import LONGEST
from amxfp4.golden.products.operands import Contraction, Operand, paired, rows_by_rows
from amxfp4.golden.rounding import round_sum
from amxfp4.golden.weights import refuse_weights
from amxfp4.params.checks import choose
from amxfp4.params.formats import FORMATS, FP32, OUTPUTS

__all__ = ["dot", "matmul", "scaled"]

_ROWS = 1 << 13
"""Rows of dot products worked on at a time."""

Values = npt.NDArray[np.float32]
Flagged = tuple[Values, npt.NDArray[np.bool_]]
_Plain = Literal["exact", "fp32"]


class _Limit(TypedDict, total=False):
    max_blocks: int | None


class _Bits(_Limit, total=False):
    frac_bits: int | None
    int_bits: int | None


class _Step(_Limit, total=False):
    preset: str | None
    step: int | None
    group: int | None
    window: int | Literal["exact"] | None
    rounding: str | None
    c: Values | None


class _Any(_Bits, _Step, total=False):
    pass


class _Multiply(Protocol):
    """Type of `matmul` and `dot`: in the mode ``fixed`` the values come with flags."""

    @overload
    def __call__(
        self,
        a: Blocks,
        b: Blocks,
        acc: _Plain = "exact",
        out: str = "fp32",
        **limit: Unpack[_Limit],
    ) -> Values: ...
    @overload
    def __call__(
        self, a: Blocks, b: Blocks, acc: Literal["fixed"], out: str = "fp32", **bits: Unpack[_Bits]
    ) -> Flagged: ...
    @overload
    def __call__(
        self, a: Blocks, b: Blocks, acc: Literal["fused"], out: str = "fp32", **step: Unpack[_Step]
    ) -> Values: ...
    @overload
    def __call__(
        self, a: Blocks, b: Blocks, acc: str, out: str = "fp32", **others: Unpack[_Any]
    ) -> Values | Flagged: ...


def _typed(function: Callable[..., Values | Flagged]) -> _Multiply:
    return cast(_Multiply, function)


def _check_pair(a: Blocks, b: Blocks) -> None:
    """Check that a and b are Blocks with the same K along reduction axes of the same length."""
    for name, operand in (("a", a), ("b", b)):
        refuse_weights(name, operand)
        check_kind(name, operand, Blocks)
        if operand.format not in FORMATS:
            raise ValueError(
                f"{name} must be of a format that hardware multiplies, not {operand.format}"
            )
    if a.block != b.block:
        raise ValueError(f"b must have blocks of {a.block} elements as a has, not {b.block}")
    length_a, length_b = a.shape[a.axis], b.shape[b.axis]
    if length_a != length_b:
        raise ValueError(f"b must have a reduction axis of {length_a} as a has, not {length_b}")


class _Product:
    """A product of two operands in one mode, worked on in parts."""

    def __init__(
        self, a: Blocks, b: Blocks, acc: str, out: str, max_blocks: int | None, **parameters: Any
    ) -> None:
        blocks, most = a.codes.shape[-2], LONGEST // a.block
        self.accumulator = accumulator((a.row, b.row), acc, **parameters)
        self.out = choose("out", out, OUTPUTS)
        if max_blocks is not None and check_integer("max_blocks", max_blocks, 1, most) < blocks:
            raise ValueError(
                f"max_blocks must be at least the {blocks} blocks to add, not {max_blocks!r}"
            )
        if blocks > most:
            raise ValueError(f"a must be of at most {most} blocks per row, not {blocks}")
        self.blocks = a, b
        self.a, self.b = Operand.of(a), Operand.of(b)

    def of(
        self, contract: Contraction, shape: tuple[int, ...], parts: Iterable[tuple[slice, ...]]
    ) -> Values | Flagged:
        """Values [shape], and flags [shape, 2] if the mode has any; the parts cover `shape`."""
        values = np.empty(shape, np.float32)
        flags: npt.NDArray[np.bool_] | None = None
        for part in parts:
            a, b = self.a.part(part[0]), self.b.part(part[-1])
            total = self.accumulator.part(shape, part).add(a, b, contract)
            result = round_sum(total.terms, self.out)
            if a.nan.any() or b.nan.any():
                good = contract(*(~np.max(o.nan, axis=0)[:, None] for o in (a, b)))
                result[~good] = np.nan
            if self.out is FP32:
                result[np.isnan(result)] = np.uint32(self.accumulator.nan).view(np.float32)
            values[part] = result
            if total.flags is not None:
                flags = np.empty((*shape, 2), np.bool_) if flags is None else flags
                flags[part] = total.flags
        values = scaled(values, *self.blocks, self.out.name)
        return values if flags is None else (values, flags)


def scaled(c: Values, a: Blocks, b: Blocks, out: str = "fp32") -> Values:
    """Multiply a product by the factors of its operands' tensors: R(C * R(t_A * t_B)).

    Hardware knows no factor: what it returns becomes the product of the tensors here.

    Parameters
    ----------
    c
        float32 [...], the product of the blocks.
    a, b
        Its operands.
    out
        ``fp32`` or ``bf16``, to which a result is rounded, from FP32.
    """
    with np.errstate(all="ignore"):
        factor = a.factor * b.factor
        if factor == 1:
            return c
        result = c * factor
    result[np.isnan(result)] = np.nan
    return values_of(words(result, out), out)


def _slices(size: int, step: int) -> list[slice]:
    return [slice(start, start + step) for start in range(0, size, step)]


@_typed
def matmul(
    a: Blocks,
    b: Blocks,
    acc: str = "exact",
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
    preset: str | None = None,
    step: int | None = None,
    group: int | None = None,
    window: int | Literal["exact"] | None = None,
    rounding: str | None = None,
    c: Values | None = None,
) -> Values | Flagged:
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
        - ``fused``: as tensor cores do it. The sum so far, `c` to begin with, and the exact sums of
          groups of products are the summands of a step; bits below the largest one's window are
          dropped, and one rounding ends the step (docs/numerics.md, Fused sums).
    out
        ``fp32`` or ``bf16``; every rounding is to nearest, ties to even. In ``fp32`` mode a
        BF16 result is the rounded FP32 sum.
    frac_bits, int_bits
        F and I; by default those of `amxfp4.params.dot.FIXED_BITS`.
    max_blocks
        Refuse reductions of more blocks, as the hardware's accumulator would have to.
    preset
        The step of ``fused``: ``blackwell``, which is also the default, or ``mxdotp``.
    step, group, window, rounding
        Or its parameters (`amxfp4.params.fused.FusedStep`): elements of a step and of a group, bits
        of the window or ``exact``, and ``RZ`` or ``RNE``.
    c
        float32 of the result's shape: what the sums of ``fused`` begin with; +0 by default.

    Returns
    -------
    float32 [M, N], holding BF16 values with ``out="bf16"`` (`formats.words` gives the words).
    With ``acc="fixed"`` also the flags, bool [M, N, 2] (inexact, overflow). Subnormal results
    are kept, overflow is infinity, an exact zero is +0. A block with a NaN scale makes its
    results the canonical NaN, and raises no flag. Factors of the tensors come last (`scaled`).

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
    _check_pair(a, b)
    for name, operand in (("a", a), ("b", b)):
        if operand.codes.ndim != 3:
            raise ValueError(f"{name} must be a matrix, not of shape {operand.shape}")
    product = _Product(
        a, b, acc, out, max_blocks, frac_bits=frac_bits, int_bits=int_bits,
        preset=preset, step=step, group=group, window=window, rounding=rounding, c=c,
    )  # fmt: skip
    shape, tile = (len(a.codes), len(b.codes)), product.accumulator.tile
    parts = itertools.product(*(_slices(size, tile) for size in shape))
    return product.of(rows_by_rows, shape, parts)


@_typed
def dot(
    a: Blocks,
    b: Blocks,
    acc: str = "exact",
    out: str = "fp32",
    *,
    frac_bits: int | None = None,
    int_bits: int | None = None,
    max_blocks: int | None = None,
    preset: str | None = None,
    step: int | None = None,
    group: int | None = None,
    window: int | Literal["exact"] | None = None,
    rounding: str | None = None,
    c: Values | None = None,
) -> Values | Flagged:
    """Dot product of each row of a with the same row of b, accumulated over its blocks.

    As `amxfp4.golden.matmul`, row by row: the same modes, roundings, flags and NaN.

    Parameters
    ----------
    a, b
        Quantized tensors of codes [..., blocks, K] with the same leading shape; the formats may
        differ.
    acc, out, frac_bits, int_bits, max_blocks, preset, step, group, window, rounding, c
        As for `matmul`; `c` is [...].

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
    _check_pair(a, b)
    lead = a.codes.shape[:-2]
    if b.codes.shape[:-2] != lead:
        raise ValueError(f"b must have rows {lead} as a has, not {b.codes.shape[:-2]}")
    if c is not None and check_array("c", c, np.float32).shape != lead:
        raise ValueError(f"c must be of shape {lead}, as the result is, not {c.shape}")
    product = _Product(
        a, b, acc, out, max_blocks, frac_bits=frac_bits, int_bits=int_bits,
        preset=preset, step=step, group=group, window=window, rounding=rounding,
        c=None if c is None else c.reshape(-1),
    )  # fmt: skip
    count = math.prod(lead)
    result = product.of(paired, (count,), ((part,) for part in _slices(count, _ROWS)))
    if isinstance(result, tuple):
        return result[0].reshape(lead), result[1].reshape(*lead, 2)
    return result.reshape(lead)
