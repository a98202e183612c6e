"""Planted bugs that the cocotb testbenches must catch, and runs that tested nothing."""

from __future__ import annotations

import pytest

from amxfp4.verif.check import planted
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.cocotb.scoreboard import Scoreboard, ScoreboardError
from amxfp4.verif.tests.harness.faulty import faulty

FAULTS = [
    ("quantizer", "payload depends on ready", "smoke", "must be 0x|changed before"),
    (
        "quantizer", "payload changes under stall", "stalls/idle=none/back_pressure=random",
        "o__payload changed before the transfer",
    ),
    (
        "dequantizer", "valid falls under stall", "stalls/idle=cycle/back_pressure=bursts",
        "o__valid fell before the transfer",
    ),
    ("dequantizer", "output survives reset", "reset_in_flight", "o__valid is up after a reset"),
    ("quantizer", "valid depends on ready", "ready_after_valid", "must not be stuck"),
    ("dequantizer", "beat dropped", "back_to_back", "must not be stuck"),
    ("quantizer", "NaN as infinity", "special_blocks", "must be 0x"),
    ("dequantizer", "one NaN code taken as finite", "special_blocks", "must be 0x"),
    ("quantizer", "bubble", "throughput", "must move one block every"),
]  # fmt: skip
"""Units, what is wrong with them, the test that must fail, and what it must say."""
CAUGHT = {test.split("/")[0] for _, _, test, _ in FAULTS} | {"latency"}
"""Tests of the testbench that a fault makes fail: test_verification_plan.py asks for all."""


@pytest.mark.parametrize("unit", ["quantizer", "dequantizer"])
def test_faults_are_caught(unit: str) -> None:
    """The test that passes while a fault sleeps fails when it is awake, and says why."""
    cases = {fault: (test, found) for of, fault, test, found in FAULTS if of == unit}
    assert planted.missed(faulty(unit), cases) == {}


@pytest.mark.parametrize("unit", ["quantizer", "dequantizer"])
def test_nothing_is_caught_while_bugs_sleep(unit: str) -> None:
    """What is caught above is the fault that is awake."""
    summary = run_testbench(faulty(unit), seed=1)
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests


def test_other_tie_rule_is_caught() -> None:
    """Hardware that rounds ties away against golden that rounds them to even."""
    unit = planted.with_manifest(faulty("quantizer"), ties="RNE")
    with pytest.raises(TestbenchError, match=r"back_to_back: .*must be 0x"):
        run_testbench(unit, seed=1, tests="back_to_back")


def test_wrong_latency_is_caught() -> None:
    """A manifest that is one cycle off is not believed."""
    unit = faulty("quantizer")
    wrong = planted.with_manifest(unit, latency=unit.manifest["latency"] + 1)
    with pytest.raises(TestbenchError, match=r"latency: .*as the manifest states"):
        run_testbench(wrong, seed=1, tests="latency")


def test_no_test_is_an_error() -> None:
    """A run in which no test was found does not pass."""
    with pytest.raises(TestbenchError):
        run_testbench(faulty("quantizer"), seed=1, tests="no_such_test")


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
