"""Planted bugs that the testbenches of `dot` and `array` must catch."""

from __future__ import annotations

import itertools

import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.verif.check import planted
from amxfp4.verif.sim.build import port_width
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.cocotb.scoreboard import Scoreboard, ScoreboardError
from amxfp4.verif.sim.sources import Source, source

DOT = DotConfig(lanes=32)
FIXED = DotConfig(lanes=32, acc="fixed")
ARRAY = ArrayConfig(rows=2, cols=2, lanes=8)
UNITS = pytest.mark.parametrize(
    "config",
    # The benches of both share what finds these bugs.
    [pytest.param(DOT, id="dot"), pytest.param(ARRAY, id="array", marks=pytest.mark.nightly)],
)


def _widths(config: DotConfig) -> tuple[int, int]:
    manifest = source(config).manifest
    return port_width(manifest, "i__payload"), port_width(manifest, "o__payload")


def _refused(config: DotConfig, made: Source, tests: str, found: str) -> None:
    """Run tests of the real unit, which pass, and of the mutant, which fail."""
    assert run_testbench(config, seed=1, tests=tests).transactions > 0
    with pytest.raises(TestbenchError, match=found):
        run_testbench(made, seed=1, tests=tests)


@UNITS
def test_dropped_step_is_caught(config: DotConfig) -> None:
    """A step in the middle of a sum is taken and forgotten; no result is missing."""
    top = _widths(config)[0] - 1
    lost = f"(n == 10) & ~i__payload[{top}]"
    changes = {"x__valid": f"i__valid & ~({lost})", "i__ready": f"x__ready | ({lost})"}
    made = planted.wrapped(config, changes)
    _refused(config, made, "different_depths", "different_depths.*must be 0x")


@UNITS
def test_ignored_last_is_caught(config: DotConfig) -> None:
    """One `last` in many is not seen: two sums become one."""
    width = _widths(config)[0]
    seen = f"{{i__payload[{width - 1}] & (n[3:0] != 4'hb), i__payload[{width - 2}:0]}}"
    made = planted.wrapped(config, {"x__payload": seen})
    _refused(config, made, "back_to_back", "back_to_back.*must not be stuck")


@UNITS
def test_overwritten_result_is_caught(config: DotConfig) -> None:
    """A result that is not taken when the next one comes is lost."""
    width = _widths(config)[1]
    made = planted.wrapped(
        config,
        {"y__ready": "1'b1", "o__valid": "kept", "o__payload": "latest"},
        declarations=f"""
  reg kept = 0;
  reg [{width - 1}:0] latest;
  always @(posedge clk) begin
    kept <= ~rst & (y__valid | (kept & ~o__ready));
    if (y__valid) latest <= y__payload;
  end""",
    )
    _refused(config, made, "held_results", "held_results.*o__payload changed before the transfer")


@UNITS
def test_lost_result_is_caught(config: DotConfig) -> None:
    """A result that comes while another one waits is lost; the one that waits is kept."""
    width = _widths(config)[1]
    made = planted.wrapped(
        config,
        {"y__ready": "1'b1", "o__valid": "kept", "o__payload": "first"},
        declarations=f"""
  reg kept = 0;
  reg [{width - 1}:0] first;
  always @(posedge clk) begin
    kept <= ~rst & (y__valid | (kept & ~o__ready));
    if (y__valid & (~kept | o__ready)) first <= y__payload;
  end""",
    )
    _refused(config, made, "held_results", "held_results.*must not be stuck")


@UNITS
def test_sum_that_survives_reset_is_caught(config: DotConfig) -> None:
    """The sum behind a reset in the middle of a sum does not begin from nothing."""
    # The only register that a reset sets.
    made = planted.edited(config, r"= rst \? (?=1'h1 :)", "= 1'h0 ? ")
    _refused(config, made, "reset_in_sum", "reset_in_sum.*must be 0x")


