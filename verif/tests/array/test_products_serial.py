"""Terms one by one: sums that leave their range and come back, NaN anywhere, equality."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4.golden import Blocks
from amxfp4.params.dot import SCALING, DotConfig
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.products import directed
from amxfp4.verif.sim.products.products import check_products
from amxfp4.verif.sim.products.random_products import operands, tensor

PAIRS = (("amxfp4", "amxfp4", 4), ("amxfp4-e4m3", "nvfp4", 8))
pairs = pytest.mark.parametrize(
    ("format_a", "format_b", "lanes"),
    [PAIRS[0], pytest.param(*PAIRS[1], marks=pytest.mark.nightly)],
)
# By day into a fixed accumulator only, where more can go wrong.
pairs_and_modes = pytest.mark.parametrize(
    ("acc", "format_a", "format_b", "lanes"),
    [
        *(pytest.param("exact", *pair, marks=pytest.mark.nightly) for pair in PAIRS),
        ("fixed", *PAIRS[0]),
        pytest.param("fixed", *PAIRS[1], marks=pytest.mark.nightly),
    ],
)
HEADROOM = 4
"""Binary places from blocks of random elements, under scales whose product is 1, to overflow."""


def _both(acc: str, format_a: str, format_b: str, lanes: int) -> list[DotConfig]:
    """Give the unit with either scaling; in fixed mode one whose flags both come and stay away."""
    bits: dict[str, Any] = {"frac_bits": 4, "int_bits": 14} if acc == "fixed" else {}
    return [
        DotConfig(
            format_a=format_a, format_b=format_b, block=16, lanes=lanes, scaling=scaling,
            acc=acc, **bits,
        )
        for scaling in SCALING
    ]  # fmt: skip


def partial_sums(
    rng: np.random.Generator, config: DotConfig, steps: int
) -> tuple[Blocks, Blocks, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Draw sums of blocks under scales with which they come near the range of the accumulator.

    Returns
    -------
    a, b : Blocks
    lengths : int [sums]
    returns : bool [sums]
        Where a sum leaves the range between two terms of a block, and after none.
    """
    assert config.int_bits is not None
    codes = rng.integers(0, 16, (2, steps, 16)) * (rng.random((2, steps, 16)) < 0.4)
    a, b = directed.cross(config, codes[0], codes[1], np.full(steps, config.int_bits - HEADROOM))
    lengths = np.full(steps // 4, 4)
    products = directed.halves(codes[0]) * directed.halves(codes[1])
    signs = [(side >= 8) & row.asymmetric for side, row in zip(codes, config.rows_ab, strict=True)]
    kinds = [range(row.scales) for row in config.rows_ab]
    terms = np.stack(
        [
            (products * ((signs[0] == i) & (signs[1] == j))).sum(axis=1)
            for i, j in itertools.product(*kinds)
        ],
        axis=1,
    )
    limit = 4 << HEADROOM
    at = terms.reshape(len(lengths), -1).cumsum(axis=1)
    outside = (at < -limit) | (at >= limit)
    too_large = (abs(terms) >= limit).reshape(len(lengths), -1).any(axis=1)
    behind = outside[:, terms.shape[1] - 1 :: terms.shape[1]]
    returns: npt.NDArray[np.bool_] = np.any(outside, axis=1) & ~np.any(behind, axis=1)
    returns &= ~too_large
    return a, b, lengths, returns


@pairs
def test_partial_sums_may_leave_and_come_back(
    rng: np.random.Generator, format_a: str, format_b: str, lanes: int
) -> None:
    """Between two terms of a block a sum outside its range is no overflow; after a block it is."""
    for config in _both("fixed", format_a, format_b, lanes):
        a, b, lengths, returns = partial_sums(rng, config, 40_000)
        done = check_products(BatchDut(config), a, b, lengths)
        overflow = done.outputs[:, 4] >> 1 & 1
        assert returns.sum() > 50
        assert not overflow[returns].any()
        assert overflow.sum() > 50


def _poisoned(
    rng: np.random.Generator, config: DotConfig, large: bool
) -> tuple[Blocks, Blocks, int]:
    """One class of lanes in each block, one NaN scale: every pair of both, between clean blocks."""
    rows = config.rows_ab
    places = [(side, n) for side, row in enumerate(rows) for n in range(row.scales)]
    cases = list(itertools.product(itertools.product((0, 8), (0, 8)), places))
    steps = 3 * len(cases)
    codes = rng.integers(1, 8, (2, steps, 16))
    one = [directed.one_scale(row) for row in rows]
    scales = [np.full((row.scales, steps), o) for row, o in zip(rows, one, strict=True)]
    for n, (signs, (side, scale)) in enumerate(cases):
        at = 3 * n + 1
        for operand in range(2):
            codes[operand, at] |= signs[operand]
            # Terms that would raise either flag, if they were added.
            scales[operand][:, at] = rows[operand].scale.max_magnitude if large else 1
        scales[side][scale, at] = rows[side].scale.max_magnitude + 1
    sides = [
        tensor(row, c[None], s[0][None], s[1][None] if row.asymmetric else None)
        for row, c, s in zip(rows, codes, scales, strict=True)
    ]
    return sides[0], sides[1], len(cases)


@pairs_and_modes
@pytest.mark.parametrize("large", [False, True], ids=["inexact", "overflow"])
def test_nan_in_any_scale_poisons_the_whole_block(
    rng: np.random.Generator, acc: str, large: bool, format_a: str, format_b: str, lanes: int
) -> None:
    """NaN in the scale of the last class, or of one without lanes: no term, no flag, NaN."""
    for config in _both(acc, format_a, format_b, lanes):
        a, b, count = _poisoned(rng, config, large)
        done = check_products(BatchDut(config), a, b, np.full(count, 3))
        words = np.ascontiguousarray(done.outputs[:, :4]).view("<u4")[:, 0]
        assert (words == config.word.nan_magnitude).all()
        if acc == "fixed":
            assert not done.outputs[:, 4].any()
        # The sum after it is clean again.
        clean = check_products(BatchDut(config), a, b, np.ones(3 * count, np.int64))
        words = np.ascontiguousarray(clean.outputs[:, :4]).view("<u4")[:, 0]
        assert (words == config.word.nan_magnitude).sum() == count


@pairs_and_modes
def test_one_by_one_is_all_at_once(
    rng: np.random.Generator, seed: int, acc: str, format_a: str, format_b: str, lanes: int
) -> None:
    """The same operands, with any codes and scales: the same words and flags, bit for bit."""
    both = _both(acc, format_a, format_b, lanes)
    a, b, lengths = operands(rng, both[0], 20_000)
    outputs = [
        check_products(BatchDut(c), a, b, lengths, stall_in=0.1, stall_out=0.3, seed=seed).outputs
        for c in both
    ]
    assert np.array_equal(outputs[0], outputs[1])
    if acc == "fixed":
        assert len(np.unique(outputs[0][:, 4])) == 4


LONG: dict[str, Any] = {
    "format_a": "amxfp4-e4m3", "format_b": "amxfp4-e4m3", "block": 128, "lanes": 1,
    "acc": "fixed", "frac_bits": 20, "int_bits": 0,
}  # fmt: skip


def long_terms(config: DotConfig) -> tuple[Blocks, Blocks, npt.NDArray[np.int64]]:
    """Make blocks of 1 to 128 equal elements under the smallest scale with all significand bits.

    The term of 128 products of 16 under significands of 8 is 2^22 times the unit, and no more.
    """
    steps = list(itertools.product(range(1, 129), (7, 6, 4), (15, 8)))
    codes = np.zeros((len(steps), 128), np.int64)
    for at, (n, code, _) in enumerate(steps):
        codes[at, :n] = code
    scales = np.array([scale for *_, scale in steps])[None]
    a, b = (tensor(row, codes[None], scales) for row in config.rows_ab)
    return a, b, np.ones(len(steps), np.int64)


@pytest.mark.parametrize("scaling", [pytest.param("parallel", marks=pytest.mark.nightly), "serial"])
def test_terms_longer_than_the_accumulator_overflow(scaling: str) -> None:
    """A term whose top bit is above a fixed accumulator without integer bits raises the flag."""
    config = DotConfig(scaling=scaling, **LONG)
    a, b, lengths = long_terms(config)
    done = check_products(BatchDut(config), a, b, lengths)
    overflow = done.outputs[:, 4] >> 1 & 1
    assert 0 < overflow.sum() < len(lengths)
