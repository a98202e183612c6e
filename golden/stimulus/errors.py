"""Blocks whose errors under two scales are equal, or nearly."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import decode, magnitude_value, scale_thresholds, values, words
from amxfp4.params.formats import BlockFormat, Ties

__all__ = ["error_ties"]

_PAIRS = 64
"""Pairs of elements kept for each maximum."""


@cache
def _tables(row: BlockFormat, word: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Block maxima, each with an element that balances it [n, 2], and balanced pairs [n, 64, 2].

    What the error of one is less under the second scale, that of the other is more. All are
    multiples of a 64th of the maximum's binade, and exact in the word format.
    """
    rng = np.random.default_rng(1)
    scales = decode(np.arange(256, dtype=np.uint8), row.scale).astype(np.float64)
    codes = range(row.element.max_magnitude + 1)
    elements = np.array([float(magnitude_value(row.element, q)) for q in codes])
    steps = [scale_thresholds(row, Ties.RNA, held) for held in (6, 4)]
    leads, pairs = [], []
    for exponent, place in np.ndindex(24, 16):
        binade = 2.0 ** (exponent - 12)
        m = binade * (1 + place / 16)
        bits = np.float32(m).view(np.int32)
        s = [scales[np.searchsorted(step, bits, side="right")] for step in steps]
        x = np.arange(1, 64 + 4 * place + 1) / 64 * binade
        errors = [np.square(x[:, None] - elements * scale).min(axis=1) for scale in s]
        gain = errors[0] - errors[1]
        gain[values(words(x.astype(np.float32), word), word) != x] = np.nan
        balanced = np.argwhere((gain[:, None] == -gain) & (gain != 0))
        partner = np.flatnonzero(gain == -gain[-1])
        if s[0] != s[1] and len(partner) and len(balanced):
            leads.append([m, x[rng.choice(partner)]])
            pairs.append(x[balanced[rng.integers(0, len(balanced), _PAIRS)]])
    return np.array(leads), np.array(pairs)


def error_ties(
    rng: np.random.Generator, shape: tuple[int, int], word: str, row: BlockFormat
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Blocks of equal errors under the scales of m / 6 and m / 4, half with one word moved by one.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        Blocks, and elements of each, an even number.
    word
        Format of the words.
    row
        A format that chooses between two scales.
    """
    leads, pairs = _tables(row, word)
    kind = rng.integers(0, len(leads), shape[0])
    pair = rng.integers(0, _PAIRS, (shape[0], shape[1] // 2 - 1))
    balanced = pairs[kind[:, None], pair].reshape(shape[0], shape[1] - 2)
    x = np.concatenate([leads[kind], balanced], axis=1)
    x = rng.permuted(np.where(rng.integers(0, 2, shape) == 1, -x, x), axis=1)
    raw = words(x.astype(np.float32), word)
    moved = (rng.integers(0, shape[1], (shape[0], 1)) == np.arange(shape[1])) & (
        rng.integers(0, 2, (shape[0], 1)) == 1
    )
    step = rng.choice(np.array([-1, 1]), (shape[0], 1))
    found: npt.NDArray[np.unsignedinteger[Any]] = (raw + moved * step).astype(raw.dtype)
    return found
