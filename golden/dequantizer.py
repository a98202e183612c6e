"""Values of quantized tensors (OCP MX v1.0 section 6.1, with one scale per sign)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose
from amxfp4.params.formats import FP32, OUTPUTS, BlockFormat, FloatFormat

from .blocks import Blocks, in_place
from .checks import check_codes, check_kind
from .formats import decode, element_index, element_values
from .rounding import FP64, convert
from .table import row_of
from .weights import WeightBlocks
from .weights import dequantize as dequantize_weights

__all__ = ["dequantize", "dequantize_words", "owner_values", "scale_values", "value_table"]

_CHUNK = 1 << 16
"""Elements worked on at a time: indices and values stay in the L2 cache."""


def scale_values(row: BlockFormat) -> npt.NDArray[np.float64]:
    """Value of each of 256 scale codes, NaN where it is none; decoders ignore a sign bit."""
    magnitudes = 1 << (row.scale.width - row.scale.signed_bit)
    return decode((np.arange(256) % magnitudes).astype(np.uint8), row.scale)


@cache
def _value_bits(row: BlockFormat, word: FloatFormat) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Output words [256 scale codes, n] of one format, n as of `element_values`."""
    # float64 holds every product exactly; adding +0 turns -0 into +0.
    values = scale_values(row)[:, None] * element_values(row) + 0.0
    # Narrowing also makes every NaN the canonical one and overflows to infinity.
    table = convert(values.view(np.uint64), FP64, word)
    table.flags.writeable = False
    return table


