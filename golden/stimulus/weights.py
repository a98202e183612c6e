"""Records of weights in the formats of AFPQ, codes that quantizers never write among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import FP16
from amxfp4.params.weights import WeightFormat

__all__ = ["weight_records"]

_SIGN = 1 << (FP16.width - 1)
_CENTRES = (FP16.bias << FP16.mantissa_bits, 0, 1 << FP16.mantissa_bits, FP16.max_magnitude)
"""1.0, the smallest scales, the first normal ones, the largest."""


def weight_records(
    rng: np.random.Generator, count: int, row: WeightFormat, *, special: float = 0.02
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.uint16] | None]:
    """Draw codes and FP16 scales of groups of 128.

    Scales are uniform over the words of finite numbers, or near one of the ends of their range. A
    few are infinite or NaN, or have a sign bit, which hardware ignores. Codes are uniform, or one
    code and zeros.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of groups.
    row
        Format.
    special
        Share of scales that are infinite or NaN, and of those with a sign.

    Returns
    -------
    codes
        uint8 [count, 128].
    scale_pos, scale_neg
        uint16 [count]; ``None`` for the second where the format has one scale.
    """
    codes = rng.integers(0, len(row.values), (count, row.block)).astype(np.uint8)
    lone = rng.random((count, 1)) < 0.2
    codes = np.where(lone & (codes != codes[:, :1]), np.uint8(row.zero), codes)
    sides = []
    for _ in range(row.sides):
        near = rng.choice(_CENTRES, count) + rng.integers(-20, 21, count)
        uniform = rng.integers(0, FP16.max_magnitude + 1, count)
        scale = np.where(rng.random(count) < 0.4, near, uniform)
        scale = np.clip(scale, 0, FP16.max_magnitude)
        other = rng.integers(FP16.max_magnitude + 1, _SIGN, count)
        other = np.where(rng.random(count) < 0.3, FP16.max_magnitude + 1, other)
        scale = np.where(rng.random(count) < special, other, scale)
        scale |= (rng.random(count) < special) * _SIGN
        sides.append(scale.astype(np.uint16))
    return codes, sides[0], sides[1] if row.asymmetric else None
