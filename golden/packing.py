"""Block records: the bytes that blocks are in memory and on the hardware's ports.

Bit 0 first, element i is at bits [4i+3 : 4i]; the scale of positive elements follows at
[4K+7 : 4K], that of negative ones, when there are two, or a zero point at [4K+15 : 4K+8]. In memory
a record is little endian: two elements to a byte, low nibble first, then one or two bytes. Records
of weights in a format of AFPQ are those of `amxfp4.golden.weights.records`.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat
from amxfp4.params.weights import WEIGHT_FORMATS, WeightName

from .blocks import Blocks, blocks_shape, by_name
from .checks import check_array, check_axis, check_kind, check_shape
from .nibbles import join_nibbles, split_nibbles
from .table import row_of
from .weights import WeightBlocks, pack_records, unpack_records

__all__ = ["pack", "unpack"]


def _check_width(row: BlockFormat) -> None:
    """Refuse what hardware does not read: elements of other than four bits."""
    if row.element.width != 4:
        raise ValueError(
            f"format must be of elements of 4 bits for records, not {row.name} of "
            f"{row.element.width}"
        )


def pack(b: Blocks | WeightBlocks) -> npt.NDArray[np.uint8]:
    """Pack blocks into records.

    Parameters
    ----------
    b
        Quantized tensor of codes [..., blocks, K]; weights must be packed, of FP16 scales.

    Returns
    -------
    uint8 [..., blocks, K / 2 + 1 or 2]; 18 bytes for `amxfp4`, 17 for `mxfp4`. Of weights
    `amxfp4.golden.weights.pack_records`; 68 bytes for `afpq-nf4`, 50 for `fpq-nf3`.

    Examples
    --------
    >>> from amxfp4.golden import quantize
    >>> pack(quantize(np.array([6, -6], np.float32)))
    array([[247,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
              0,   0,   0,  60,  60]], dtype=uint8)
    """
    if isinstance(b, WeightBlocks):
        return pack_records(b)
    check_kind("b", b, Blocks)
    _check_width(b.row)
    return np.concatenate([join_nibbles(b.codes), *(s[..., None] for s in b.shared)], axis=-1)


@overload
def unpack(
    raw: npt.NDArray[np.uint8],
    format: WeightName,
    shape: Any,
    *,
    axis: int = -1,
    block: int | None = None,
) -> WeightBlocks: ...
@overload
def unpack(
    raw: npt.NDArray[np.uint8],
    format: str,
    shape: Any,
    *,
    axis: int = -1,
    block: int | None = None,
) -> Blocks: ...
def unpack(
    raw: npt.NDArray[np.uint8],
    format: str,
    shape: Any,
    *,
    axis: int = -1,
    block: int | None = None,
) -> Blocks | WeightBlocks:
    """Unpack records into blocks; the inverse of `pack`.

    Parameters
    ----------
    raw
        uint8 records, [..., blocks, K / 2 + 1 or 2], or of weights.
    format
        Row of the format table, or of the table of weight formats.
    shape
        Shape of the original tensor.
    axis
        The original's axis along which blocks run.
    block
        Elements per block; by default the format's own. Of weights 128, or -1 for one group a row.

    Raises
    ------
    TypeError
        `raw` is not uint8, or a parameter is of the wrong kind.
    ValueError
        The shape of `raw` is not that of a tensor of `shape` in `format`, a zero point is above
        15, or records of weights hold what `WeightBlocks` refuses.
    """
    if format in WEIGHT_FORMATS:
        return unpack_records(raw, format, shape, axis=axis, block=block)
    row = row_of(format, block)
    _check_width(row)
    shape = check_shape(shape)
    axis = check_axis(axis, len(shape))
    check_array("raw", raw, np.uint8)
    expected = (*blocks_shape(shape, axis, row.block), row.record_bytes)
    if raw.shape != expected:
        raise ValueError(f"raw must be of shape {expected}, not {raw.shape}")
    shared = raw[..., row.block // 2 :]
    return Blocks(
        split_nibbles(raw[..., : row.block // 2]),
        shared[..., 0].copy(),
        format=row.name,
        shape=shape,
        axis=axis,
        **by_name(row, shared[..., -1].copy()),
    )
