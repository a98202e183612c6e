"""Blocks of raw input words, in families that each have a property."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import magnitude_value, words
from amxfp4.params.checks import choose
from amxfp4.params.formats import FORMATS, INPUTS, FloatFormat

from .ties import exact_ties

__all__ = ["FAMILIES", "blocks"]

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


def _offset(rng: _Rng, shape: tuple[int, int]) -> _Values:
    """Blocks about a mean of their own: ranges that 0 is beside the middle of, or outside."""
    x = rng.standard_normal(shape) + 3 * rng.standard_normal((shape[0], 1))
    return x * 2.0 ** rng.integers(-10, 8, (shape[0], 1))


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
    "offset": _offset,
    "wide_scale_range": _wide_scale_range,
}


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
        return exact_ties(rng, shape, word, rows)
    x = _FINITE.get(family, _normal)(rng, shape)
    # Nothing overflows unless the family says so; below the range, subnormals and zeros are fine.
    limit = float(magnitude_value(fmt, fmt.max_magnitude))
    base = words(np.clip(x, -limit, limit).astype(np.float32), word)
    return base if family in _FINITE else _specials(family, rng, shape, fmt, base)
