"""Block records: the bytes that blocks are in memory and on the hardware's ports.

Bit 0 first, element i is at bits [4i+3 : 4i]; the scale of positive elements follows at
[4K+7 : 4K], that of negative ones, when there are two, or a zero point at [4K+15 : 4K+8]. In memory
a record is little endian: two elements to a byte, low nibble first, then one or two bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat

from .blocks import Blocks, blocks_shape, by_name
from .checks import check_array, check_axis, check_kind, check_shape
from .table import row_of

__all__ = ["join_nibbles", "pack", "split_nibbles", "unpack"]


def join_nibbles(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pack codes [..., 2n] into bytes [..., n], low nibble first.

    Examples
    --------
    >>> join_nibbles(np.array([1, 2, 15, 0], np.uint8))
    array([33, 15], dtype=uint8)
    """
    pairs = np.ascontiguousarray(codes).view("<u2")
    # Words of two codes, low byte first: vectors of them are faster than every other byte.
    joined: npt.NDArray[np.uint8] = (pairs | pairs >> np.uint16(4)).astype(np.uint8)
    return joined


def split_nibbles(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Unpack bytes [..., n] into codes [..., 2n], low nibble first."""
    codes = np.empty((*raw.shape[:-1], 2 * raw.shape[-1]), np.uint8)
    np.bitwise_and(raw, 15, out=codes[..., ::2])
    np.right_shift(raw, 4, out=codes[..., 1::2])
    return codes


def _check_width(row: BlockFormat) -> None:
    """Refuse what hardware does not read: elements of other than four bits."""
    if row.element.width != 4:
        raise ValueError(
            f"format must be of elements of 4 bits for records, not {row.name} of "
            f"{row.element.width}"
        )


def pack(b: Blocks) -> npt.NDArray[np.uint8]:
    """Pack blocks into records.

    Parameters
    ----------
    b
        Quantized tensor of codes [..., blocks, K].

    Returns
    -------
    uint8 [..., blocks, K / 2 + 1 or 2]; 18 bytes for `amxfp4`, 17 for `mxfp4`.

    Examples
    --------
    >>> from amxfp4.golden import quantize
    >>> pack(quantize(np.array([6, -6], np.float32)))
    array([[247,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
              0,   0,   0,  60,  60]], dtype=uint8)
    """
    check_kind("b", b, Blocks)
    _check_width(b.row)
    return np.concatenate([join_nibbles(b.codes), *(s[..., None] for s in b.shared)], axis=-1)


def unpack(
    raw: npt.NDArray[np.uint8],
    format: str,
    shape: Any,
    *,
    axis: int = -1,
    block: int | None = None,
) -> Blocks:
    """Unpack records into blocks; the inverse of `pack`.

    Parameters
    ----------
    raw
        uint8 records, [..., blocks, K / 2 + 1 or 2].
    format
        Row of the format table.
    shape
        Shape of the original tensor.
    axis
        The original's axis along which blocks run.
    block
        Elements per block; by default the format's own.

    Raises
    ------
    TypeError
        `raw` is not uint8, or a parameter is of the wrong kind.
    ValueError
        The shape of `raw` is not that of a tensor of `shape` in `format`, or a zero point is above
        15.
    """
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
