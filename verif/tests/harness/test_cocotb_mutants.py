"""Planted bugs that the cocotb testbenches must catch, and runs that tested nothing."""

from __future__ import annotations

import pytest

from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.check import planted
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.cocotb.scoreboard import Scoreboard, ScoreboardError

QUANTIZER = QuantizerConfig(lanes=4)
DEQUANTIZER = DequantizerConfig(lanes=4)


@pytest.mark.parametrize(
    ("config", "fault", "found"),
    [
        (QUANTIZER, "payload changes under stall", "o__payload changed before the transfer"),
        (DEQUANTIZER, "valid falls under stall", "o__valid fell before the transfer"),
        (DEQUANTIZER, "output survives reset", "o__valid is up after a reset"),
        (QUANTIZER, "valid depends on ready", "ready_after_valid.*must not be stuck"),
        (DEQUANTIZER, "beat dropped", "must not be stuck"),
        (QUANTIZER, "bubble", "throughput"),
    ],
    ids=lambda value: value.unit if isinstance(value, UnitConfig) else None,
)
def test_fault_is_caught(config: UnitConfig, fault: str, found: str) -> None:
    """The testbench that passes the real unit fails the mutant, and says why."""
    with pytest.raises(TestbenchError, match=found):
        run_testbench(planted.wrapped(config, planted.WRAPPERS[fault]), seed=1)


def test_other_tie_rule_is_caught() -> None:
    """Hardware that rounds ties away against golden that rounds them to even."""
    unit = planted.with_manifest(planted.wrapped(QUANTIZER, {}), ties="RNE")
    with pytest.raises(TestbenchError, match=r"back_to_back: .*must be 0x"):
        run_testbench(unit, seed=1)


def test_wrong_latency_is_caught() -> None:
    """A manifest that is one cycle off is not believed."""
    unit = planted.wrapped(QUANTIZER, {})
    wrong = planted.with_manifest(unit, latency=unit.manifest["latency"] + 1)
    with pytest.raises(TestbenchError, match=r"latency: .*as the manifest states"):
        run_testbench(wrong, seed=1)


def test_no_test_is_an_error() -> None:
    """A run in which no test was found does not pass."""
    with pytest.raises(TestbenchError):
        run_testbench(planted.wrapped(QUANTIZER, {}), seed=1, tests="no_such_test")


def _scoreboard() -> Scoreboard:
    return Scoreboard(
        lambda sent: [sum(sent[i : i + 2]) for i in range(0, len(sent), 2)], unit=2, results=1
    )


def test_scoreboard_passes() -> None:
    """Two blocks in, two sums out."""
    board = _scoreboard()
    board.sent += [1, 2, 3, 4]
    board.received += [3, 7]
    assert board.finish() == 2


@pytest.mark.parametrize(
    ("sent", "received", "error"),
    [
        ([], [], "at least one transaction must be compared"),
        ([1, 2], [], "outputs must be 1 for 2 inputs, not 0"),
        ([1, 2], [3, 3], "outputs must be 1 for 2 inputs, not 2"),
        ([1, 2, 3], [3], "inputs must be whole blocks of 2 beats"),
        ([1, 2, 3, 4], [7, 3], r"output 0 must be 0x3, not 0x7; its block is \[0x1, 0x2\]"),
    ],
)
def test_scoreboard_refuses(sent: list[int], received: list[int], error: str) -> None:
    """Nothing compared, something missing, surplus, incomplete, or out of order."""
    board = _scoreboard()
    board.sent += sent
    board.received += received
    with pytest.raises(ScoreboardError, match=error):
        board.finish()


def test_scoreboard_flush_compares() -> None:
    """A reset forgets what is on its way, not what was wrong before."""
    board = _scoreboard()
    board.sent += [1, 2, 3]
    board.received += [4]
    with pytest.raises(ScoreboardError, match="output 0 must be 0x3, not 0x4"):
        board.flush()
