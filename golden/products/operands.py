"""Operands, and the exact dot product of two blocks as terms whose exact sum it is.

With values a_i, b_i before scaling and classes by sign (arXiv 2411.09909)::

    D = s_pos^A s_pos^B S_pp + s_pos^A s_neg^B S_pn + s_neg^A s_pos^B S_np + s_neg^A s_neg^B S_nn

where S_pp is the sum of a_i b_i over the elements with both positive, and so on. A symmetric
operand merges its two classes: two terms, or one. With a zero point a_i is the difference of two
codes. Each class sum is an integer multiple of 1/4 below 2^15, each scale has at most 4
significant bits, so every term is exact in float64; D
itself spans up to 71 bits (E5M2) or over 500 (E8M0) and is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.formats import decode, element_index, element_values
from amxfp4.params.formats import BlockFormat

__all__ = ["Contraction", "Operand", "block_terms", "paired", "rows_by_rows"]

Contraction = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[Any]]
"""Sums products along the last axes of two arrays, and decides which of their rows meet."""


def rows_by_rows(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[M, n], [N, n] -> [M, N]: every row of x with every row of y."""
    result: npt.NDArray[Any] = x @ y.T
    return result


def paired(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[M, n], [M, n] -> [M]: every row of x with the same row of y."""
    result: npt.NDArray[Any] = np.einsum("mn,mn->m", x, y)
    return result


@dataclass(frozen=True, slots=True)
class Operand:
    """Rows of one operand, blocks first.

    Parameters
    ----------
    row
        Format.
    codes, sides
        Elements as indices into `element_values` [blocks, rows, K]; scale codes of both signs uint8
        [2, blocks, rows], without the sign bit that decoders ignore.
    nan
        Blocks of which any scale is NaN, bool [blocks, rows].
    """

    row: BlockFormat
    codes: npt.NDArray[Any]
    sides: npt.NDArray[np.uint8]
    nan: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, b: Blocks) -> Operand:
        """Rows [..., blocks, K] of a quantized tensor, flattened to [rows, blocks, K]."""
        count = b.codes.shape[-2]
        index = element_index(b.row, b.codes, b.zero_point)
        codes = index.reshape(-1, count, b.block).transpose(1, 0, 2)
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

        NaN blocks have scale 0 and so add nothing; their results are overwritten in the end.
        """
        values = (2 * element_values(self.row)).astype(np.float32)[self.codes]
        scales = decode(self.sides, self.row.scale)
        scales[:, self.nan] = 0
        if not self.row.asymmetric:
            return [(values, scales[0])]
        return [(np.maximum(values, 0), scales[0]), (np.minimum(values, 0), scales[1])]


def block_terms(
    a: Operand, b: Operand, contract: Contraction
) -> Iterator[list[npt.NDArray[np.float64]]]:
    """Terms of the dot products of the rows that meet: one to four exact arrays for each block."""
    left, right = a.classes(), b.classes()
    for block in range(len(a.codes)):
        # Sums of at most 128 products of at most 900: integers that float32 holds exactly.
        yield [
            contract(x[block], y[block]) * contract(0.25 * s[block][:, None], t[block][:, None])
            for x, s in left
            for y, t in right
        ]
