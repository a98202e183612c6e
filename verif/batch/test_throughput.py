"""Timing as the manifest states it: one beat per cycle, no bubbles, a constant latency."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.gen.config import DequantizerConfig, QuantizerConfig
from amxfp4.golden import stimulus
from amxfp4.verif.batch import beats, rotation
from amxfp4.verif.batch.dut import BatchDut

BLOCKS = 500


@pytest.mark.parametrize("lanes", rotation.lane_counts(32))
def test_quantizer_throughput(rng: np.random.Generator, lanes: int) -> None:
    """One input beat enters in every cycle; the last record follows after the latency."""
    config = QuantizerConfig(lanes=lanes)
    dut = BatchDut(config)
    words = stimulus.blocks(rng, BLOCKS, config.row.block, config.input)
    run = dut.run(beats.words_to_beats(words, lanes), BLOCKS)
    latency, per_block = dut.manifest["latency"], dut.manifest["cycles_per_block"]
    assert per_block == config.beats
    assert (run.first_in, run.last_in) == (0, BLOCKS * per_block - 1)
    assert run.first_out == per_block - 1 + latency
    assert run.last_out - run.first_out == (BLOCKS - 1) * per_block
    assert run.cycles == BLOCKS * per_block + latency


@pytest.mark.parametrize("lanes", rotation.lane_counts(32))
def test_dequantizer_throughput(rng: np.random.Generator, lanes: int) -> None:
    """One output beat leaves in every cycle from the first one, which follows the latency."""
    config = DequantizerConfig(lanes=lanes)
    dut = BatchDut(config)
    raw = beats.pack_records(*stimulus.records(rng, BLOCKS, config.row))
    run = dut.run(beats.from_bytes(raw), BLOCKS * config.beats)
    latency, per_block = dut.manifest["latency"], dut.manifest["cycles_per_block"]
    assert per_block == config.beats
    assert (run.first_in, run.first_out) == (0, latency)
    assert run.last_out - run.first_out + 1 == BLOCKS * per_block
    assert run.cycles == BLOCKS * per_block + latency
