"""Launches the MAC array's testbench over shapes, lanes and modes."""

from __future__ import annotations

import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.verif.sim.cocotb.runner import run_testbench

# By day the unit of the planted bugs passes every test of the testbench while they sleep.
pytestmark = pytest.mark.nightly

CONFIGS = [
    ArrayConfig(
        rows=2,
        cols=3,
        block=16,
        lanes=4,
        format_b="nvfp4",
        acc="fixed",
        output="bf16",
        pipeline="sums,rounded",
    ),
    ArrayConfig(rows=2, cols=3, lanes=8),
    ArrayConfig(rows=2, cols=3, lanes=32),
    ArrayConfig(rows=3, cols=2, lanes=8, acc="fixed", output="bf16", pipeline="sums,rounded"),
    ArrayConfig(rows=1, cols=2, lanes=8, format_a="mxfp4", format_b="amxfp4"),
]


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: "-".join(str(v) for v in c.to_dict().values())
)
def test_array(config: ArrayConfig, request: pytest.FixtureRequest) -> None:
    """Every test of the testbench passes and compares something."""
    summary = run_testbench(config, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests
