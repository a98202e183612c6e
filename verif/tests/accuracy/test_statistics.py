"""Paired differences, both standard errors, and when a difference is called one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy.results.statistics import BLOCK, Difference, difference, is_difference


def test_by_hand() -> None:
    """Differences 0, 2, 1, 3 and a rest of 4: blocks of two have means 1 and 2."""
    d = difference([1, 3, 2, 4, 5], [1, 1, 1, 1, 1], block=2)
    assert d.mean == 2
    assert d.by_token == pytest.approx(math.sqrt(2.5 / 5))
    assert d.by_block == pytest.approx(math.sqrt(0.5 / 2))


def test_pairing_takes_away_what_tokens_share(rng: np.random.Generator) -> None:
    """Tokens are hard or easy for both: without pairs the error would be 50 times as large."""
    hard = rng.normal(3, 3, 4096)
    d = difference(hard + 0.1 + rng.normal(0, 0.06, 4096), hard)
    assert d.mean == pytest.approx(0.1, abs=0.01)
    assert d.by_token == pytest.approx(0.06 / 64, rel=0.1)


def test_blocks_see_that_neighbours_are_alike(rng: np.random.Generator) -> None:
    """The same number for `BLOCK` tokens at a time: too many tokens count as independent."""
    drawn = rng.normal(0, 1, 200)
    d = difference(np.repeat(drawn, BLOCK), np.zeros(200 * BLOCK))
    assert d.by_block == pytest.approx(drawn.std(ddof=1) / math.sqrt(200))
    assert d.by_block / d.by_token == pytest.approx(math.sqrt(BLOCK), rel=0.01)
    independent = difference(rng.normal(0, 1, 200 * BLOCK), np.zeros(200 * BLOCK))
    assert independent.by_block / independent.by_token == pytest.approx(1, rel=0.2)


def test_too_few() -> None:
    d = difference([2.0], [1.0])
    assert d.mean == 1
    assert math.isnan(d.by_token)
    assert math.isnan(d.by_block)
    assert not is_difference(d, 0)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_wrong_lengths(a: Any, b: Any) -> None:
    with pytest.raises(ValueError, match="a and b must be of one length, not"):
        difference(a, b)


@pytest.mark.parametrize(
    ("mean", "by_token", "by_block", "floor", "called"),
    [
        (0.5, 0.1, 0.1, 0.0, True), (-0.5, 0.1, 0.1, 0.0, True), (0.5, 0.1, 0.1, 0.5, False),
        (0.5, 0.26, 0.1, 0.0, False), (0.5, 0.1, 0.26, 0.0, False),
        (0.5, 0.1, math.nan, 0.0, True), (0.0, 0.0, 0.0, 0.0, False),
    ],
)  # fmt: skip
def test_what_is_called_a_difference(
    mean: float, by_token: float, by_block: float, floor: float, called: bool
) -> None:
    d = Difference(mean=mean, by_token=by_token, by_block=by_block)
    assert is_difference(d, floor) is called
