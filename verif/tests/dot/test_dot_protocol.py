"""Launches the dot product's testbench over lanes, formats and modes."""

from __future__ import annotations

import pytest

from amxfp4.params.dot import DotConfig
from amxfp4.verif.sim.cocotb.runner import run_testbench

# By day the unit of the planted bugs passes every test of the testbench while they sleep.
pytestmark = pytest.mark.nightly

CONFIGS = [
    # As many beats as terms, one by one, with the least of registers; and at once.
    DotConfig(
        block=16, lanes=4, acc="fixed", output="bf16", class_sums="masked", pipeline="rounded"
    ),
    DotConfig(block=16, lanes=4, scaling="parallel", class_sums="merged", pipeline="sums"),
    DotConfig(format_a="amxfp4-pot", format_b="mxfp4", block=16, lanes=16),
    DotConfig(lanes=1),
    DotConfig(lanes=4),
    DotConfig(lanes=32),
    DotConfig(lanes=32, acc="fixed", pipeline=""),
    DotConfig(lanes=4, acc="fixed", output="bf16", class_sums="masked"),
    DotConfig(format_a="mxfp4", format_b="mxfp4", lanes=32),
    DotConfig(format_a="amxfp4-pot", format_b="mxfp4", lanes=4, output="bf16"),
    DotConfig(format_a="nvfp4", format_b="nvfp4", lanes=16),
    DotConfig(lanes=8, acc="fixed", pipeline="rounded"),
    DotConfig(lanes=8, scaling="parallel", class_sums="merged", pipeline="sums"),
    DotConfig(format_a="int4-asym", format_b="int4", lanes=4),
]


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: "-".join(str(v) for v in c.to_dict().values())
)
def test_dot(config: DotConfig, request: pytest.FixtureRequest) -> None:
    """Every test of the testbench passes and compares something."""
    summary = run_testbench(config, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests
