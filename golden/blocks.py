"""A quantized tensor: element codes and the scale codes of their blocks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat, block_format

from .checks import check_array, check_axis, check_codes, check_fp32, check_shape

__all__ = ["Blocks", "blocks_shape"]


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
    tensor_scale
        Factor of the whole tensor, an FP32 value: an element is R(q * R(s * t)), R the rounding to
        FP32.
    divides
        Whether `tensor_scale` is a divisor, as some files store it: R(q * R(s / t)).

    Raises
    ------
    TypeError
        An array is not uint8, or a parameter is of the wrong kind.
    ValueError
        Shapes do not belong together, a code is above 15, the number of scales is not the
        format's, or the tensor's factor is no FP32 value.
    """

    codes: npt.NDArray[np.uint8]
    scale_pos: npt.NDArray[np.uint8]
    scale_neg: npt.NDArray[np.uint8] | None
    format: str
    shape: tuple[int, ...]
    axis: int = -1
    tensor_scale: float = 1.0
    divides: bool = False

    def __post_init__(self) -> None:
        codes = check_array("codes", self.codes, np.uint8)
        if codes.ndim < 2:
            raise ValueError(f"codes must be [..., blocks, K], not of shape {codes.shape}")
        row = block_format(self.format, codes.shape[-1])
        shape = check_shape(self.shape)
        axis = check_axis(self.axis, len(shape))
        expected = blocks_shape(shape, axis, row.block)
        if codes.shape[:-1] != expected:
            raise ValueError(
                f"codes must be of shape {(*expected, row.block)} for a tensor of shape {shape} "
                f"along axis {axis}, not {codes.shape}"
            )
        check_codes(row, codes, self.scale_pos, self.scale_neg)
        scale = check_fp32("tensor_scale", self.tensor_scale)
        checked = {"format": row.name, "shape": shape, "axis": axis, "tensor_scale": scale}
        for field, value in checked.items():
            object.__setattr__(self, field, value)

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


def blocks_shape(shape: tuple[int, ...], axis: int, block: int) -> tuple[int, ...]:
    """Shape [..., blocks] of a tensor's scales: `axis` moved to the end and cut into blocks."""
    return (*shape[:axis], *shape[axis + 1 :], -(-shape[axis] // block))
