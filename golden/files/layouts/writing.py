"""How blocks are written in each layout: entries, and their bytes piece by piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks, blocks_shape
from amxfp4.golden.files.gguf_file import MOST_AXES, TYPES
from amxfp4.golden.files.tensor_file import BITS, Entry
from amxfp4.golden.formats import decode
from amxfp4.golden.nibbles import join_nibbles
from amxfp4.params.formats import BlockFormat
from amxfp4.params.weights import WeightFormat

from .gguf import joined_halves

__all__ = ["OTHERS", "Layout", "Row", "as_stored", "entry"]

_Bytes = npt.NDArray[np.uint8]
_Entries = dict[str, Entry]
Row = BlockFormat | WeightFormat
_GGUF_TYPES = {name for name, _, _ in TYPES.values()}
MX, NV = ("mxfp4", "mxfp4-roundup"), ("nvfp4",)
"""Formats with the codes of OCP's MXFP4 and of NVFP4."""


def entry(dtype: str, *shape: int) -> Entry:
    """Entry of numbers of whole bytes."""
    return Entry(dtype, shape, math.prod(shape) * BITS[dtype] // 8)


class Layout:
    """A layout that blocks can be written in.

    A tensor's bytes are those of its pieces, which follow each other in C order with the axis of
    blocks last, and then the `rest`.
    """

    name: ClassVar[str]
    suffix: ClassVar[str] = ".safetensors"
    divides: ClassVar[bool] = False
    """Whether it stores a divisor in place of a factor."""
    formats: ClassVar[tuple[str, ...]]
    factors: ClassVar[tuple[str, ...]] = ()
    """Formats whose tensors always have a factor."""

    def together(self, row: Row) -> int:
        """How many blocks must follow each other."""
        return 1

    def check_format(self, row: Row) -> None:
        """Refuse a format or a block size that the layout does not have.

        Raises
        ------
        ValueError
            It names them, and what they must be.
        """
        if row.name not in self.formats:
            known = " or ".join(self.formats)
            raise ValueError(f"format must be {known} for layout {self.name}, not {row.name!r}")
        block = 32 if row.name in MX else 16
        if row.block != block:
            raise ValueError(
                f"block must be {block} for {row.name} in layout {self.name}, not {row.block}"
            )

    def check_shape(self, name: str, row: Row, shape: tuple[int, ...], axis: int) -> None:
        """Refuse a tensor that does not fit, along another axis or of other than whole blocks.

        Raises
        ------
        ValueError
            It names the axis or the number of elements, and what they must be.
        """
        self.check_axis(name, shape, axis)
        whole = row.block * self.together(row)
        if shape[axis] % whole:
            raise ValueError(
                f"{name} must have a multiple of {whole} elements along axis {axis} for layout "
                f"{self.name}, not {shape[axis]}"
            )

    def check_axis(self, name: str, shape: tuple[int, ...], axis: int) -> None:
        """Refuse other axes than the layout has."""
        if axis != len(shape) - 1:
            raise ValueError(
                f"axis must be the last one of {name}, {len(shape) - 1}, for layout {self.name}, "
                f"not {axis}"
            )

    def holds(self, entry: Entry) -> bool:
        """Whether a file of this layout can have an ordinary tensor of this type."""
        return entry.known

    def declared(
        self, name: str, row: Row, shape: tuple[int, ...], axis: int, *, factor: bool
    ) -> tuple[_Entries, dict[str, str]]:
        """Entries in the order in which they are written, and metadata, of a quantized tensor.

        Parameters
        ----------
        name, row, shape, axis
            Of the tensor; the axis is counted from the front.
        factor
            Whether it has a factor.

        Raises
        ------
        ValueError
            As `check_format` and `check_shape`.
        """
        self.check_format(row)
        self.check_shape(name, row, shape, axis)
        if factor and row.name not in NV:
            raise ValueError(
                f"tensor_scale of {name} must be 1 for {row.name} in layout {self.name}"
            )
        assert isinstance(row, BlockFormat)  # what its formats are
        rows = blocks_shape(shape, axis, row.block)
        return self.entries(name, row, rows, factor=factor), {}

    def entries(
        self, name: str, row: BlockFormat, rows: tuple[int, ...], *, factor: bool
    ) -> _Entries:
        """Entries of blocks [*rows]."""
        return {}

    def piece(self, row: Row, codes: _Bytes, scales: Sequence[npt.NDArray[Any]]) -> _Bytes:
        """Bytes of some blocks: codes [..., K], scales of each side [...]."""
        return join_nibbles(codes)

    def rest(self, scales: npt.NDArray[Any], factor: float | None) -> npt.NDArray[Any]:
        """Give what is behind all pieces: scales of all blocks, the factor if there is one."""
        last = np.array([] if factor is None else [factor], "<f4").view(np.uint8)
        return np.concatenate([scales, last])


class _CompressedTensors(Layout):
    name, formats, factors, divides = "compressed-tensors", MX + NV, NV, True

    def entries(
        self, name: str, row: BlockFormat, rows: tuple[int, ...], *, factor: bool
    ) -> _Entries:
        return {
            f"{name}_packed": entry("U8", *rows[:-1], rows[-1] * row.block // 2),
            f"{name}_scale": entry("U8" if row.name in MX else "F8_E4M3", *rows),
            **({f"{name}_global_scale": entry("F32", 1)} if factor else {}),
        }


class _ModelOpt(Layout):
    name, formats, factors = "modelopt", NV, NV

    def entries(
        self, name: str, row: BlockFormat, rows: tuple[int, ...], *, factor: bool
    ) -> _Entries:
        return {
            name: entry("U8", *rows[:-1], rows[-1] * row.block // 2),
            f"{name}_scale": entry("F8_E4M3", *rows),
            f"{name}_scale_2": entry("F32"),
        }


class _GptOss(Layout):
    name, formats = "gpt-oss", MX

    def check_axis(self, name: str, shape: tuple[int, ...], axis: int) -> None:
        if axis not in (len(shape) - 1, len(shape) - 2):
            raise ValueError(
                f"axis must be one of the last two of {name} for layout {self.name}, not {axis}"
            )

    def declared(
        self, name: str, row: Row, shape: tuple[int, ...], axis: int, *, factor: bool
    ) -> tuple[_Entries, dict[str, str]]:
        super().declared(name, row, shape, axis, factor=factor)
        rows = blocks_shape(shape, axis, row.block)
        # Two readers, two names: transformers turns the axes, OpenAI's own does not.
        joint = "." if axis == len(shape) - 1 else "_"
        return {
            f"{name}{joint}blocks": entry("U8", *rows, row.block // 2),
            f"{name}{joint}scales": entry("U8", *rows),
        }, {}


class _Gguf(Layout):
    name, formats, suffix = "gguf", MX + NV, ".gguf"

    def holds(self, entry: Entry) -> bool:
        return entry.dtype in _GGUF_TYPES and len(entry.shape) <= MOST_AXES

    def together(self, row: Row) -> int:
        return 4 if row.name in NV else 1

    def entries(
        self, name: str, row: BlockFormat, rows: tuple[int, ...], *, factor: bool
    ) -> _Entries:
        kind = "MXFP4" if row.name in MX else "NVFP4"
        shape = (*rows[:-1], rows[-1] * row.block)
        found = {name: Entry(kind, shape, math.prod(rows) * row.record_bytes)}
        if factor:
            found[f"{name.removesuffix('.weight')}.scale"] = entry("F32", 1)
        return found

    def piece(self, row: Row, codes: _Bytes, scales: Sequence[npt.NDArray[Any]]) -> _Bytes:
        together = self.together(row)
        halves = joined_halves(codes.reshape(-1, row.block))
        records = halves.reshape(-1, together * row.block // 2)
        return np.concatenate([scales[0].reshape(-1, together), records], axis=1)

    def rest(self, scales: npt.NDArray[Any], factor: float | None) -> npt.NDArray[Any]:
        return super().rest(scales[:0], factor)


OTHERS: tuple[Layout, ...] = (_CompressedTensors(), _ModelOpt(), _GptOss(), _Gguf())
"""Other people's layouts that can be written."""


def as_stored(name: str, b: Blocks, *, divides: bool) -> float:
    """Factor of a tensor as a layout stores it, as a divisor or not.

    Raises
    ------
    ValueError
        It is the other one, and no number does the same to all scales.
    """
    if b.divides == divides or b.tensor_scale == 1:
        return b.tensor_scale
    codes = np.arange(b.row.scale.max_magnitude + 1, dtype=np.uint8)
    scales, t = decode(codes, b.row.scale).astype(np.float32), np.float32(b.tensor_scale)
    with np.errstate(all="ignore"):
        other = np.float32(1) / t
        held, stored = (scales / t, scales * other) if b.divides else (scales * t, scales / other)
    if not np.array_equal(held, stored):
        kinds = ("multiplied by", "divided by")
        raise ValueError(
            f"tensor_scale of {name} must be one that scales are {kinds[divides]} in this layout, "
            f"not {kinds[b.divides]}: {b.tensor_scale!r} has no exact reciprocal"
        )
    return float(other)
