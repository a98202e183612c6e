"""Weights that are hard to quantize: near ties, of one sign, of tiny scales and of large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.verif.tests.golden.weights.exact import TABLES

Floats = npt.NDArray[np.float32]


def usual(rng: np.random.Generator, name: str, count: int) -> Floats:
    """Numbers of one magnitude a row, some of which are 0."""
    x = rng.standard_normal((count, 128)) * 2.0 ** rng.integers(-8, 9, (count, 1))
    return (x * (rng.random(x.shape) < 0.9)).astype(np.float32)


def ties(rng: np.random.Generator, name: str, count: int) -> Floats:
    """Halfway between two values, and FP32's next numbers to either side, by any scales."""
    table = np.unique(np.array(TABLES[name], np.float64))
    halves = (table[1:] + table[:-1]) / 2
    scale = 2.0 ** rng.integers(-100, 100, (count, 1))
    scale[1::2] *= rng.uniform(1, 2, (count // 2, 1))
    x = (np.resize(halves, (count, 128)) * scale).astype(np.float32)
    x = (x.view(np.int32) + rng.integers(-1, 2, x.shape, np.int32)).view(np.float32)
    x[:, :2] = table[[-1, 0]] * scale
    return x


def one_sided(rng: np.random.Generator, name: str, count: int) -> Floats:
    """Positive rows, negative rows, a row of zeros of either sign."""
    x = np.abs(usual(rng, name, count)) * np.where(np.arange(count) % 2, -1, 1)[:, None]
    x[0] = np.where(rng.random(128) < 0.5, -0.0, 0.0)
    return x.astype(np.float32)


def skewed(rng: np.random.Generator, name: str, count: int) -> Floats:
    """Two sides whose magnitudes have nothing to do with each other."""
    x = usual(rng, name, count)
    return np.where(x > 0, x, x * 2.0 ** rng.integers(-20, 20, (count, 1))).astype(np.float32)


def fp16_scales(rng: np.random.Generator, name: str, count: int) -> Floats:
    """Every value of the table by scales that are subnormal, zero or too large in FP16."""
    low = rng.random(count) < 0.75
    exponent = np.where(low, rng.uniform(-26.5, -12, count), rng.uniform(12, 19, count))
    return _by_scales(rng, name, 2.0**exponent)


def fp32_scales(rng: np.random.Generator, name: str, count: int) -> Floats:
    """Values by scales of both ends of FP32."""
    low = rng.random(count) < 0.5
    exponent = np.where(low, rng.uniform(-149, -120, count), rng.uniform(118, 124, count))
    return _by_scales(rng, name, 2.0**exponent)


def _by_scales(rng: np.random.Generator, name: str, scales: npt.NDArray[np.float64]) -> Floats:
    table = np.array(TABLES[name], np.float64)
    x = np.resize(table, (len(scales), 128)) * rng.uniform(0.8, 1, (len(scales), 128))
    x[:, : len(table)] = table
    x *= np.where(x > 0, rng.choice([1, 1, 0.3], (len(scales), 1)), 1)
    return (x * scales[:, None]).astype(np.float32)


FAMILIES: dict[str, Callable[[np.random.Generator, str, int], Any]] = {
    family.__name__: family for family in (usual, ties, one_sided, skewed, fp16_scales, fp32_scales)
}
