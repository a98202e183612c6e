"""Launches the dequantizer's testbench over lanes and formats."""

from __future__ import annotations

import pytest

from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.cocotb.runner import run_testbench

# By day the unit of the planted bugs passes every test of the testbench while they sleep.
pytestmark = pytest.mark.nightly

CONFIGS = [
    DequantizerConfig(format="amxfp4-e4m3", lanes=2, output="fp32"),
    DequantizerConfig(lanes=1),
    DequantizerConfig(lanes=4),
    DequantizerConfig(lanes=32),
    DequantizerConfig(format="mxfp4", lanes=32, output="fp32"),
    DequantizerConfig(format="amxfp4-e4m3", lanes=8, output="fp32"),
    DequantizerConfig(format="amxfp4-pot-roundup", lanes=2, block=64),
    DequantizerConfig(format="nvfp4", lanes=16),
    DequantizerConfig(format="int4-asym", lanes=4),
]


@pytest.mark.parametrize("config", CONFIGS, ids=rotation.label)
def test_dequantizer(config: DequantizerConfig, request: pytest.FixtureRequest) -> None:
    """Every test of the testbench passes and compares something."""
    summary = run_testbench(config, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests
