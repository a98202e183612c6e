"""Blocks whose maxima and elements lie on rounding boundaries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import decode, magnitude_value, values, words
from amxfp4.params.formats import FORMATS, INPUTS, BlockFormat, ScaleRule

from .errors import error_ties

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
        elif row.scale_rule is ScaleRule.CEILING:
            boundary = 6 * low
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


@cache
def _range_table(row: BlockFormat, word: str) -> npt.NDArray[np.float64]:
    """Largest positive and negative magnitude and scale [n, 3] of blocks with a zero point.

    The sum of both is 15 times a scale, or lies on the boundary between two scales; the negative
    one is a multiple of half a scale, so that the zero point is a tie, too. Exact in the word
    format.
    """
    most = row.element.max_magnitude
    scales = decode(np.arange(row.scale.max_magnitude + 1, dtype=np.uint8), row.scale)
    low, high = scales[:-1], scales[1:]
    totals = np.concatenate([most * high, most * (low + high) / 2, most * (low + high) / 2])
    scale, n = np.broadcast_arrays(
        np.concatenate([high, low, high])[:, None], np.arange(2 * most + 1) / 2
    )
    n = n * scale
    table = np.stack([totals[:, None] - n, n, scale], axis=-1).reshape(-1, 3)
    with np.errstate(over="ignore"):
        back = values(words(table.astype(np.float32), word), word)
    found: npt.NDArray[np.float64] = table[
        (back == table).all(axis=1) & (table >= 0).all(axis=1) & (table[:, 2] > 0)
    ]
    return found


def _range_ties(
    rng: np.random.Generator, shape: tuple[int, int], word: str, row: BlockFormat
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Blocks of such ranges with elements between two codes, and where they are the ends."""
    table = _range_table(row, word)
    p, n, scale = (c[:, None] for c in table[rng.integers(0, len(table), shape[0])].T)
    negative = rng.integers(0, 2, shape) == 1
    end = np.where(negative, n, p)
    x = (rng.integers(0, row.element.max_magnitude, shape) + 0.5) * scale
    top = (x >= end) | (rng.integers(0, 8, shape) == 0)
    for place, sign in enumerate((False, True)):
        top[:, place], negative[:, place], end[:, place] = True, sign, (n if sign else p)[:, 0]
    x = np.where(top, end, x)
    order = rng.permuted(np.tile(np.arange(shape[1]), (shape[0], 1)), axis=1)
    x = np.where(negative, -x, x)
    return np.take_along_axis(x, order, axis=1), np.take_along_axis(top, order, axis=1)


def exact_ties(
    rng: np.random.Generator, shape: tuple[int, int], word: str, rows: Sequence[BlockFormat]
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Blocks whose maxima and elements lie on rounding boundaries, some one word beside them.

    Of formats that choose between two scales, every other block has equal errors under both.
    """
    result = np.empty(shape, np.float64)
    top = np.empty(shape, np.bool_)
    # The block size does not matter to the tables: one table per element, scale and rule.
    kinds = sorted({(r.element.name, r.scale.name, r.scale_rule): r.name for r in rows}.values())
    kind = rng.integers(0, len(kinds), shape[0])
    for i, name in enumerate(kinds):
        own = np.flatnonzero(kind == i)
        if FORMATS[name].zero_point:
            result[own], top[own] = _range_ties(rng, (len(own), shape[1]), word, FORMATS[name])
            continue
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
    for i, name in enumerate(kinds):
        if FORMATS[name].compares_errors:
            equal = np.flatnonzero(kind == i)[::2]
            moved[equal] = error_ties(rng, (len(equal), shape[1]), word, FORMATS[name])
    return moved
