"""What layouts are made of: entries that belong together, nibbles, and swizzled scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.files.tensor_file import Entry, TensorFile
from amxfp4.golden.nibbles import split_nibbles
from amxfp4.params.formats import BlockFormat

__all__ = ["factor", "in_order", "is_factor", "packed", "swizzle", "unswizzle"]

_TILE = (128, 4)
"""Rows and columns of scales that lie together where they are swizzled."""


def packed(
    file: TensorFile,
    codes: str,
    scales: str,
    row: BlockFormat,
    tensor_scale: float,
    *,
    divides: bool = False,
) -> Blocks:
    """Read blocks along the last axis: codes U8 [..., k / 2], low nibble first, and scales."""
    raw = file.raw(codes)
    shape = (*raw.shape[:-1], 2 * raw.shape[-1])
    blocks = split_nibbles(raw).reshape(*shape[:-1], -1, row.block)
    return Blocks(blocks, in_order(file, scales, blocks.shape[:-1]), None, row.name, shape,
                  tensor_scale=tensor_scale, divides=divides)  # fmt: skip


def in_order(file: TensorFile, scales: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read scale codes of a shape, as they are stored."""
    array: npt.NDArray[np.uint8] = np.array(file.raw(scales)).reshape(shape)
    return array


def is_factor(entry: Entry | None) -> bool:
    """Whether an entry is one FP32 number."""
    return entry is not None and entry.dtype == "F32" and entry.bytes == 4


def factor(file: TensorFile, name: str | None) -> float:
    """Read a tensor's factor; 1 if it has none."""
    return 1.0 if name is None else float(file.raw(name).reshape(-1)[0])


def _padded(rows: int, columns: int) -> tuple[int, int, int, int]:
    return -(-rows // _TILE[0]), _TILE[0], -(-columns // _TILE[1]), _TILE[1]


def unswizzle(raw: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Scales [rows, columns] of tiles of 128 x 4, as tensor cores read them.

    In a tile, 512 bytes, row r and column c are at byte 16 (r mod 32) + 4 (r div 32) + c; tiles
    follow each other row by row, and scales are padded to whole ones.
    """
    down, _, across, _ = _padded(rows, columns)
    tiles = raw.reshape(down, across, 32, 4, 4).transpose(0, 3, 2, 1, 4)
    whole = tiles.reshape(down * _TILE[0], across * _TILE[1])
    return np.ascontiguousarray(whole[:rows, :columns])


def swizzle(scales: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Inverse of `unswizzle`: bytes [512 tiles] of scales [rows, columns], padded with zeros."""
    down, high, across, wide = _padded(*scales.shape)
    whole = np.zeros((down * high, across * wide), np.uint8)
    whole[: scales.shape[0], : scales.shape[1]] = scales
    return whole.reshape(down, 4, 32, across, 4).transpose(0, 3, 2, 1, 4).reshape(-1)
