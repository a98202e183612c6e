"""Seeded random blocks with structure: uniform bits are a poor model of activations.

`blocks` gives raw input words for quantizers, `records` gives element and scale codes for
everything behind them. Both draw from a `numpy.random.Generator`, so a seed repeats them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose
from amxfp4.params.formats import FORMATS, INPUTS, BlockFormat, FloatFormat, ScaleRule

from .formats import magnitude_value, one_code, values, words

__all__ = ["FAMILIES", "blocks", "records"]

_Rng = np.random.Generator
_Values = npt.NDArray[np.float64]
_Words = npt.NDArray[np.unsignedinteger[Any]]


def _normal(rng: _Rng, shape: tuple[int, int]) -> _Values:
    # Every block at its own magnitude, so that scale codes vary.
    return rng.standard_normal(shape) * 2.0 ** rng.integers(-10, 8, (shape[0], 1))


def _student_t(rng: _Rng, shape: tuple[int, int]) -> _Values:
    return rng.standard_t(2, shape) * 2.0 ** rng.integers(-8, 4, (shape[0], 1))


def _one_outlier(rng: _Rng, shape: tuple[int, int]) -> _Values:
    x = _normal(rng, shape)
    lane = rng.integers(0, shape[1], shape[0])
    x[np.arange(shape[0]), lane] *= 2.0 ** rng.integers(3, 10, shape[0])
    return x


def _positive_only(rng: _Rng, shape: tuple[int, int]) -> _Values:
    return np.abs(_normal(rng, shape))


def _negative_only(rng: _Rng, shape: tuple[int, int]) -> _Values:
    return -np.abs(_normal(rng, shape))


def _half_zeros(rng: _Rng, shape: tuple[int, int]) -> _Values:
    return _normal(rng, shape) * rng.integers(0, 2, shape)


def _mixed_magnitudes(rng: _Rng, shape: tuple[int, int]) -> _Values:
    return rng.standard_normal(shape) * 2.0 ** rng.integers(-12, 8, shape)


def _skewed(rng: _Rng, shape: tuple[int, int]) -> _Values:
    x = _normal(rng, shape)
    side = np.where(rng.integers(0, 2, (shape[0], 1)) == 1, 1.0, -1.0)
    return np.where(x * side > 0, x * 2.0 ** rng.integers(1, 9, (shape[0], 1)), x)


def _wide_scale_range(rng: _Rng, shape: tuple[int, int]) -> _Values:
    """Maxima from below the smallest scale (nearest E5M2, then any) to above the largest."""
    exponent = np.where(
        rng.integers(0, 2, (shape[0], 1)) == 1,
        rng.integers(-22, 24, (shape[0], 1)),
        rng.integers(-140, 127, (shape[0], 1)),
    )
    return rng.standard_normal(shape) * 2.0**exponent


_FINITE: dict[str, Callable[[_Rng, tuple[int, int]], _Values]] = {
    "normal": _normal,
    "student_t": _student_t,
    "one_outlier": _one_outlier,
    "positive_only": _positive_only,
    "negative_only": _negative_only,
    "half_zeros": _half_zeros,
    "mixed_magnitudes": _mixed_magnitudes,
    "skewed": _skewed,
    "wide_scale_range": _wide_scale_range,
}


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


def _exact_ties(
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


def _specials(
    family: str, rng: _Rng, shape: tuple[int, int], fmt: FloatFormat, base: _Words
) -> _Words:
    """Words of `base`, some replaced by the special ones that the family is about."""
    sign = 1 << (fmt.width - 1)
    infinity = fmt.inf_magnitude
    assert infinity is not None
    signs = rng.integers(0, 2, shape) * sign
    if family == "random_words":
        return rng.integers(0, 2 * sign, shape).astype(base.dtype)
    if family == "with_nan":
        special = signs + rng.integers(infinity + 1, sign, shape)
    elif family == "with_infinity":
        special = signs + infinity
    elif family == "subnormals":
        # Some blocks of nothing else, some with a normal maximum.
        special = signs + rng.integers(0, 2 << fmt.mantissa_bits, shape)
        where = rng.random(shape) < rng.choice([0.5, 1.0], (shape[0], 1))
        return np.where(where, special, base).astype(base.dtype)
    elif family == "negative_zeros":
        special = np.full(shape, sign)
        where = rng.random(shape) < 0.5
        return np.where(where, special, base).astype(base.dtype)
    else:
        # All zeros of either sign, or a single element left.
        one = rng.integers(0, shape[1], (shape[0], 1)) == np.arange(shape[1])
        keep = one & (rng.integers(0, 2, (shape[0], 1)) == 1)
        return np.where(keep, base, signs).astype(base.dtype)
    # One or a few special words per block.
    where = rng.integers(0, shape[1], (shape[0], 1)) == np.arange(shape[1])
    where |= rng.random(shape) < rng.choice([0.0, 0.1], (shape[0], 1))
    return np.where(where, special, base).astype(base.dtype)


_SPECIALS = (
    "with_nan", "with_infinity", "subnormals", "negative_zeros", "zero_blocks", "random_words",
)  # fmt: skip

FAMILIES = (*_FINITE, "exact_ties", *_SPECIALS)
"""Every kind of block, by name."""


def blocks(
    rng: np.random.Generator,
    count: int,
    block: int,
    word: str,
    family: str | None = None,
    *,
    formats: Sequence[str] = tuple(FORMATS),
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Draw blocks of raw input words.

    Parameters
    ----------
    rng
        Source of randomness.
    count, block
        Number of blocks, and elements per block.
    word
        ``bf16``, ``fp16`` or ``fp32``.
    family
        A name of `FAMILIES`; by default all of them in equal parts, shuffled.
    formats
        Formats whose rounding boundaries ``exact_ties`` hits.

    Returns
    -------
    uint16 or uint32 [count, block]. Finite except in ``with_nan``, ``with_infinity`` and
    ``random_words``.

    Raises
    ------
    ValueError
        `family`, `word` or one of `formats` is unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> blocks(rng, 2, 16, "bf16").shape, blocks(rng, 1, 16, "fp32", "normal").dtype
    ((2, 16), dtype('uint32'))
    """
    fmt = choose("word", word, INPUTS)
    rows = [choose("formats", name, FORMATS) for name in formats]
    if family is None:
        drawn = np.concatenate(
            [
                blocks(rng, -(-(count - i) // len(FAMILIES)), block, word, name, formats=formats)
                for i, name in enumerate(FAMILIES)
                if i < count
            ]
            or [blocks(rng, 0, block, word, "normal", formats=formats)]
        )
        return rng.permutation(drawn, axis=0)
    choose("family", family, dict.fromkeys(FAMILIES))
    shape = (count, block)
    if family == "exact_ties":
        return _exact_ties(rng, shape, word, rows)
    x = _FINITE.get(family, _normal)(rng, shape)
    # Nothing overflows unless the family says so; below the range, subnormals and zeros are fine.
    limit = float(magnitude_value(fmt, fmt.max_magnitude))
    base = words(np.clip(x, -limit, limit).astype(np.float32), word)
    return base if family in _FINITE else _specials(family, rng, shape, fmt, base)


def records(
    rng: np.random.Generator, count: int, row: BlockFormat, *, nan: float = 0.01
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """Draw element and scale codes of blocks, including codes that quantizers never write.

    Scales are uniform over the finite codes, near 1.0, the smallest or the largest ones; a few
    have a sign bit that decoders must ignore. Elements are uniform, all of the largest magnitude,
    of one sign, or zeros of both codes.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of blocks.
    row
        Format; its block size gives K.
    nan
        Share of blocks with a NaN scale.

    Returns
    -------
    codes
        uint8 [count, K], 0..15.
    scale_pos, scale_neg
        uint8 [count]; ``None`` for the second when symmetric.
    """
    codes = rng.integers(0, 16, (count, row.block))
    kind = rng.integers(0, 8, (count, 1))
    codes = np.where(kind == 1, codes & 8 | 7, codes)
    codes = np.where(kind == 2, codes & 7, codes)
    codes = np.where(kind == 3, codes | 8, codes)
    codes = np.where(kind == 4, codes * (rng.random(codes.shape) < 0.2), codes)
    codes = np.where(kind == 5, codes & rng.choice([0, 8], (count, 1)), codes)
    scales = [_scale_codes(rng, count, row) for _ in range(row.scales)]
    bad = rng.random(count) < nan
    largest = row.scale.max_magnitude
    top = 1 << (row.scale.width - row.scale.signed_bit)
    side = rng.integers(0, row.scales, count)
    for i, scale in enumerate(scales):
        scale[:] = np.where(bad & (side == i), rng.integers(largest + 1, top, count), scale)
        if row.scale.signed_bit:
            scale |= (rng.random(count) < 0.02) * top
    pos, neg = scales[0].astype(np.uint8), scales[-1].astype(np.uint8)
    return codes.astype(np.uint8), pos, neg if row.asymmetric else None


def _scale_codes(rng: _Rng, count: int, row: BlockFormat) -> npt.NDArray[np.int64]:
    largest = row.scale.max_magnitude
    centre = one_code(row) or row.scale.bias
    uniform = rng.integers(0, largest + 1, count)
    near = centre + rng.integers(-6, 7, count)
    small = rng.integers(0, 4, count)
    large = largest - rng.integers(0, 4, count)
    kind = rng.choice(4, count, p=[0.4, 0.4, 0.1, 0.1])
    picked: npt.NDArray[np.int64] = np.choose(kind, [uniform, near, small, large])
    return np.clip(picked, 0, largest)