def dequantize_words(
    codes: npt.NDArray[np.uint8],
    scale_pos: npt.NDArray[np.uint8],
    scale_neg: npt.NDArray[np.uint8] | None,
    format: str,
    output: str = "bf16",
    *,
    zero_point: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Raw output words of blocks, bit for bit what the hardware dequantizer writes.

        value_i = q_i * s,    s = s_neg if the sign bit of code i is set, else s_pos

    With a zero point z value_i = (q_i - z) * s. Code 8 of ``int4`` is -8.

    Exact in BF16 and FP32 for E5M2 and E4M3 scales; with E8M0 large products overflow to
    infinity. Both zero codes, and any element of a zero scale, give +0. A NaN scale gives the
    canonical NaN for every element of its sign, zeros included: the sign bit of code 0x8 selects
    the negative scale. Bit 7 of E5M2 and E4M3 scale codes is ignored, and every code above the
    largest finite one is NaN.

    Parameters
    ----------
    codes
        uint8 [..., K], 0..15.
    scale_pos, scale_neg
        uint8 [...]; `scale_neg` is ``None`` when `format` is symmetric.
    format
        Row of the format table.
    output
        ``bf16`` or ``fp32``.
    zero_point
        uint8 [...], 0..15, of formats that have one.

    Returns
    -------
    uint16 (bf16) or uint32 (fp32) [..., K].

    Raises
    ------
    TypeError
        An array is not uint8.
    ValueError
        Shapes do not fit, `format` or `output` is unknown, `scale_neg` or `zero_point` is missing
        or too many, or a zero point is above 15.

    Examples
    --------
    >>> codes = np.array([[0x7, 0xF, 0x8, 0x0]], np.uint8)
    >>> one, nan = np.array([0x3C], np.uint8), np.array([0x7F], np.uint8)
    >>> [hex(w) for w in dequantize_words(codes, one, nan, "amxfp4")[0]]
    ['0x40c0', '0x7fc0', '0x7fc0', '0x0']
    """
    row = row_of(format)
    word = choose("output", output, OUTPUTS)
    check_codes(row, codes, scale_pos, scale_neg, zero_point)
    index = element_index(row, codes, zero_point)
    return _expand(index, scale_pos, scale_neg, _value_bits(row, word))


def _expand(
    elements: npt.NDArray[Any],
    scale_pos: npt.NDArray[np.uint8],
    scale_neg: npt.NDArray[np.uint8] | None,
    table: npt.NDArray[np.unsignedinteger[Any]],
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Words of elements [..., K] by a table [256 scale codes, n]: of two sides its two halves."""
    count = table.shape[1]
    block = elements.shape[-1]
    flat = elements.reshape(-1, block)
    sides = [scale_pos.reshape(-1), (scale_pos if scale_neg is None else scale_neg).reshape(-1)]
    result = np.empty(flat.shape, table.dtype)
    step = max(1, _CHUNK // block)
    # Every block gets its own n values; its elements index them.
    values = np.empty((min(step, len(flat)), count), table.dtype)
    base = (np.arange(len(values)) * count)[:, None]
    index = np.empty((len(values), block), np.intp)
    half = count // 2
    for start in range(0, len(flat), step):
        part = slice(start, min(start + step, len(flat)))
        size = part.stop - start
        values[:size, :half] = table[:, :half].take(sides[0][part], axis=0)
        values[:size, half:] = table[:, half:].take(sides[1][part], axis=0)
        np.add(flat[part], base[:size], out=index[:size], casting="unsafe")
        # Indices are in range by construction; "clip" only avoids NumPy's buffering.
        values.reshape(-1).take(index[:size], out=result[part], mode="clip")
    return result.reshape(elements.shape)


def _scaled_bits(b: Blocks, code_8: float | None) -> npt.NDArray[np.uint32]:
    """FP32 words [256 scale codes, n] of a tensor with a factor: R(q R(s t))."""
    row = b.row
    scales = scale_values(row)
    elements = element_values(row).copy()
    if code_8 is not None:
        elements[len(elements) // 2] = code_8
    s, t, q = scales.astype(np.float32), np.float32(b.tensor_scale), elements.astype(np.float32)
    with np.errstate(all="ignore"):  # of FP32, in which each operation rounds once
        values = (s / t if b.divides else s * t)[:, None] * q
    if code_8 is None:
        values[scales[:, None] * elements == 0] = 0.0
    values[np.isnan(values)] = np.nan
    return values.view(np.uint32)


def dequantize(b: Blocks | WeightBlocks) -> npt.NDArray[np.float32]:
    """Values of a quantized tensor, in its original shape and axis order.

    As `dequantize_words` with FP32 output: exact for E5M2 and E4M3 scales, overflow to infinity
    with E8M0, zeros are +0, a NaN scale makes every element of its sign the canonical NaN. With a
    factor t of the tensor a value is R(q * R(s * t)), or R(q * R(s / t)) of a divisor; R rounds to
    FP32, to nearest, ties to even. Of weights in a format of AFPQ: `amxfp4.golden.weights`.

    Parameters
    ----------
    b
        Quantized tensor of codes [..., blocks, K].

    Returns
    -------
    float32 of shape `b.shape`.

    Examples
    --------
    >>> from amxfp4.golden import quantize
    >>> dequantize(quantize(np.array([[6, 1.1], [-3, -0.1]], np.float32), axis=0))
    array([[ 6.     ,  1.125  ],
           [-3.     , -0.09375]], dtype=float32)
    """
    if isinstance(b, WeightBlocks):
        return dequantize_weights(b)
    check_kind("b", b, Blocks)
    return _by_table(b, _table(b))


def value_table(b: Blocks) -> npt.NDArray[np.float32]:
    """Value [256 scale codes, n] that `dequantize` gives to an element, by `element_index`."""
    return _table(b).view(np.float32)


def _table(b: Blocks) -> npt.NDArray[np.uint32]:
    if b.tensor_scale != 1:
        return _scaled_bits(b, None)
    return _value_bits(b.row, FP32).view(np.uint32)


def owner_values(b: Blocks, code_8: float) -> npt.NDArray[np.float32]:
    """Values as owners of other layouts compute them, who keep the signs that FP32 gives to zeros.

    Parameters
    ----------
    b
        Quantized tensor.
    code_8
        What element code 8 is to the owner: -0.0 or 0.0.

    Returns
    -------
    float32 of shape `b.shape`: equal to `dequantize`, in other bits where a zero is -0.
    """
    return _by_table(b, _scaled_bits(b, code_8))


def _by_table(b: Blocks, table: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Values of codes by a table, in the shape and axis order of the tensor."""
    index = element_index(b.row, b.codes, b.zero_point)
    words = _expand(index, b.scale_pos, b.scale_neg, table)
    return in_place(words.view(np.float32), b.shape, b.axis)
