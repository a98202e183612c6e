"""NVFP4 as NVIDIA's ModelOpt 0.47 writes weights, for files that must equal its own.

Everything is in FP32, each operation rounded to nearest, ties to even (R)::

    t = R(max |x| / 2688)
    scale = E4M3(max(R(m / R(6 t)), 2^-9))      m the block's largest magnitude; 1 where it is 0
    element = E2M1(R(x / R(scale t)))           -0 and what rounds to it are code 0

`quantize` without this rule decides on exact values; the two differ where a quotient is
next to a tie, and where a block's scale is below 2^-9. A NaN, or an infinity, is as in any format.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import decode, one_code
from amxfp4.params.formats import BlockFormat, FloatFormat, Ties

__all__ = ["ModelOpt", "check_modelopt"]


def check_modelopt(row: BlockFormat, ties: Ties) -> None:
    """Refuse other formats, block sizes and ties than ModelOpt's."""
    if (row.name, row.block) != ("nvfp4", 16):
        raise ValueError(
            f"format must be nvfp4 in blocks of 16 with rule 'modelopt', not {row.name!r} in "
            f"blocks of {row.block}"
        )
    if ties is not Ties.RNE:
        raise ValueError(f"ties must be 'RNE' with rule 'modelopt', not {str(ties)!r}")


class ModelOpt:
    """Quantizes chunks of rows by ModelOpt's rule; see the module.

    Parameters
    ----------
    row
        Format and block size.
    t
        The tensor's factor.
    """

    def __init__(self, row: BlockFormat, t: np.float32) -> None:
        self._row, self._t = row, t
        self._scale, self._element = _values(row.scale), _values(row.element)
        self._one = one_code(row)

    def __call__(
        self, x: npt.NDArray[Any], codes: npt.NDArray[np.uint8], scales: npt.NDArray[np.uint8]
    ) -> None:
        """Quantize x [rows, n] into codes [rows, blocks, K] and scales [1, rows, blocks]."""
        rows, blocks, block = codes.shape
        padded = np.zeros((rows, blocks * block), np.float32)
        padded[:, : x.shape[1]] = x
        signed = padded.reshape(codes.shape)
        magnitude = np.abs(signed)
        m = magnitude.max(axis=-1)
        with np.errstate(all="ignore"):
            quotient = m / (np.float32(6) * self._t)
            scale = _nearest(np.maximum(quotient, self._scale[1]), self._scale)
            scale[m == 0] = self._one
            elements = magnitude / (self._scale[scale] * self._t)[..., None]
        elements[magnitude == 0] = 0  # where the divisor is 0, too
        code = _nearest(elements, self._element)
        sign = ((signed < 0) & (code > 0)).astype(np.uint8)
        nan = np.isnan(m)
        codes[...] = code | sign << (self._row.element.width - 1)
        codes[nan] = 0
        scales[0] = scale
        scales[0][nan] = self._row.scale.nan_magnitude


def _values(fmt: FloatFormat) -> npt.NDArray[np.float32]:
    """Values of the finite magnitudes of a format, which FP32 holds."""
    return decode(np.arange(fmt.max_magnitude + 1, dtype=np.uint8), fmt).astype(np.float32)


def _nearest(x: npt.NDArray[np.float32], values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Codes of the values nearest to x >= 0, the even one of two; the largest beyond the end."""
    middle = (values[:-1] + values[1:]) / 2  # FP32 holds each
    below = np.searchsorted(middle, x)
    tie = x == np.append(middle, np.nan)[below]
    code: npt.NDArray[np.uint8] = (below + (tie & (below % 2 == 1))).astype(np.uint8)
    return code
