"""Words of weights in the formats of AFPQ, bit for bit what the hardware writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.checks import check_array
from amxfp4.golden.rounding import FP64, convert
from amxfp4.params.checks import choose
from amxfp4.params.formats import FP16, FloatFormat
from amxfp4.params.weight_dequantizer import WEIGHT_OUTPUTS
from amxfp4.params.weights import weight_format

__all__ = ["weight_words"]


def weight_words(
    codes: npt.NDArray[np.uint8],
    scale_pos: npt.NDArray[np.uint16],
    scale_neg: npt.NDArray[np.uint16] | None,
    format: str,
    output: str = "bf16",
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Raw output words of groups of weights, bit for bit what the hardware writes.

        value_i = R(T[code_i] s),    s = s_neg if T[code_i] < 0, else s_pos

    T is the format's table (arXiv 2311.01792); R rounds the exact product once, to nearest, ties
    to even: FP16 overflows to infinity, and has subnormal values. A zero is +0, what rounds to zero
    too. A NaN scale makes every element of its side the canonical NaN; zeros are of the positive
    side. The sign bit of a scale is ignored, and infinity counts as NaN.

    Parameters
    ----------
    codes
        uint8 [..., K], below the size of the table; K is any number.
    scale_pos, scale_neg
        FP16 words, uint16 [...]; `scale_neg` is ``None`` where the format has one scale.
    format
        Row of the table of weight formats.
    output
        ``fp16`` or ``bf16``.

    Returns
    -------
    uint16 [..., K].

    Raises
    ------
    TypeError
        An array is of another type.
    ValueError
        Shapes do not fit, a code is outside the table, `format` or `output` is unknown, or
        `scale_neg` is missing or too many.

    Examples
    --------
    >>> codes = np.array([[15, 14, 7, 1]], np.uint8)
    >>> one, nan = np.array([0x3C00], np.uint16), np.array([0x7E00], np.uint16)
    >>> [hex(w) for w in weight_words(codes, one, nan, "afpq-nf4")[0]]
    ['0x3f80', '0x3f39', '0x0', '0x7fc0']
    """
    row = weight_format(format, packed=True)
    word = choose("output", output, WEIGHT_OUTPUTS)
    check_array("codes", codes, np.uint8)
    most = len(row.values) - 1
    if codes.size and codes.max() > most:
        raise ValueError(f"codes must be at most {most}, not {int(codes.max())}")
    if row.asymmetric != (scale_neg is not None):
        wanted = "given" if row.asymmetric else "None"
        raise ValueError(f"scale_neg must be {wanted} for {row.name}, not {scale_neg!r}")
    sides: list[npt.NDArray[np.uint16]] = []
    for name, scales in (("scale_pos", scale_pos), ("scale_neg", scale_neg)):
        if scales is not None:
            sides.append(check_array(name, scales, np.uint16))
            if scales.shape != codes.shape[:-1]:
                raise ValueError(f"{name} must be of shape {codes.shape[:-1]}, not {scales.shape}")
    words = _words(np.array(row.values), sides, word)
    return np.take_along_axis(words, codes.astype(np.intp), axis=-1)


def _words(
    table: npt.NDArray[np.float64], sides: list[npt.NDArray[np.uint16]], word: FloatFormat
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Words [..., codes] of every code under the scales [...] of each side."""
    magnitudes = [scale & np.uint16((1 << 15) - 1) for scale in sides]
    scales = [
        np.where(m > FP16.max_magnitude, np.nan, m.view(np.float16))[..., None].astype(np.float64)
        for m in magnitudes
    ]
    # float64 holds every product exactly.
    with np.errstate(invalid="ignore"):  # of signalling NaN
        values = table * np.where(table < 0, scales[-1], scales[0])
    words = convert(values.view(np.uint64), FP64, word)
    words[words == 1 << (word.width - 1)] = 0
    return words
