"""Records of weights in the formats of AFPQ: what is on the port of the hardware's dequantizer.

Bit 0 first, of b bits a code, element i of 128 is at bits [bi+b-1 : bi]; then come scale_pos, FP16,
and scale_neg where there are two. A record is little endian and a whole number of bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import blocks_shape
from amxfp4.golden.checks import check_array, check_axis, check_shape
from amxfp4.params.weights import WEIGHT_BLOCKS, WHOLE_ROW, weight_format

from .blocks import WeightBlocks
from .packing import pack_codes, unpack_codes

__all__ = ["pack_records", "unpack_records"]

_BLOCK = WEIGHT_BLOCKS[0]


def pack_records(b: WeightBlocks) -> npt.NDArray[np.uint8]:
    """Pack weights into records of 128 elements.

    A whole row in one group becomes several records, each with the scales of the row. The last one
    is filled up with zeros.

    Parameters
    ----------
    b
        Packed weights of codes [..., groups, K].

    Returns
    -------
    uint8 [..., records, bytes]: one record a group, or ceil(n / 128) for a row of n elements; 16 b
    bytes for codes of b bits, and 2 for each scale.

    Raises
    ------
    ValueError
        Scales are FP32.

    Examples
    --------
    >>> from amxfp4.golden.weights import quantize
    >>> b = quantize(np.array([1, -0.5], np.float32), "afpq-nf4", packed=True)
    >>> [bytes(record).hex(" ")[:5] + " ... " + bytes(record[-4:]).hex(" ") for record in
    ...  pack_records(b)]
    ['0f 77 ... 00 3c 00 38']
    """
    row = b.row
    if not b.packed:
        raise ValueError(
            f"packed must be True for records, whose scales are FP16, not {b.packed!r}"
        )
    codes, scales = b.codes, np.stack(b.scales, axis=-1)
    if b.block == WHOLE_ROW:
        length = codes.shape[-1]
        count = -(-length // _BLOCK)
        whole = np.full((*codes.shape[:-2], count * _BLOCK), row.zero, np.uint8)
        whole[..., :length] = codes[..., 0, :]
        codes = whole.reshape(*codes.shape[:-2], count, _BLOCK)
        scales = np.repeat(scales, count, axis=-2)
    raw = np.ascontiguousarray(scales, "<f2").view(np.uint8)
    return np.concatenate([pack_codes(codes, row.bits), raw], axis=-1)


def unpack_records(
    raw: npt.NDArray[np.uint8],
    format: str,
    shape: Any,
    *,
    axis: int = -1,
    block: int | None = None,
) -> WeightBlocks:
    """Unpack records into weights; the inverse of `pack_records`, errors as `golden.unpack`.

    Of a whole row in one group the first record's scales are taken.
    """
    row = weight_format(format, block, packed=True)
    shape = check_shape(shape)
    axis = check_axis(axis, len(shape))
    check_array("raw", raw, np.uint8)
    record = weight_format(format, packed=True)
    expected = (*blocks_shape(shape, axis, _BLOCK), record.record_bytes)
    if raw.shape != expected:
        raise ValueError(f"raw must be of shape {expected}, not {raw.shape}")
    size = record.record_bytes - 2 * row.sides
    codes = unpack_codes(raw[..., :size], row.bits, _BLOCK)
    scales = np.ascontiguousarray(raw[..., size:]).view("<f2").astype(np.float16)
    if row.block == WHOLE_ROW:
        codes = codes.reshape(*codes.shape[:-2], 1, -1)[..., : shape[axis]].copy()
        scales = scales[..., :1, :]
    pos, *neg = (scales[..., side].copy() for side in range(row.sides))
    return WeightBlocks(
        codes, pos, neg[0] if neg else None, row.name, shape, axis, row.block, packed=True
    )
