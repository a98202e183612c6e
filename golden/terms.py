"""The exact dot product of two blocks, as terms whose exact sum it is.

With values a_i, b_i before scaling and classes by sign (arXiv 2411.09909)::

    D = s_pos^A s_pos^B S_pp + s_pos^A s_neg^B S_pn + s_neg^A s_pos^B S_np + s_neg^A s_neg^B S_nn

where S_pp is the sum of a_i b_i over the elements with both positive, and so on. A symmetric
operand merges its two classes: two terms, or one. Each class sum is an integer multiple of 1/4
below 2^13, each scale has at most 4 significant bits, so every term is exact in float64; D
itself spans up to 71 bits (E5M2) or over 500 (E8M0) and is never formed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat

from .blocks import Blocks
from .formats import decode

__all__ = ["Operand", "Product", "block_terms", "paired", "require_pair", "rows_by_rows", "valid"]

Product = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[Any]]
"""Contracts the last axes of two arrays; which of the others meet is its own affair."""


def rows_by_rows(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[M, n], [N, n] -> [M, N]: every row of x with every row of y."""
    result: npt.NDArray[Any] = x @ y.T
    return result


def paired(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[..., n], [..., n] -> [...]: every row of x with the same row of y."""
    result: npt.NDArray[Any] = np.einsum("...n,...n->...", x, y)
    return result


@dataclass(frozen=True, slots=True)
class Operand:
    """Rows of one operand, blocks first: classes, their scales and the NaN blocks.

    Parameters
    ----------
    row
        Format.
    codes, sides
        Element codes uint8 [blocks, rows, K]; scale codes of both signs [2, blocks, rows],
        without the sign bit that decoders ignore.
    nan
        Blocks of which any scale is NaN, bool [blocks, rows].
    """

    row: BlockFormat
    codes: npt.NDArray[np.uint8]
    sides: npt.NDArray[np.uint8]
    nan: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, b: Blocks) -> Operand:
        """Rows [..., blocks, K] of a quantized tensor, flattened to [rows, blocks, K]."""
        count = b.codes.shape[-2]
        codes = b.codes.reshape(-1, count, b.block).transpose(1, 0, 2)
        sides = np.stack([s.reshape(-1, count).T for s in b.scales])
        if b.row.scale.signed_bit:
            sides &= np.uint8((1 << (b.row.scale.width - 1)) - 1)
        nan = np.isnan(decode(sides, b.row.scale))
        return cls(b.row, codes, sides, nan[0] | nan[1])

    def part(self, rows: slice) -> Operand:
        """Select some of the rows."""
        return Operand(self.row, self.codes[:, rows], self.sides[:, :, rows], self.nan[:, rows])

    def classes(self) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]]:
        """Twice the element values [blocks, rows, K], and scales [blocks, rows], per class.

        NaN blocks have scale 0 and so add nothing; what they do is the accumulator's business.
        """
        values = (2 * decode(self.codes, self.row.element)).astype(np.float32)
        scales = decode(self.sides, self.row.scale)
        scales[:, self.nan] = 0
        if not self.row.asymmetric:
            return [(values, scales[0])]
        return [(np.maximum(values, 0), scales[0]), (np.minimum(values, 0), scales[1])]


def block_terms(
    a: Operand, b: Operand, product: Product
) -> list[Callable[[int], npt.NDArray[np.float64]]]:
    """Terms of the dot products of all pairs of blocks that `product` lets meet.

    Returns
    -------
    One to four functions of the block's index, each returning a term, float64, exact.
    """

    def term(
        x: npt.NDArray[np.float32],
        y: npt.NDArray[np.float32],
        s: npt.NDArray[np.float64],
        t: npt.NDArray[np.float64],
    ) -> Callable[[int], npt.NDArray[np.float64]]:
        def at(block: int) -> npt.NDArray[np.float64]:
            # Sums of at most 128 products of at most 144: integers that float32 holds exactly.
            sums = product(x[block], y[block])
            scales = product(s[block][:, None], t[block][:, None])
            result: npt.NDArray[np.float64] = sums * scales
            result *= 0.25
            return result

        return at

    return [term(x, y, s, t) for x, s in a.classes() for y, t in b.classes()]


def valid(a: Operand, b: Operand, product: Product, block: int) -> npt.NDArray[np.bool_]:
    """Whether neither of the two blocks that meet is NaN."""
    x, y = (~o.nan[block, :, None] for o in (a, b))
    return product(x.astype(np.float32), y.astype(np.float32)) > 0


def require_pair(a: object, b: object) -> tuple[Blocks, Blocks]:
    """Check that a and b are Blocks with the same K along reduction axes of the same length."""
    for name, operand in (("a", a), ("b", b)):
        if not isinstance(operand, Blocks):
            raise TypeError(f"{name} must be Blocks, not {type(operand).__name__}")
    assert isinstance(a, Blocks)
    assert isinstance(b, Blocks)
    if a.block != b.block:
        raise ValueError(f"b must have blocks of {a.block} elements as a has, not {b.block}")
    length_a, length_b = a.shape[a.axis], b.shape[b.axis]
    if length_a != length_b:
        raise ValueError(f"b must have a reduction axis of {length_a} as a has, not {length_b}")
    return a, b
