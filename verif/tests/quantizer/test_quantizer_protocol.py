"""Launches the quantizer's testbench over lanes, formats and options."""

from __future__ import annotations

import pytest

from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.cocotb.runner import run_testbench

# By day the unit of the planted bugs passes every test of the testbench while they sleep.
pytestmark = pytest.mark.nightly

CONFIGS = [
    QuantizerConfig(format="amxfp4-e4m3", lanes=2, input="fp16", ties="RNE", maxima="scan"),
    QuantizerConfig(lanes=1),
    QuantizerConfig(lanes=4),
    QuantizerConfig(lanes=32),
    QuantizerConfig(format="mxfp4", lanes=32, input="fp32"),
    QuantizerConfig(format="amxfp4-e4m3", lanes=8, input="fp16", ties="RNE", maxima="scan"),
    QuantizerConfig(format="amxfp4-pot-roundup", lanes=2, block=64),
    QuantizerConfig(format="nvfp4", lanes=16, pipeline=""),
    QuantizerConfig(format="int4-asym", lanes=4),
    QuantizerConfig(format="nvfp4-46", lanes=8, input="fp32"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=rotation.label)
def test_quantizer(config: QuantizerConfig, request: pytest.FixtureRequest) -> None:
    """Every test of the testbench passes and compares something."""
    summary = run_testbench(config, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests
