"""A quantized tensor: element codes and the scale codes of their blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat, block_format

__all__ = ["Blocks", "normal_axis"]


def normal_axis(axis: object, ndim: int) -> int:
    """`axis` counted from the front, checked."""
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise TypeError(f"axis must be an integer, not {axis!r}")
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis must be from {-ndim} to {ndim - 1}, not {axis!r}")
    return int(axis) % ndim


def _require_uint8(parameter: str, array: object) -> npt.NDArray[np.uint8]:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        what = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{parameter} must be an array of uint8, not {what}")
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A quantized tensor. Blocks run along one axis of the original, which comes last here.

    Parameters
    ----------
    codes
        Element codes, uint8 [..., blocks, K], 0..15. The dots are the original's other axes.
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

    Raises
    ------
    TypeError
        An array is not uint8, or a parameter is of the wrong kind.
    ValueError
        Shapes do not belong together, a code is above 15, or the number of scales is not the
        format's.
    """

    codes: npt.NDArray[np.uint8]
    scale_pos: npt.NDArray[np.uint8]
    scale_neg: npt.NDArray[np.uint8] | None
    format: str
    shape: tuple[int, ...]
    axis: int = -1

    def __post_init__(self) -> None:
        codes = _require_uint8("codes", self.codes)
        _require_uint8("scale_pos", self.scale_pos)
        if codes.ndim < 2:
            raise ValueError(f"codes must be [..., blocks, K], not of shape {codes.shape}")
        row = block_format(self.format, codes.shape[-1])
        object.__setattr__(self, "format", row.name)
        shape = normal_shape(self.shape)
        object.__setattr__(self, "shape", shape)
        axis = normal_axis(self.axis, len(shape))
        object.__setattr__(self, "axis", axis)
        expected = blocks_shape(shape, axis, row.block)
        if codes.shape[:-1] != expected:
            raise ValueError(
                f"codes must be of shape {(*expected, row.block)} for a tensor of shape {shape} "
                f"along axis {axis}, not {codes.shape}"
            )
        if codes.size and codes.max() >= 1 << row.element.width:
            raise ValueError(f"codes must be at most 15, not {int(codes.max())}")
        if row.asymmetric != (self.scale_neg is not None):
            wanted = "given" if row.asymmetric else "None"
            raise ValueError(f"scale_neg must be {wanted} for {row.name}, not {self.scale_neg!r}")
        for name, scales in (("scale_pos", self.scale_pos), ("scale_neg", self.scale_neg)):
            if scales is not None and _require_uint8(name, scales).shape != expected:
                raise ValueError(f"{name} must be of shape {expected}, not {scales.shape}")

    @property
    def block(self) -> int:
        """Elements per block, K."""
        return int(self.codes.shape[-1])

    @property
    def row(self) -> BlockFormat:
        """Row of the format table, at this block size."""
        return block_format(self.format, self.block)

    @property
    def scales(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Scale codes of positive and of negative elements; twice the same when symmetric."""
        return self.scale_pos, self.scale_pos if self.scale_neg is None else self.scale_neg


def normal_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of positive integers, checked."""
    try:
        sizes = tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be a tuple of integers, not {shape!r}") from None
    for size in sizes:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise TypeError(f"shape must be a tuple of integers, not {shape!r}")
    if not sizes or min(sizes) < 1:
        raise ValueError(f"shape must be one or more positive sizes, not {shape!r}")
    return tuple(int(size) for size in sizes)


def blocks_shape(shape: tuple[int, ...], axis: int, block: int) -> tuple[int, ...]:
    """Shape [..., blocks] of a tensor's scales: `axis` moved to the end and cut into blocks."""
    return (*shape[:axis], *shape[axis + 1 :], -(-shape[axis] // block))
