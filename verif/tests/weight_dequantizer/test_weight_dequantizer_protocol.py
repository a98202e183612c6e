"""Launches the testbench of the dequantizer of weights over lanes and formats."""

from __future__ import annotations

import pytest

from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.cocotb.runner import run_testbench

# By day the batch tests meet every bug that is planted; the testbench is the dequantizer's.
pytestmark = pytest.mark.nightly

CONFIGS = [
    WeightDequantizerConfig(),
    WeightDequantizerConfig(lanes=128, format="fpq-nf3"),
    WeightDequantizerConfig(lanes=1, format="afpq-fp4"),
    WeightDequantizerConfig(lanes=16, format="fpq-fp3", output="bf16"),
    WeightDequantizerConfig(lanes=64, format="afpq-nf3", output="bf16"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=rotation.label)
def test_weight_dequantizer(
    config: WeightDequantizerConfig, request: pytest.FixtureRequest
) -> None:
    """Every test of the testbench passes and compares something."""
    summary = run_testbench(config, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests
