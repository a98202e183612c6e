"""Planted bugs that the testbenches of `dot` and `array` must catch."""

from __future__ import annotations

import itertools
from functools import cache

import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Planted
from amxfp4.verif.sim.build import port_width
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.cocotb.scoreboard import Scoreboard, ScoreboardError
from amxfp4.verif.sim.sources import source

UNITS: dict[str, DotConfig] = {
    "dot": DotConfig(block=16, lanes=8, acc="fixed"),
    "array": ArrayConfig(
        block=16, rows=2, cols=2, lanes=4, format_a="mxfp4-e5m2", format_b="mxfp4-e5m2"
    ),
}


@cache
def faulty(unit: str) -> Planted:
    """Make a unit in which the faults below sleep."""
    config = UNITS[unit]
    manifest = source(config).manifest
    top = port_width(manifest, "i__payload") - 1
    width = port_width(manifest, "o__payload")
    lost = f"((n == 10) & ~i__payload[{top}])"

    def misread(bits: slice, code: str, other: str, compare: str = "==") -> dict[str, str]:
        """Take a code of a field of A's first record, or those above it, for another."""
        field = f"i__payload[{bits.stop - 1}:{bits.start}]"
        below = [f"i__payload[{bits.start - 1}:0]"] if bits.start else []
        parts = [
            f"i__payload[{top}:{bits.stop}]",
            f"({field} {compare} {code} ? {other} : {field})",
        ]
        return {"x__payload": f"{{{', '.join([*parts, *below])}}}"}

    first, scale = slice(0, 4), slice(64, 72)
    waiting = {"y__ready": "1'b1", "o__valid": "kept"}
    wires: dict[str, dict[str, str]] = {
        "dropped step": {"x__valid": f"i__valid & ~{lost}", "i__ready": f"x__ready | {lost}"},
        "ignored last": {
            "x__payload": f"{{i__payload[{top}] & (n[3:0] != 4'hb), i__payload[{top - 1}:0]}}"
        },
        "last of a sixth step ignored": {
            "x__payload": f"{{i__payload[{top}] & (steps != 5), i__payload[{top - 1}:0]}}"
        },
        "one bit of every result": {"o__payload": "y__payload ^ 1'b1"},
        "largest scale misread": misread(scale, "8'h7b", "8'h7a"),
        "NaN scale misread": misread(scale, "8'h7b", "8'h7b", ">"),
        "-0 misread": misread(first, "4'h8", "4'h9"),
        "overwritten result": waiting | {"o__payload": "latest"},
        "lost result": waiting | {"o__payload": "first"},
        "bubble between sums": {
            "x__valid": "i__valid & (after == 0)",
            "i__ready": "x__ready & (after == 0)",
        },
    }
    declarations = f"""
  reg kept = 0;
  reg [{width - 1}:0] latest, first;
  reg [7:0] after = 0, steps = 0;
  always @(posedge clk) begin
    kept <= ~rst & (y__valid | (kept & ~o__ready));
    if (y__valid) latest <= y__payload;
    if (y__valid & (~kept | o__ready)) first <= y__payload;
    if (rst) steps <= 0;
    else if (i__valid & i__ready) steps <= i__payload[{top}] ? 0 : steps + 1;
    if (rst) after <= 0;
    else if (i__valid & i__ready & i__payload[{top}]) after <= {config.beats};
    else if (after != 0) after <= after - 1;
  end
"""
    # The only register that a reset sets; and the sums of a block's first beats.
    survivors = {"sum survives reset": (r"= rst \? (?=1'h1 :)", "= (rst & ~{bug}) ? ")}
    if unit == "array":
        survivors["class sum survives reset"] = (r"= rst \? (?=13'h0+ :)", "= (rst & ~{bug}) ? ")
        parts = [f"y__payload[{32 * n + 31}:{32 * n}]" for n in (3, 1, 2, 0)]
        wires["results change places"] = {"o__payload": f"{{{', '.join(parts)}}}"}
    else:
        word = config.word.width
        for flag, name in enumerate(("inexact", "overflow")):
            wires[f"{name} stays"] = {
                "o__payload": f"y__payload | (raised & ({width}'h1 << {word + flag}))"
            }
        declarations += f"""
  reg [{width - 1}:0] raised = 0;
  always @(posedge clk) if (y__valid & y__ready) raised <= y__payload;
"""
    wires = planted.WRAPPERS | wires
    return planted.asleep(config, text=survivors, wires=wires, declarations=declarations)


# An array's beats are those of a dot product.
by_unit = pytest.mark.parametrize("unit", ["dot", pytest.param("array", marks=pytest.mark.nightly)])

FAULTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "one bit of every result": (("dot", "array"), "smoke", "must be 0x"),
    "last of a sixth step ignored": (
        ("dot",), "last_on_every_beat/idle=none/back_pressure=none", "must not be stuck",
    ),
    "payload changes under stall": (
        ("dot",), "stalls/idle=none/back_pressure=random", "o__payload changed before",
    ),
    "valid depends on ready": (("dot",), "ready_after_valid", "must not be stuck"),
    "largest scale misread": (("dot",), "special_blocks", "must be 0x"),
    "NaN scale misread": (("dot", "array"), "nan_blocks", "must be 0x"),
    "-0 misread": (("dot",), "zero_blocks", "must be 0x"),
    "output survives reset": (("dot",), "reset_in_flight", "."),
    "dropped step": (("dot", "array"), "different_depths", "must be 0x"),
    "ignored last": (("dot", "array"), "back_to_back", "must not be stuck"),
    "overwritten result": (
        ("dot", "array"), "held_results", "o__payload changed before the transfer",
    ),
    "lost result": (("dot", "array"), "held_results", "must not be stuck"),
    "sum survives reset": (("dot", "array"), "reset_in_sum", "must be 0x"),
    "bubble between sums": (("dot", "array"), "throughput", "cycles apart"),
    "class sum survives reset": (("array",), "reset_in_sum", "must be 0x"),
    "results change places": (("array",), "smoke", "must be 0x"),
    "inexact stays": (("dot",), "flags", "must be 0x"),
    "overflow stays": (("dot",), "flags", "must be 0x"),
}  # fmt: skip
"""Faults by what they do: the units they are planted in, the test that fails, and what it says."""
CAUGHT = {test.split("/")[0] for _, test, _ in FAULTS.values()} | {"latency"}
"""Tests of the testbench that a fault makes fail: test_verification_plan.py asks for all."""


@by_unit
def test_nothing_is_caught_while_bugs_sleep(unit: str) -> None:
    """What is caught below is the fault that is awake."""
    summary = run_testbench(faulty(unit), seed=1)
    assert summary.tests == summary.passed >= len(CAUGHT)
    assert summary.transactions > summary.tests


@by_unit
def test_faults_are_caught(unit: str) -> None:
    """Steps lost, sums joined, results lost or exchanged, flags and sums that stay, bubbles."""
    cases = {
        fault: (test, found) for fault, (units, test, found) in FAULTS.items() if unit in units
    }
    assert cases
    assert planted.missed(faulty(unit), cases) == {}


@by_unit
def test_wrong_latency_is_caught(unit: str) -> None:
    """A manifest that is one cycle off is not believed."""
    made = faulty(unit)
    wrong = planted.with_manifest(made, latency=made.manifest["latency"] + 1)
    with pytest.raises(TestbenchError, match=r"latency.*as the manifest states"):
        run_testbench(wrong, seed=1, tests="latency")


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
