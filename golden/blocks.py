"""A quantized tensor: element codes and the scale codes of their blocks."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat

from .checks import (
    check_array,
    check_axis,
    check_codes,
    check_floats,
    check_fp32,
    check_shape,
)
from .table import row_of

__all__ = [
    "Blocks",
    "blocks_shape",
    "by_name",
    "chunks",
    "in_place",
    "load_words",
    "rows_are_adjacent",
    "rows_of",
]

_CHUNK = 1 << 18
"""Elements worked on at a time: few enough for the caches, enough to hide the cost of calls."""
_STRIP = 64


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A quantized tensor. Blocks run along one axis of the original, which comes last here.

    Parameters
    ----------
    codes
        Element codes, uint8 [..., blocks, K], 0..15. The dots are the original's other axes.
        Those of ``int4`` are two's complement.
    scale_pos
        Scale codes of the positive elements (of all of them when the format is symmetric),
        uint8 [..., blocks].
    scale_neg
        Scale codes of the negative elements, uint8 [..., blocks]; ``None`` when symmetric.
    format
        Name of a row of the format table; K may differ from the row's own block size.
    shape
        Shape of the original tensor.
    axis
        The original's axis along which blocks run; -1 is the last. Kept as counted from the front.
    tensor_scale
        Factor of the whole tensor, an FP32 value: an element is R(q * R(s * t)), R the rounding to
        FP32.
    divides
        Whether `tensor_scale` is a divisor, as some files store it: R(q * R(s / t)).
    zero_point
        Zero points, uint8 [..., blocks], 0..15, of formats that have one: an element is
        (q - zero_point) * s. ``None`` of all others.

    Raises
    ------
    TypeError
        An array is not uint8, or a parameter is of the wrong kind.
    ValueError
        Shapes do not belong together, a code or a zero point is above 15, the number of scales is
        not the format's, or the tensor's factor is no FP32 value.
    """

    codes: npt.NDArray[np.uint8]
    scale_pos: npt.NDArray[np.uint8]
    scale_neg: npt.NDArray[np.uint8] | None
    format: str
    shape: tuple[int, ...]
    axis: int = -1
    tensor_scale: float = 1.0
    divides: bool = False
    zero_point: npt.NDArray[np.uint8] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        codes = check_array("codes", self.codes, np.uint8)
        if codes.ndim < 2:
            raise ValueError(f"codes must be [..., blocks, K], not of shape {codes.shape}")
        row = row_of(self.format, codes.shape[-1])
        shape = check_shape(self.shape)
        axis = check_axis(self.axis, len(shape))
        expected = blocks_shape(shape, axis, row.block)
        if codes.shape[:-1] != expected:
            raise ValueError(
                f"codes must be of shape {(*expected, row.block)} for a tensor of shape {shape} "
                f"along axis {axis}, not {codes.shape}"
            )
        check_codes(row, codes, self.scale_pos, self.scale_neg, self.zero_point)
        scale = check_fp32("tensor_scale", self.tensor_scale)
        checked = {"format": row.name, "shape": shape, "axis": axis, "tensor_scale": scale}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def block(self) -> int:
        """Elements per block, K."""
        return int(self.codes.shape[-1])

    @property
    def row(self) -> BlockFormat:
        """Row of the format table, at this block size."""
        return row_of(self.format, self.block)

    @property
    def scales(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Scale codes of positive and of negative elements; twice the same when symmetric."""
        return self.scale_pos, self.scale_pos if self.scale_neg is None else self.scale_neg

    @property
    def shared(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """Bytes that the elements of a block share, in the order of a record."""
        return tuple(s for s in (self.scale_pos, self.scale_neg, self.zero_point) if s is not None)

    @property
    def plain(self) -> Blocks:
        """The same codes and scales without the tensor's factor, as hardware sees them."""
        if self.tensor_scale == 1:
            return self
        return dataclasses.replace(self, tensor_scale=1.0, divides=False)

    @property
    def factor(self) -> np.float32:
        """FP32 factor of a sum of products of this tensor: t, or R(1 / t) of a divisor."""
        t = np.float32(self.tensor_scale)
        with np.errstate(all="ignore"):
            return np.float32(1) / t if self.divides else t


class Shared(TypedDict):
    """Arguments of `Blocks`: what the second byte of a record is, if there is one."""

    scale_neg: npt.NDArray[np.uint8] | None
    zero_point: npt.NDArray[np.uint8] | None


def by_name(row: BlockFormat, other: npt.NDArray[np.uint8] | None) -> Shared:
    """Name what stands in the second byte of records of a format: scales, zero points, or none.

    Examples
    --------
    >>> by_name(row_of("mxfp4"), None)
    {'scale_neg': None, 'zero_point': None}
    """
    return {
        "scale_neg": other if row.asymmetric else None,
        "zero_point": other if row.zero_point else None,
    }


def blocks_shape(shape: tuple[int, ...], axis: int, block: int) -> tuple[int, ...]:
    """Shape [..., blocks] of a tensor's scales: `axis` moved to the end and cut into blocks."""
    return (*shape[:axis], *shape[axis + 1 :], -(-shape[axis] // block))


def rows_of(x: npt.ArrayLike, axis: int) -> tuple[npt.NDArray[Any], tuple[int, ...], int]:
    """Rows [rows, n] along an axis of what is to be quantized, its shape, and the axis.

    The rows are a view of the input unless it has three or more axes in an odd order; the axis is
    counted from the front.

    Raises
    ------
    TypeError
        `x` is no array of floating-point words, or `axis` no integer.
    ValueError
        `x` is empty, or `axis` out of range.
    """
    array = check_floats("x", x)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"x must have one or more elements along an axis, not shape {array.shape}")
    axis = check_axis(axis, array.ndim)
    rows = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])
    return rows, array.shape, axis


