"""Launches the engine's testbench over shapes, formats, modes and widths of streams."""

from __future__ import annotations

import pytest

from amxfp4.gen.engine_config import EngineConfig
from amxfp4.verif.cocotb.runner import run_testbench

CONFIGS = [
    EngineConfig(rows=2, cols=3, lanes=8, depth_a=4, depth_b=4),
    EngineConfig(
        rows=3, cols=2, lanes=16, depth_a=2, depth_b=8, acc="fixed", frac_bits=12, int_bits=6,
        output="bf16", bytes_a=64, bytes_b=64, bytes_c=4, block=16, format_b="mxfp4-e4m3",
        ties="RNE",
    ),
    EngineConfig(
        rows=2, cols=4, lanes=16, depth_a=4, depth_b=2, requantize="amxfp4", input="fp32",
        bytes_a=16, bytes_b=4, bytes_c=16, block=16,
    ),
    EngineConfig(
        rows=1, cols=1, lanes=32, depth_a=2, depth_b=2, input="records", format_a="mxfp4",
        format_b="nvfp4", block=32, bytes_a=4, bytes_b=32, bytes_c=64,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: f"{c.rows}x{c.cols}-{c.input}-{c.acc}-{c.requantize}"
)
def test_engine(
    config: EngineConfig, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every test of tb_engine passes and compares something."""
    # More jobs where more blocks are asked for: 12 in a test by default, 250 at night.
    monkeypatch.setenv("AMXFP4_JOBS", str(max(12, request.config.getoption("--blocks") // 4000)))
    summary = run_testbench(config, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests
