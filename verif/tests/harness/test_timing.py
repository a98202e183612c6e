"""Timing as the manifest states it: one beat per cycle, no bubbles, a constant latency."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.timing import check_timing

# Other numbers of lanes are for the night, as in the tests of numbers, whose builds these are.
LANES = [
    pytest.param(lanes, marks=() if lanes in (1, 4, 8) else pytest.mark.nightly)
    for lanes in rotation.lane_counts(32)
]
OPTIONS = [
    pytest.param(c, marks=() if rotation.options_by_day(c) else pytest.mark.nightly)
    for c in rotation.options()
]


@pytest.mark.parametrize("lanes", LANES)
def test_quantizer_timing(rng: np.random.Generator, lanes: int) -> None:
    """One input beat enters in every cycle; the last record follows after the latency."""
    assert check_timing(BatchDut(QuantizerConfig(lanes=lanes)), rng).given == 500


@pytest.mark.parametrize("config", OPTIONS, ids=rotation.label)
def test_quantizer_timing_of_options(rng: np.random.Generator, config: QuantizerConfig) -> None:
    """Registers in all places or none: a cycle for each, and still a block per cycle."""
    dut = BatchDut(config)
    assert dut.manifest["latency"] == len(config.cuts)
    assert check_timing(dut, rng).given == 500


@pytest.mark.parametrize("lanes", LANES)
def test_dequantizer_timing(rng: np.random.Generator, lanes: int) -> None:
    """One output beat leaves in every cycle from the first one, which follows the latency."""
    assert check_timing(BatchDut(DequantizerConfig(lanes=lanes)), rng).given == 500 * (32 // lanes)
