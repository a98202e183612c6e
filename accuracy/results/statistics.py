"""Differences between two measurements of the same tokens, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "Difference", "difference", "is_difference"]

BLOCK = 24
"""Neighbouring tokens whose losses count as one in the second standard error: about a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Mean of paired differences, in nats per token.

    Parameters
    ----------
    mean
        Above 0: the first loses more.
    by_token
        Standard error of `mean`, were tokens independent of one another.
    by_block
        The same from means of blocks of `BLOCK` tokens, since neighbours are not: the larger of
        both is the one to believe.
    """

    mean: float
    by_token: float
    by_block: float

    @property
    def error(self) -> float:
        """The larger standard error; NaN where there is none."""
        return float(np.fmax(self.by_token, self.by_block))


def difference(a: npt.ArrayLike, b: npt.ArrayLike, block: int = BLOCK) -> Difference:
    """Compare losses `a` with losses `b` of the same tokens.

        d_t = a_t - b_t    mean = sum d_t / n    error = s(d) / sqrt(n)

    s is the standard deviation with n - 1. What is left of a last block counts in the mean and in
    the error by tokens alone. An error of fewer than two values is NaN.

    Parameters
    ----------
    a, b
        [n], nats, in the order of the text.

    Raises
    ------
    ValueError
        They are empty, or of different lengths.

    Examples
    --------
    >>> difference([1.0, 3.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0], block=2)
    Difference(mean=1.5, by_token=0.6454972243679028, by_block=0.5)
    """
    before, after = np.asarray(b, np.float64), np.asarray(a, np.float64)
    if before.ndim != 1 or before.shape != after.shape or not before.size:
        raise ValueError(f"a and b must be of one length, not {after.shape} and {before.shape}")
    d = after - before
    whole = d[: len(d) // block * block].reshape(-1, block).mean(axis=1)
    return Difference(mean=float(d.mean()), by_token=_error(d), by_block=_error(whole))


def _error(values: npt.NDArray[np.float64]) -> float:
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def is_difference(d: Difference, floor: float) -> bool:
    """Whether a difference is called one.

    It must exceed what noise far below a format's does, `floor` nats, and twice its larger error.
    """
    return abs(d.mean) > floor and abs(d.mean) > 2 * d.error
