"""Signal over noise in dB, and what it is where a logarithm is not."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4.golden import quality
from amxfp4.golden.quality import sqnr

F32 = np.float32


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([3, 4], [3, 4.5], 20.0),
        ([3, 4], [4, 4], 10 * math.log10(25)),
        ([1, -1], [-1, 1], 10 * math.log10(1 / 4)),
        ([3e38, 1e-45], [3e38, 0], 10 * math.log10(9e76 / 1.4012984643e-45**2)),
        ([1, 2], [1, 2], math.inf),
        ([0, 0], [0, 1], -math.inf),
        ([0, 0], [0, -0.0], math.nan),
        ([math.nan, 1], [1, 1], math.nan),
        ([1, 1], [math.nan, 1], math.nan),
        ([math.inf, 1], [math.inf, 1], math.nan),
        ([1, 1], [-math.inf, 1], math.nan),
    ],
)
def test_sqnr(x: list[float], y: list[float], expected: float) -> None:
    """Zero noise, zero signal, neither, NaN and infinity."""
    assert sqnr(np.array(x, F32), np.array(y, F32)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_sqnr_of_other_types(dtype: Any) -> None:
    """Sums are in FP64, whatever the operands are: 300^2 is no number of FP16."""
    x = np.array([[300, 400]], dtype)
    assert sqnr(x, np.array([[300, 450]], F32)) == pytest.approx(20.0)
    assert sqnr(np.array([[300, 450]], F32), x) == pytest.approx(10 * math.log10(292500 / 2500))


def test_sqnr_of_more_than_a_chunk(rng: np.random.Generator, monkeypatch: Any) -> None:
    """Summing piece by piece changes nothing."""
    x = rng.standard_normal((7, 13)).astype(F32)
    y = x + rng.standard_normal(13).astype(F32)
    whole = sqnr(x.T, y.T)
    assert whole == pytest.approx(10 * math.log10(np.square(x).sum() / np.square(y - x).sum()))
    monkeypatch.setattr(quality, "_CHUNK", 10)
    assert sqnr(x, y) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        ([1, 2], [1, 2], TypeError, "x must be an array of dtype float64, .* bfloat16, not int64"),
        ([1.0], [1], TypeError, "y must be an array of dtype float64, .* not int64"),
        ([1.0, 2], [1.0], ValueError, r"y must be of shape \(2,\) as x is, not \(1,\)"),
        ([[1.0]], [1.0], ValueError, r"y must be of shape \(1, 1\) as x is, not \(1,\)"),
        (np.empty((0, 3)), [1.0], ValueError, r"x must have one or more .*, not shape \(0, 3\)"),
    ],
)
def test_sqnr_wrong(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sqnr(x, y)