def test_class_sum_that_survives_reset_is_caught() -> None:
    """The sums of a block's first beats are not cleared by a reset between its beats."""
    made = planted.edited(ARRAY, r"= rst \? (?=13'h0+ :)", "= 1'h0 ? ")
    _refused(ARRAY, made, "reset_in_sum", "reset_in_sum.*must be 0x")


def test_result_of_another_element_is_caught() -> None:
    """Two results of a tile leave in each other's place."""
    swapped = "{y__payload[127:96], y__payload[63:32], y__payload[95:64], y__payload[31:0]}"
    made = planted.wrapped(ARRAY, {"o__payload": swapped})
    _refused(ARRAY, made, "smoke", "smoke.*must be 0x")


@pytest.mark.parametrize("flag", [0, 1], ids=["inexact", "overflow"])
def test_flag_that_stays_is_caught(flag: int) -> None:
    """A flag of one sum is still up with the next one's result."""
    word = DOT.word.width
    bits = [f"y__payload[{word + n}]" + (" | raised" if n == flag else "") for n in (1, 0)]
    made = planted.wrapped(
        FIXED,
        {"o__payload": f"{{{bits[0]}, {bits[1]}, y__payload[{word - 1}:0]}}"},
        declarations=f"""
  reg raised = 0;
  always @(posedge clk) if (y__valid & y__ready) raised <= y__payload[{word + flag}];""",
    )
    _refused(FIXED, made, "flags", "flags.*must be 0x")


@UNITS
def test_bubble_between_sums_is_caught(config: DotConfig) -> None:
    """One cycle is lost after every sum."""
    top = _widths(config)[0] - 1
    made = planted.wrapped(
        config,
        {"x__valid": "i__valid & (after == 0)", "i__ready": "x__ready & (after == 0)"},
        declarations=f"""
  reg [7:0] after = 0;
  always @(posedge clk)
    if (rst) after <= 0;
    else if (i__valid & i__ready & i__payload[{top}]) after <= {config.beats};
    else if (after != 0) after <= after - 1;""",
    )
    _refused(config, made, "throughput", "throughput.*cycles apart")


@UNITS
def test_wrong_latency_is_caught(config: DotConfig) -> None:
    """A manifest that is one cycle off is not believed."""
    unit = source(config)
    made = planted.with_manifest(unit, latency=unit.manifest["latency"] + 1)
    _refused(config, made, "latency", "latency.*as the manifest states")


def _scoreboard() -> Scoreboard:
    """Make a scoreboard of sums of integers; an odd one ends a sum."""

    def expected(sent: list[int]) -> list[int]:
        ends = [0, *(n + 1 for n, payload in enumerate(sent) if payload % 2)]
        return [sum(sent[a:b]) for a, b in itertools.pairwise(ends)]

    return Scoreboard(expected, unit=lambda payload: bool(payload % 2), results=1)


def test_scoreboard_of_sums_passes() -> None:
    """Sums of three, one and two payloads."""
    board = _scoreboard()
    board.sent += [2, 4, 1, 3]
    assert board.due == 2
    board.sent += [2, 1]
    board.received += [7, 3, 3]
    assert board.finish() == 3
    assert board.due == 0


@pytest.mark.parametrize(
    ("sent", "received", "error"),
    [
        ([], [], "at least one transaction must be compared"),
        ([2, 1], [], "outputs must be 1 for 2 inputs, not 0"),
        ([1, 2, 4], [1], "inputs must be whole blocks, not 3 beats, 2 of them behind"),
        ([1, 2, 3], [1, 4], r"output 1 must be 0x5, not 0x4; its block is \[0x2, 0x3\]"),
    ],
)
def test_scoreboard_of_sums_refuses(sent: list[int], received: list[int], error: str) -> None:
    """Nothing compared, a result missing, a sum without an end, or a wrong one."""
    board = _scoreboard()
    board.sent += sent
    board.received += received
    with pytest.raises(ScoreboardError, match=error):
        board.finish()
