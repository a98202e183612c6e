"""A tensor that a file stores as codes, whatever its layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.dequantizer import dequantize, owner_values
from amxfp4.params.formats import BlockFormat

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
    read
        Reads it as blocks, if it has a row.
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
    read: Callable[[], Blocks] | None = None
    decode: Callable[[], npt.NDArray[np.float32]] | None = None
    code_8: float | None = None
    note: str = ""

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    def blocks(self) -> Blocks:
        """Read it as blocks.

        Raises
        ------
        ValueError
            It is of no format that has a row.
        """
        if self.read is None:
            raise ValueError(f"{self.name} is of {self.format}, which has no blocks of E2M1")
        return self.read()

    def values(self) -> npt.NDArray[np.float32]:
        """Read the values that its owner decodes, but for scales that are NaN: ours are NaN."""
        if self.decode is not None:
            return self.decode()
        b = self.blocks()
        return dequantize(b) if self.code_8 is None else owner_values(b, self.code_8)
