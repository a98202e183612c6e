"""Blocks on rounding boundaries, exactly: what random values never hit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import FORMATS, INPUTS, BlockFormat, ScaleRule

from .formats import magnitude_value, values, words

__all__ = ["exact_ties"]


@cache
def _tie_tables(
    row: BlockFormat, word: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Block maxima [n] and, for each, element ties [n, 14], all exact in the word format.

    A maximum either is 6 times a scale, or lies on the boundary between two scales; the element
    ties are those of the scale, or of both scales.
    """
    element, scale = row.element, row.scale
    magnitudes = [magnitude_value(element, k) for k in range(element.max_magnitude + 1)]
    largest = magnitudes[-1]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(magnitudes)]
    maxima: list[float] = []
    ties: list[list[float]] = []
    for code in range(scale.max_magnitude):
        low, high = magnitude_value(scale, code), magnitude_value(scale, code + 1)
        boundary = largest * (low + high) / 2
        if row.scale_rule is ScaleRule.FLOOR:
            boundary = 4 * high
        elif row.scale_rule is ScaleRule.ROUND_UP:
            boundary = 7 * low
        for maximum, scales in ((largest * high, [high]), (boundary, [low, high])):
            near = [m * s for s in scales for m in middles if 0 < m * s < maximum]
            # FP32's range decides first: a Fraction of any size makes a float only below it.
            if all(Fraction(1, 1 << 149) <= v < 1 << 128 for v in [maximum, *near]) and near:
                maxima.append(float(maximum))
                ties.append([float(v) for v in (near * 14)[:14]])
    candidates = np.array([[m, *t] for m, t in zip(maxima, ties, strict=True)])
    with np.errstate(over="ignore"):
        back = values(words(candidates.astype(np.float32), word), word)
    exact = (back == candidates).all(axis=1)
    return candidates[exact, 0], candidates[exact, 1:]


def exact_ties(
    rng: np.random.Generator, shape: tuple[int, int], word: str, rows: Sequence[BlockFormat]
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Blocks whose maxima and elements lie on rounding boundaries, some one word beside them."""
    result = np.empty(shape, np.float64)
    top = np.empty(shape, np.bool_)
    # The block size does not matter to the tables: one table per scale and rule.
    kinds = sorted({(r.scale.name, r.scale_rule): r.name for r in rows}.values())
    kind = rng.integers(0, len(kinds), shape[0])
    for i, name in enumerate(kinds):
        own = np.flatnonzero(kind == i)
        maxima, ties = _tie_tables(FORMATS[name], word)
        pos = rng.integers(0, len(maxima), len(own))
        # Symmetric formats see ties on both signs only when both have the same maximum.
        other = rng.integers(0, len(maxima), len(own))
        neg = np.where(rng.integers(0, 2, len(own)) == 1, pos, other)
        negative = rng.integers(0, 2, (len(own), shape[1])) == 1
        index = np.where(negative, neg[:, None], pos[:, None])
        picked = ties[index, rng.integers(0, ties.shape[1], index.shape)]
        picked = np.where(rng.integers(0, 8, index.shape) == 0, maxima[index], picked)
        # Both maxima are always there, at two random places.
        place = rng.permuted(np.tile(np.arange(shape[1]), (len(own), 1)), axis=1)
        blocks_of = np.arange(len(own))
        picked[blocks_of, place[:, 0]], negative[blocks_of, place[:, 0]] = maxima[pos], False
        picked[blocks_of, place[:, 1]], negative[blocks_of, place[:, 1]] = maxima[neg], True
        result[own] = np.where(negative, -picked, picked)
        top[own] = picked == maxima[np.where(negative, neg[:, None], pos[:, None])]
    raw = words(result.astype(np.float32), word)
    # One word off a boundary must fall to its own side; all maxima of a block move together.
    beside = rng.integers(-1, 2, shape) * (rng.integers(0, 4, shape) == 0)
    aside = rng.integers(-1, 2, (shape[0], 1)) * (rng.integers(0, 2, (shape[0], 1)) == 0)
    beside = np.where(top, aside, beside)
    half = 1 << (INPUTS[word].width - 1)
    beside[(raw & (half - 1)) == 0] = 0
    moved: npt.NDArray[np.unsignedinteger[Any]] = (raw + beside).astype(raw.dtype)
    return moved
