"""Codes, words and thresholds against ml_dtypes and NumPy's own float types."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4.golden import formats, reference, rounding
from amxfp4.params.formats import (
    BF16,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    FORMATS,
    FP16,
    FP32,
    INT4,
    UE5M3,
    UINT4,
    Ties,
)
from amxfp4.verif.tests.golden.oracle import small_values

SMALL = {f.name: f for f in (E2M1, INT4, UINT4, E5M2, E4M3, E8M0, UE5M3)}


@pytest.mark.parametrize("name", SMALL)
def test_exhaustive_decode(name: str) -> None:
    """Every code of every small format has ml_dtypes' value; E5M2's infinity is our NaN."""
    expected = small_values(name)
    found = formats.decode(np.arange(len(expected), dtype=np.uint8), SMALL[name])
    assert np.array_equal(found, expected, equal_nan=True)
    assert not np.signbit(found[found == 0]).any()
    assert np.isnan(found).sum() == {"e5m2": 8, "e4m3": 2, "e8m0": 1, "ue5m3": 1}.get(name, 0)


@pytest.mark.parametrize("name", SMALL)
def test_exhaustive_exact_decode(name: str) -> None:
    """The oracle in fractions, which shares no code, agrees on every code."""
    fmt = SMALL[name]
    for code in range(1 << fmt.width):
        value = formats.decode(np.array([code], np.uint8), fmt)[0]
        expected = reference.word_value(code, fmt)
        assert float(expected) == value or (np.isnan(value) and expected != expected)


def test_exhaustive_values() -> None:
    """Every BF16 and FP16 word has the value ml_dtypes and NumPy give it."""
    words = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    bf16 = formats.values(words, "bf16")
    assert np.array_equal(bf16, words.view(ml_dtypes.bfloat16).astype(np.float32), equal_nan=True)
    with np.errstate(invalid="ignore"):
        expected = words.view(np.float16).astype(np.float32)
    fp16 = formats.values(words, "fp16")
    assert np.array_equal(fp16, expected, equal_nan=True)
    for found in (bf16, fp16):
        signs = np.signbit(found)
        assert np.array_equal(signs, words >= 1 << 15)


def _hard_floats(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Any bits, and the neighbours of the rounding boundaries of BF16 and FP16."""
    bits = rng.integers(0, 1 << 32, 200_000, dtype=np.uint32)
    ends = [bits]
    for low in (16, 13, 14, 20):
        boundary = bits & np.uint32(0xFFFFFFFF << low & 0xFFFFFFFF) | np.uint32(1 << (low - 1))
        ends += [boundary - np.uint32(1), boundary, boundary + np.uint32(1)]
    return np.concatenate(ends).view(np.float32)


@pytest.mark.parametrize("word", ["bf16", "fp16"])
def test_words_round_to_nearest_even(word: str, rng: np.random.Generator) -> None:
    """Narrowing agrees with ml_dtypes and NumPy on bits of every kind."""
    values = _hard_floats(rng)
    dtype: Any = ml_dtypes.bfloat16 if word == "bf16" else np.float16
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(dtype).view(np.uint16)
    found = formats.words(values, word)
    nan = np.isnan(values)
    assert nan.any()
    assert np.array_equal(found[~nan], expected[~nan])
    assert (found[nan] == (BF16 if word == "bf16" else FP16).nan_magnitude).all()


def test_words_fp32_keeps_bits(rng: np.random.Generator) -> None:
    """FP32 words are the bits themselves, NaN payloads too."""
    bits = rng.integers(0, 1 << 32, 1000, dtype=np.uint32)
    assert np.array_equal(formats.words(formats.values(bits, "fp32"), "fp32"), bits)
    assert formats.words(np.array(1.5, np.float32), "fp32").shape == ()


def test_convert_fp64(rng: np.random.Generator) -> None:
    """FP64 to FP32 rounds as the processor does, subnormals and overflow included."""
    wide = rng.standard_normal(100_000) * 2.0 ** rng.integers(-160, 140, 100_000)
    hard = _hard_floats(rng)
    narrow = hard[~np.isnan(hard)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        middle = (narrow + np.nextafter(narrow.astype(np.float32), np.float32(np.inf))) / 2
    for values in (wide, narrow, middle[np.isfinite(middle)]):
        with np.errstate(over="ignore", under="ignore"):
            expected = values.astype(np.float32).view(np.uint32)
        found = rounding.convert(values.view(np.uint64), rounding.FP64, FP32)
        assert values.size > 1000
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("ties", list(Ties))
@pytest.mark.parametrize("name", FORMATS)
def test_thresholds_increase(name: str, ties: Ties) -> None:
    """Counting thresholds is rounding only if they never decrease."""
    row = FORMATS[name]
    scale = formats.scale_thresholds(row, ties).astype(np.int64)
    assert (np.diff(scale)[scale[1:] < formats.NEVER] > 0).all()
    element = formats.element_thresholds(row, ties).astype(np.int64)
    assert (np.diff(element, axis=0)[element[1:] < formats.NEVER] > 0).all()
    assert (element > 0).all()
    assert (element[:, row.scale.max_magnitude + 1 :] == formats.NEVER).all()


def test_values_wrong_words() -> None:
    with pytest.raises(TypeError, match="words must be an array of uint16 for bf16, not uint32"):
        formats.values(np.zeros(1, np.uint32), "bf16")
    with pytest.raises(TypeError, match="words must be an array of uint32 for fp32, not list"):
        formats.values([1], "fp32")  # type: ignore[arg-type]


def test_values_wrong_word() -> None:
    with pytest.raises(ValueError, match="word must be one of bf16, fp16, fp32, not 'fp8'"):
        formats.values(np.zeros(1, np.uint16), "fp8")


def test_words_wrong_values() -> None:
    with pytest.raises(TypeError, match="values must be an array of float32, not float64"):
        formats.words(np.zeros(1), "bf16")  # type: ignore[arg-type]