def chunks(
    rows: npt.NDArray[Any], block: int, size: int | None = None
) -> list[tuple[slice, slice]]:
    """Cut [rows, blocks] into pieces of about `size` elements that run along the memory.

    The first is the largest.
    """
    count, blocks = rows.shape[0], -(-rows.shape[1] // block)
    limit = max(1, (size or _CHUNK) // block)
    if rows_are_adjacent(rows):
        row_step = min(count, limit)
        block_step = min(blocks, max(1, limit // row_step))
    else:
        block_step = min(blocks, limit)
        row_step = min(count, max(1, limit // block_step))
    return [
        (slice(r, min(r + row_step, count)), slice(b, min(b + block_step, blocks)))
        for r in range(0, count, row_step)
        for b in range(0, blocks, block_step)
    ]


def load_words(x: npt.NDArray[Any], key: npt.NDArray[Any], cut: int) -> None:
    """Copy the bit patterns of x [rows, n] to key [K, rows, blocks], padding with +0.

    They are words as wide as those of key, `cut` bits less than FP32, or become FP32.
    """
    block, rows, _ = key.shape
    whole, rest = divmod(x.shape[1], block)
    pieces = [(x[:, : whole * block].reshape(rows, whole, block), key[:, :, :whole])]
    if rest:
        key[rest:, :, whole] = 0
        pieces.append((x[:, None, whole * block :], key[:rest, :, whole:]))
    for piece, target in pieces:
        source = piece.transpose(2, 0, 1)
        if cut:
            target[...] = source.view(key.dtype)
        else:
            with np.errstate(invalid="ignore"):  # widening a signalling NaN
                target.view(np.float32)[...] = source


def rows_are_adjacent(rows: npt.NDArray[Any]) -> bool:
    """Whether neighbours in memory are of neighbouring rows, not of one row."""
    return abs(rows.strides[0]) < abs(rows.strides[1])


def in_place(
    values: npt.NDArray[np.float32], shape: tuple[int, ...], axis: int
) -> npt.NDArray[np.float32]:
    """Values [..., blocks, K] of a tensor in its own shape and axis order, without padding."""
    values = values.reshape(*values.shape[:-2], -1)[..., : shape[axis]]
    if axis == len(shape) - 1:
        return np.ascontiguousarray(values)
    # Back to its place between the other axes, a strip at a time: whole cache lines on both sides.
    before, after = shape[:axis], shape[axis + 1 :]
    source = values.reshape(math.prod(before), math.prod(after), -1)
    result = np.empty((len(source), source.shape[2], source.shape[1]), np.float32)
    for start in range(0, source.shape[1], _STRIP):
        strip = slice(start, start + _STRIP)
        result[:, :, strip] = source[:, strip].transpose(0, 2, 1)
    return result.reshape(shape)
