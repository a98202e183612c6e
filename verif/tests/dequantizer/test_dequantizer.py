"""The dequantizer's numbers: every element code under every pair of scales, then random."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.golden import stimulus
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS, OUTPUTS
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.batch.check import check_dequantizer
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.randoms import check_random, check_resets


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("format", FORMATS)
def test_exhaustive_codes(rng: np.random.Generator, format: str, output: str) -> None:
    """Every element code under every scale code, for every pair of the two scales."""
    config = DequantizerConfig(format=format, output=output, lanes=4)
    row = config.row
    pairs = np.arange(1 << 16)
    pos, neg = (pairs & 255).astype(np.uint8), (pairs >> 8).astype(np.uint8)
    codes = np.tile(np.arange(16, dtype=np.uint8), (len(pairs), row.block // 16))
    codes = rng.permuted(codes, axis=1)
    checked = check_dequantizer(BatchDut(config), codes, pos, neg if row.asymmetric else None)

    assert checked.count == 1 << 16
    assert len(np.unique(pos)) == len(np.unique(neg)) == 256
    assert (np.sort(codes, axis=1)[:, :: row.block // 16] == np.arange(16)).all()
    # Not one constant: zeros, NaN and more than a few finite values came out.
    assert len(np.unique(checked.outputs)) > 256


@pytest.mark.parametrize("config", rotation.dequantizers(), ids=rotation.label)
def test_random_records(
    rng: np.random.Generator, seed: int, blocks: int, config: DequantizerConfig
) -> None:
    """Random records: at full speed, with stalls, and after resets in flight."""
    dut = BatchDut(config)
    half = max(1, blocks // rotation.PER_FORMAT // 2)
    assert check_random(dut, rng, half).count == half
    assert check_random(dut, rng, half, seed=seed, stall_in=0.3, stall_out=0.3).count == half
    assert check_resets(dut, rng, seed) >= 100


@pytest.mark.parametrize("lanes", rotation.lane_counts(32))
def test_lanes_change_nothing(rng: np.random.Generator, lanes: int) -> None:
    """Every number of lanes gives the same words."""
    config = DequantizerConfig(lanes=lanes)
    records = stimulus.records(rng, 2_000, config.row)
    assert check_dequantizer(BatchDut(config), *records).count == 2_000


def test_rotation_covers_every_parameter() -> None:
    """The configurations of the random tests have every value of every parameter."""
    configs = rotation.dequantizers()
    assert {c.format for c in configs} == set(FORMATS)
    assert {c.output for c in configs} == set(OUTPUTS)
    assert {c.block for c in configs} == {16, 32, 64, 128}
    assert {c.lanes for c in configs} == {1, 2, 4, 8, 16, 32, 64, 128}
