"""The numbers of the dequantizer of weights: every code under every scale, then random."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from amxfp4.params.weight_dequantizer import WEIGHT_OUTPUTS, WeightDequantizerConfig
from amxfp4.params.weights import WEIGHT_FORMATS
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.batch.check import check_dequantizer
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.randoms import check_random, check_resets
from amxfp4.verif.sim.batch.timing import check_timing
from amxfp4.verif.tests.golden.weights.exact import PATH
from amxfp4.verif.tests.weight_dequantizer.bugs import faulty

WAYS = (2, 8)
"""Lanes: a multiplication in each, and a table where that is smaller."""
UNITS = [
    WeightDequantizerConfig(format=format, output=output, lanes=lanes)
    for format, output, lanes in product(WEIGHT_FORMATS, WEIGHT_OUTPUTS, WAYS)
]
BY_LANES = [
    WeightDequantizerConfig(format=format, lanes=lanes)
    for format, lanes in product(("afpq-nf4", "fpq-fp3"), rotation.lane_counts(128))
]
FAULTY = [
    pytest.param("table"),
    pytest.param("element", marks=pytest.mark.nightly),
    pytest.param("bf16", marks=pytest.mark.nightly),
]
"""Units of the planted bugs, which all sleep here: by day no other is built."""


def check_every_scale(dut: BatchDut, rng: np.random.Generator, step: int = 1) -> int:
    """Compare all codes under every FP16 word of a scale (or every `step`-th), both sides."""
    row = dut.config.row
    scales = np.arange(0, 1 << 16, step).astype(np.uint16)
    codes = np.tile(np.arange(len(row.values), dtype=np.uint8), row.block // len(row.values))
    codes = rng.permuted(np.tile(codes, (len(scales), 1)), axis=1)
    other = rng.permutation(scales) if row.asymmetric else None
    checked = check_dequantizer(dut, codes, scales, other)
    # Not one constant: zeros, NaN and more than a few finite values came out.
    assert len(np.unique(checked.outputs)) > 256
    return checked.count


@pytest.mark.parametrize("unit", FAULTY)
def test_every_scale(rng: np.random.Generator, unit: str, at_night: bool) -> None:
    """All codes under all words of a scale, infinities, NaN and signs among them."""
    step = 1 if at_night else 13
    assert check_every_scale(BatchDut(faulty(unit)), rng, step) == -(-(1 << 16) // step)


@pytest.mark.nightly
@pytest.mark.parametrize("config", UNITS, ids=rotation.label)
def test_every_scale_of_every_format(
    rng: np.random.Generator, config: WeightDequantizerConfig
) -> None:
    """The same for every format and output, in either way."""
    assert check_every_scale(BatchDut(config), rng) == 1 << 16


@pytest.mark.parametrize("unit", FAULTY)
def test_random_records(rng: np.random.Generator, seed: int, blocks: int, unit: str) -> None:
    """Random records at full speed, with stalls, and after resets in flight."""
    dut, count = BatchDut(faulty(unit)), min(blocks, 100_000) // 10
    assert check_random(dut, rng, count).count == count
    assert check_random(dut, rng, count, seed=seed, stall_in=0.3, stall_out=0.3).count == count
    assert check_resets(dut, rng, seed, runs=50) >= 50


@pytest.mark.nightly
@pytest.mark.parametrize("config", BY_LANES, ids=rotation.label)
def test_lanes_change_nothing(
    rng: np.random.Generator, seed: int, config: WeightDequantizerConfig
) -> None:
    """Every number of lanes gives golden's words, in the manifest's cycles."""
    dut = BatchDut(config)
    assert check_random(dut, rng, 2_000, seed=seed, stall_in=0.2, stall_out=0.2).count == 2_000
    assert check_timing(dut, rng, 50).given == 50 * config.beats


@pytest.mark.parametrize("unit", FAULTY)
def test_timing(rng: np.random.Generator, unit: str) -> None:
    """One beat leaves in every cycle from the first one, which follows the latency."""
    dut = BatchDut(faulty(unit))
    assert check_timing(dut, rng, 100).given == 100 * dut.config.beats


def test_vectors() -> None:
    """What leaves the unit is what AFPQ's own code returned, in FP16."""
    case = "nf4|asym|g128"
    with np.load(PATH) as vectors:
        ok = vectors[f"{case}|pack_ok"]
        codes = vectors[f"{case}|pack_idx"].reshape(*ok.shape, 128)[ok].astype(np.uint8)
        due = vectors[f"{case}|pack_y16"].reshape(*ok.shape, 128)[ok]
        sides = (vectors[f"{case}|{side}"][ok] for side in ("scale_pos", "scale_neg"))
        pos, neg = (side.astype(np.float16).view(np.uint16) for side in sides)
    checked = check_dequantizer(BatchDut(faulty("table")), codes, pos, neg)
    assert checked.count > 80
    assert np.array_equal(checked.outputs.view(np.float16), due)
