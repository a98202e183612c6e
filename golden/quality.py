"""How much of a tensor survives quantization."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import check_floats

__all__ = ["Ratio", "sqnr"]

_CHUNK = 1 << 17
"""Elements worked on at a time: few enough for the caches, enough to hide the cost of calls."""


class Ratio:
    """Signal and noise of a tensor that is seen in pieces; both sums are in FP64."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(
        self,
        x: npt.NDArray[Any],
        y: npt.NDArray[Any],
        values: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] = np.asarray,
    ) -> None:
        """Add elements of a tensor, as `values` gives them, and what stands for them."""
        before, after = x.reshape(-1), y.reshape(-1)
        # Not as dot products: BLAS adds in an order of the machine's, and pictures show all digits.
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, before.size, _CHUNK):
                part = slice(start, start + _CHUNK)
                exact = values(before[part]).astype(np.float64)
                error = exact - after[part]
                self.signal += float(np.square(exact, out=exact).sum())
                self.noise += float(np.square(error, out=error).sum())

    @property
    def decibels(self) -> float:
        """As `sqnr` says."""
        if not (math.isfinite(self.signal) and math.isfinite(self.noise)):
            return math.nan
        if self.signal == self.noise == 0:
            return math.nan
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def sqnr(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Signal-to-quantization-noise ratio of `y`, which stands for `x`, in dB.

        10 log10(sum x^2 / sum (x - y)^2)

    Parameters
    ----------
    x, y
        float64, float32, float16 or bfloat16 arrays of one shape, or tensors as `quantize` takes.

    Returns
    -------
    float
        From sums in FP64. Infinity when `y` equals `x`; minus infinity when only `x` is all
        zeros; NaN when both are, and when a sum is not finite: for a NaN or an infinity in either.

    Raises
    ------
    TypeError
        An array is of another type.
    ValueError
        The shapes differ, or there is no element.

    Examples
    --------
    >>> sqnr(np.array([3.0, 4.0], np.float32), np.array([3.0, 4.5], np.float32))
    20.0
    """
    before, after = (check_floats(name, a, "float64") for name, a in (("x", x), ("y", y)))
    if before.size == 0:
        raise ValueError(f"x must have one or more elements, not shape {before.shape}")
    if after.shape != before.shape:
        raise ValueError(f"y must be of shape {before.shape} as x is, not {after.shape}")
    ratio = Ratio()
    ratio.add(before, after)
    return ratio.decibels
