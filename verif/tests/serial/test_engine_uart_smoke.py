"""Launches the first words with an engine behind a serial line."""

from __future__ import annotations

import pytest

from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.cocotb.runner import run_testbench

# As fast a line as there is, and streams of three widths.
CONFIG = EngineUartConfig(
    format_a="nvfp4", format_b="nvfp4", acc="fixed", rows=1, cols=2, lanes=4, depth_a=2, depth_b=4,
    input="records", bytes_a=8, bytes_b=4, bytes_c=4, clock=4_000_000, baud=1_000_000, payload=64,
)  # fmt: skip


def test_engine_uart_smoke(request: pytest.FixtureRequest) -> None:
    """Every operation does what docs/bridge.md says, and every job is golden's."""
    seed = request.config.getoption("--seed")
    summary = run_testbench(CONFIG, seed=seed, module="smoke_engine_uart")
    assert summary.tests == summary.passed == 3
