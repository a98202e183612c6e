"""A tensor of weights in a format of AFPQ: codes and the scales of their groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import blocks_shape
from amxfp4.golden.checks import check_array, check_axis, check_shape
from amxfp4.params.weights import WEIGHT_BLOCKS, WeightFormat, weight_format

__all__ = ["WeightBlocks", "check_plain", "groups_shape", "refuse_weights"]

Scales = npt.NDArray[np.float32] | npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class WeightBlocks:
    """A quantized tensor of weights. Groups run along one axis of the original, the last one here.

    Parameters
    ----------
    codes
        Indexes into the format's table of values, uint8 [..., groups, K]: K is 128, or all of the
        axis with `block` -1. The dots are the original's other axes.
    scale_pos
        Scales of the elements of value 0 and above (of all where the format has one scale),
        [..., groups]: float32, or float16 if packed; finite and not below 0, or NaN.
    scale_neg
        Those of the negative elements; ``None`` where the format has one scale.
    format
        Name of a row of `amxfp4.params.weights.WEIGHT_FORMATS`.
    shape
        Shape of the original tensor.
    axis
        The original's axis along which groups run; kept as counted from the front.
    block
        128, or -1 for one group a row.
    packed
        Whether scales are FP16, and values are rounded to FP16.

    Raises
    ------
    TypeError
        An array is of another type, or a parameter of the wrong kind.
    ValueError
        Shapes do not belong together, a code is outside the table, or a scale is negative or
        infinite.
    """

    codes: npt.NDArray[np.uint8]
    scale_pos: Scales
    scale_neg: Scales | None
    format: str
    shape: tuple[int, ...]
    axis: int = -1
    block: int = WEIGHT_BLOCKS[0]
    packed: bool = False

    def __post_init__(self) -> None:
        row = weight_format(self.format, self.block, self.packed)
        shape = check_shape(self.shape)
        axis = check_axis(self.axis, len(shape))
        codes = check_array("codes", self.codes, np.uint8)
        expected = groups_shape(row, shape, axis)
        if codes.shape != (*expected, row.size(shape[axis])):
            raise ValueError(
                f"codes must be of shape {(*expected, row.size(shape[axis]))} for a tensor of "
                f"shape {shape} along axis {axis}, not {codes.shape}"
            )
        most = len(row.values) - 1
        if codes.max() > most:
            raise ValueError(f"codes must be at most {most}, not {int(codes.max())}")
        if row.asymmetric != (self.scale_neg is not None):
            wanted = "given" if row.asymmetric else "None"
            raise ValueError(f"scale_neg must be {wanted} for {row.name}, not {self.scale_neg!r}")
        for name in ("scale_pos", "scale_neg"):
            if (scales := getattr(self, name)) is not None:
                _check_scales(name, scales, row, expected)
        for field, value in {"shape": shape, "axis": axis}.items():
            object.__setattr__(self, field, value)

    @property
    def row(self) -> WeightFormat:
        """Row of the table of weight formats, at this size of groups."""
        return weight_format(self.format, self.block, self.packed)

    @property
    def scales(self) -> tuple[Scales, ...]:
        """Scales of each side that the format has: positive, negative."""
        return (self.scale_pos,) if self.scale_neg is None else (self.scale_pos, self.scale_neg)

    @property
    def shared(self) -> tuple[Scales, ...]:
        """What the elements of a group share, in the order of files: `scales`."""
        return self.scales


def _check_scales(name: str, scales: Any, row: WeightFormat, shape: tuple[int, ...]) -> None:
    wanted: Any = np.float16 if row.packed else np.float32
    check_array(name, scales, wanted, f" with packed={row.packed}")
    if scales.shape != shape:
        raise ValueError(f"{name} must be of shape {shape}, not {scales.shape}")
    bad = scales[(scales < 0) | np.isinf(scales)]
    if bad.size:
        raise ValueError(f"{name} must be finite and at least 0, or NaN, not {float(bad[0])!r}")


def groups_shape(row: WeightFormat, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Shape [..., groups] of a tensor's scales of one side."""
    return blocks_shape(shape, axis, row.size(shape[axis]))


def refuse_weights(parameter: str, x: object) -> None:
    """Refuse weights as an operand of a product.

    Raises
    ------
    TypeError
        `x` is `WeightBlocks`; the message says why that will not do.
    """
    if isinstance(x, WeightBlocks):
        raise TypeError(
            f"{parameter} must be of E2M1 elements with 8-bit scales, which the array multiplies, "
            f"not WeightBlocks of {x.format}; quantize what dequantize returns"
        )


def check_plain(row: WeightFormat, **options: object) -> None:
    """Refuse what weight formats do not have.

    Raises
    ------
    ValueError
        It names the parameter, and what it must be.
    """
    for name, value in options.items():
        only = {"rule": "nearest", "second": 0}.get(name)
        if value != only:
            raise ValueError(f"{name} must be {only!r} for {row.name}, not {value!r}")
