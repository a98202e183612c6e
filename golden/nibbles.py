"""Two codes to a byte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["join_nibbles", "split_nibbles"]


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
