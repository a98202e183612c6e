"""A tensor that a file stores as codes, whatever its layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.dequantizer import dequantize, owner_values
from amxfp4.golden.weights import WeightBlocks
from amxfp4.params.formats import BlockFormat
from amxfp4.params.weights import WeightFormat

__all__ = ["Stored"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A tensor that a file stores as codes. What reads it does so while the file is open.

    Parameters
    ----------
    name
        As its owner calls it once it is decoded.
    layout
        Whose layout it is.
    format
        Name of its block format, or of its type.
    shape, axis
        Of the decoded tensor, and of it the axis along which blocks run.
    parts
        Entries of the file that it is made of, the first of which gives its place.
    fields
        Keys of the metadata that say so.
    row
        Row of the format table; ``None`` if it is of other blocks, or of none.
    weights
        Row of the table of weight formats, if it is of one.
    read
        Reads it as blocks, if it has a row in either table.
    decode
        Reads it as values, if its row does not say how.
    code_8
        What its owner decodes from element code 8, -0.0 or 0.0; ``None`` for ours, +0 as any zero.
    note
        What a reader of the file should know.
    """

    name: str
    layout: str
    format: str
    shape: tuple[int, ...]
    axis: int
    parts: tuple[str, ...]
    fields: tuple[str, ...] = ()
    row: BlockFormat | None = None
    weights: WeightFormat | None = None
    read: Callable[[], Blocks | WeightBlocks] | None = None
    decode: Callable[[], npt.NDArray[np.float32]] | None = None
    code_8: float | None = None
    note: str = ""

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    def coded(self) -> Blocks | WeightBlocks:
        """Read it as codes and scales.

        Raises
        ------
        ValueError
            It is of no format that has a row.
        """
        if self.read is None:
            raise ValueError(f"{self.name} is of {self.format}, which is none of our formats")
        return self.read()

    def blocks(self) -> Blocks:
        """Read it as blocks of E2M1.

        Raises
        ------
        ValueError
            It is none.
        """
        b = self.coded() if self.row is not None else None
        if not isinstance(b, Blocks):
            raise ValueError(f"{self.name} is of {self.format}, which has no blocks of E2M1")
        return b

    def values(self) -> npt.NDArray[np.float32]:
        """Read the values that its owner decodes, but for scales that are NaN: ours are NaN."""
        if self.decode is not None:
            return self.decode()
        b = self.coded()
        if self.code_8 is None or isinstance(b, WeightBlocks):
            return dequantize(b)
        return owner_values(b, self.code_8)
