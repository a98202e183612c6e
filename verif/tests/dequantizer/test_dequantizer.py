"""The dequantizer's numbers: every element code under every pair of scales, then random."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from amxfp4.golden import stimulus
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS, OUTPUTS
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.batch.check import check_dequantizer
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.randoms import check_random, check_resets

UNITS = [
    DequantizerConfig(format=format, output=output, lanes=4)
    for format, output in product(FORMATS, OUTPUTS)
]
"""Those of the exhaustive test; all tests of a unit share its build."""
BY_LANES = [DequantizerConfig(lanes=lanes) for lanes in rotation.lane_counts(32)]
BY_DAY = [config for config in UNITS if rotation.by_day(config)]


def some_by_day(
    configs: list[DequantizerConfig], chosen: Callable[[DequantizerConfig], bool]
) -> Any:
    """Run a test on all configurations, on some of them by day: each is seconds of compiling."""
    marked = [pytest.param(c, marks=() if chosen(c) else pytest.mark.nightly) for c in configs]
    return pytest.mark.parametrize("config", marked, ids=rotation.label)


@pytest.mark.by_day(2)
@some_by_day(UNITS, rotation.by_day)
def test_exhaustive_codes(rng: np.random.Generator, config: DequantizerConfig) -> None:
    """Every element code under every scale code, for every pair of the two scales."""
    row = config.row
    pairs = np.arange(1 << 16)
    pos, neg = (pairs & 255).astype(np.uint8), (pairs >> 8).astype(np.uint8)
    codes = np.tile(np.arange(16, dtype=np.uint8), (len(pairs), row.block // 16))
    codes = rng.permuted(codes, axis=1)
    checked = check_dequantizer(BatchDut(config), codes, pos, neg if row.shared > 1 else None)

    assert checked.count == 1 << 16
    assert len(np.unique(pos)) == len(np.unique(neg)) == 256
    assert (np.sort(codes, axis=1)[:, :: row.block // 16] == np.arange(16)).all()
    # Not one constant: zeros, NaN and more than a few finite values came out.
    assert len(np.unique(checked.outputs)) > 256


def _check_random(
    config: DequantizerConfig, rng: np.random.Generator, seed: int, count: int
) -> None:
    """Check random records: at full speed, with stalls, and after resets in flight."""
    dut, half = BatchDut(config), max(1, count // 2)
    assert check_random(dut, rng, half).count == half
    assert check_random(dut, rng, half, seed=seed, stall_in=0.3, stall_out=0.3).count == half
    assert check_resets(dut, rng, seed) >= 100


@pytest.mark.parametrize("config", BY_DAY, ids=rotation.label)
def test_random_records(
    rng: np.random.Generator, seed: int, blocks: int, config: DequantizerConfig
) -> None:
    """Random records of every format, on units of the exhaustive test."""
    _check_random(config, rng, seed, min(blocks, 10_000))


@some_by_day(rotation.dequantizers(), lambda c: (c.block, c.lanes) in ((16, 2), (64, 1)))
def test_random_records_of_every_size(
    rng: np.random.Generator, seed: int, blocks: int, config: DequantizerConfig
) -> None:
    """Random records on units of every size."""
    _check_random(config, rng, seed, blocks // rotation.PER_FORMAT)


@some_by_day(BY_LANES, lambda c: c.lanes in (1, 4, 8))
def test_lanes_change_nothing(rng: np.random.Generator, config: DequantizerConfig) -> None:
    """Every number of lanes gives the same words."""
    records = stimulus.records(rng, 2_000, config.row)
    assert check_dequantizer(BatchDut(config), *records).count == 2_000


def test_rotation_covers_every_parameter() -> None:
    """The configurations of the random tests have every value of every parameter."""
    configs = rotation.dequantizers()
    assert {c.format for c in configs} == set(FORMATS)
    assert {c.output for c in configs} == set(OUTPUTS)
    assert {c.block for c in configs} == {16, 32, 64, 128}
    assert {c.lanes for c in configs} == {1, 2, 4, 8, 16, 32, 64, 128}


def test_day_covers_every_value() -> None:
    """By day each kind of scales is there, and both outputs with one scale and with two."""
    kinds = {(row.scale.name, row.scales) for row in FORMATS.values()}
    assert {(c.row.scale.name, c.row.scales) for c in BY_DAY} == kinds
    assert len(BY_DAY) == len(kinds)
    assert {(c.row.scales, c.output) for c in BY_DAY} == set(product((1, 2), OUTPUTS))
