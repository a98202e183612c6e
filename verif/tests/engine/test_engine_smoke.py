"""Launches the engine's first products and errors over shapes of all that is around the array."""

from __future__ import annotations

import pytest

from amxfp4.params.engine import EngineConfig
from amxfp4.verif.sim.cocotb.runner import run_testbench

CONFIGS = [
    EngineConfig(rows=2, cols=3, lanes=8, depth_a=4, depth_b=4),
    EngineConfig(
        rows=3, cols=2, lanes=16, depth_a=2, depth_b=8, acc="fixed", frac_bits=8,
        int_bits=7, output="bf16", bytes_a=64, bytes_b=32, bytes_c=4, block=16,
        format_b="mxfp4-e4m3", ties="RNE",
    ),
    EngineConfig(
        rows=2, cols=4, lanes=16, depth_a=4, depth_b=2, requantize="amxfp4", input="fp32",
        bytes_c=16, block=16,
    ),
    EngineConfig(
        rows=1, cols=1, lanes=32, depth_a=2, depth_b=2, input="records", format_a="mxfp4",
        format_b="nvfp4", block=32, bytes_a=4, bytes_c=64,
    ),
]  # fmt: skip


@pytest.mark.parametrize("module", ["smoke_engine", "smoke_engine_errors"])
@pytest.mark.parametrize(
    "config",
    # By day the first one: what is random goes over all of these in the engine's testbench.
    [CONFIGS[0], *(pytest.param(config, marks=pytest.mark.nightly) for config in CONFIGS[1:])],
    ids=lambda c: f"{c.rows}x{c.cols}-{c.input}-{c.requantize}-{c.digest}",
)
def test_engine_smoke(config: EngineConfig, module: str, request: pytest.FixtureRequest) -> None:
    """Every product is golden's, byte for byte; every error is what docs/engine.md says."""
    summary = run_testbench(config, seed=request.config.getoption("--seed"), module=module)
    assert summary.tests == summary.passed > 0
