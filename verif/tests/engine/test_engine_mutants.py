"""Planted bugs that the engine's testbench must catch.

All of them stand in one Verilog text and sleep until a run names one, so that the unit is built
once, and what passes without a bug is what fails with one.
"""

from __future__ import annotations

from functools import cache

import pytest

from amxfp4.params.engine import EngineConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Planted
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.cocotb.scoreboard import ScoreboardError
from amxfp4.verif.sim.cocotb_engine.scoreboard_engine import PacketBoard

CONFIG = EngineConfig(
    rows=2, cols=2, lanes=16, block=16, depth_a=2, depth_b=4, acc="fixed", frac_bits=12,
    int_bits=6,
)  # fmt: skip

# In a replacement `{bug}` is 1 while the bug is awake; `\1` and so on are groups of the pattern.
BUGS: dict[str, tuple[str, str, str, str]] = {
    # Data.
    "the last beat of A is lost": (
        r"\.i__valid\(s_axis_a_tvalid\)", r".i__valid(s_axis_a_tvalid & ~({bug} & s_axis_a_tlast))",
        "shapes", r"C of .* must come to its end",
    ),
    "bytes of B change places": (
        r"(s_axis_b_tkeep, )(s_axis_b_tdata) ",
        r"\1({bug} ? {{\2[7:0], \2[63:8]}} : \2) ",
        "shapes", r"byte \d+ of C",
    ),
    "columns of a tile change places": (
        r"(\w+ drain \((?:\n.*?)*?\.i__payload\()(\w+)\)",
        r"\1{bug} ? {{\2[135:64], \2[31:0], \2[63:32]}} : \2)",
        "shapes", r"byte \d+ of C",
    ),
    "a tile takes B from the other half": (
        r"(\w+ memory_b \((?:\n.*?)*?\.address\()(\w+\[4:2\])\)",
        r"\1\2 ^ {{{bug}, 2'h0}})",
        "shapes", r"byte \d+ of C",
    ),
    "a row takes a stale block of A": (
        r"(\w+ memory_a \((?:\n.*?)*?\.address\()(\w+\[1:0\])\)",
        r"\1\2 & {{1'h1, ~{bug}}})",
        "full_memories", r"byte \d+ of C",
    ),
    "what follows a row of A is not zero": (
        r"(assign o__payload_1 = )(\w+)( \? unpacker__units)", r"\1(\2 | {bug})\3",
        "shapes", r"byte \d+ of C",
    ),
    "flags of a row that is not sent count": (
        r"(assign \w+ = )(tile\[1:0\] > 1'h1;)", r"\1{bug} | \2",
        "special_values", r"error must be .* flags and nothing else",
    ),
    "data change while they wait": (
        r"(assign m_axis_c_tdata = )(\w+\[63:0\];)",
        r"\1({bug} & ~m_axis_c_tready) ^ \2",
        "random_jobs/pattern=cycle", r"c: payload changed before the transfer",
    ),
    "TKEEP of A is not looked at": (
        r"(s_axis_a_tlast, )(s_axis_a_tkeep)", r"\1(\2 | {{8{{{bug}}}}})",
        "faults/name=a_keep", r"a failed job|beginning of C|must come to its end|TKEEP|must be",
    ),
    "valid of C waits for ready": (
        r"(\w+ skid_c \((?:\n.*?)*?\.o__valid\()m_axis_c_tvalid\)",
        r"wire has_c; assign m_axis_c_tvalid = has_c & (~{bug} | m_axis_c_tready); \1has_c)",
        "ready_after_valid", r"must come to its end",
    ),
    "ready of B follows its valid": (
        r"(\w+ skid_b \((?:\n.*?)*?\.i__ready\()s_axis_b_tready\)",
        r"wire free_b; assign s_axis_b_tready = free_b & (~{bug} | s_axis_b_tvalid); \1free_b)",
        "paths", r"s_axis_b_tready must not depend on s_axis_b_tvalid at once",
    ),
    "what comes of A before a job is lost": (
        r"(\w+ skid_a \((?:\n.*?)*?\.i__ready\()s_axis_a_tready\)",
        r"wire free_a; assign s_axis_a_tready = free_a | ({bug} & job_control__idle); \1free_a)",
        "orders", r"must come to its end|at most two beats",
    ),
    # Control.
    "a reserved bit is kept": (
        r"29'h0+, interrupt_enable_flags,",
        "28'h0, {bug} & interrupt_enable_flags, interrupt_enable_flags,",
        "access", r"interrupt_enable must be 0x\d, not 0x[8-f]; after writing",
    ),
    "what waits of the next B is lost when a job ends": (
        r"(\w+ skid_b \((?:\n.*?)*?\.rst\()(\w+)\)",
        r"\1\2 | ({bug} & job_control__finished))",
        "back_to_back", r"irq must come",
    ),
    "a B that serves again is waited for": (
        r"(\w+ path \((?:\n.*?)*?\.job__reuse\()(\w+)\)", r"\1\2 & ~{bug})",
        "kept_b", r"must come to its end",
    ),
    "a B serves again only where A waits": (
        r"(assign is_kept = )(.*);", r"\1(\2) & ~({bug} & ~engine.path__a__valid);",
        "mixtures/pattern=bursts", r"must come to its end",
    ),
    "the largest M is refused": (
        r"(\w+ job_control \((?:\n.*?)*?\.m\()(\w+)\)", r"\1({bug} & (&\2[19:0])) ? 32'h0 : \2)",
        "limits_accepted", r"M = 1048575, N = 1 is allowed",
    ),
    "N is cut to twenty bits": (
        r"(\w+ job_control \((?:\n.*?)*?\.n\()(\w+)\)", r"\1{bug} ? {{12'h0, \2[19:0]}} : \2)",
        "refused", r"error must be 0x1, not 0x\w+; M, N, K 1, ",
    ),
    "a start beside an abort starts": (
        r"(assign \w+ = ~ )(registers__control_abort);", r"\1(\2 & ~{bug});",
        "commands_at_once", r"status must be 0x1, .*outside a job",
    ),
    "a byte without a strobe is written": (
        r"( \? )(bus__wstrb)", r"\1(\2 | {{3'h0, {bug}}})",
        "strobes", r"strobe|no start",
    ),
    "what is no register can be written": (
        r"(write_refused)( \? 2'h2)", r"(\1 & ~{bug})\2",
        "addresses", r"must be answered SLVERR",
    ),
    "a read waits for a response of a write": (
        r"(assign bus__arready = )", r"\1~({bug} & bus__bvalid) & ",
        "bus_orders", r"an access to n must be answered",
    ),
    "a write alone is answered": (
        r"(assign \w+ = has_address )& has_data;", r"\1& (has_data | {bug});",
        "bus_orders", r"must",
    ),
    "an interrupt ignores its mask": (
        r"(interrupt_status_error_held) & (\w+interrupt_enable_error)",
        r"\1 & (\2 | {bug})",
        "interrupts", r"irq must be",
    ),
    "clearing wins over setting": (
        r"(\w+ \| interrupt_status_done);", r"(\1) & ~({bug} & writes_interrupt_status);",
        "clears", r"in the cycle of a clearing must be seen",
    ),
    "a job is done before its last beat is taken": (
        r"(= m_axis_c_tvalid & )m_axis_c_tready;", r"\1(m_axis_c_tready | {bug});",
        "done_when_taken", r"the last beat waits",
    ),
    "an open packet of A is not seen": (
        r"\.status_a_open\(a_open\)", r".status_a_open(a_open & ~{bug})",
        "stalls_counted", r"status must be",
    ),
    "the counter of cycles stops": (
        r"(\.cycles_counts\()(\w+)\)", r"\1\2 & ~({bug} & counters__cycles_low[6]))",
        "full_memories", r"cycles must be from",
    ),
    "stalls are counted by each other's counters": (
        r"(\.stall_a_counts\()(\w+)\)", r"\1{bug} ? counters__stall_b_counts : \2)",
        "stalls_counted", r"alone must grow",
    ),
    "a step takes four cycles": (
        r"(assign sequencer__o__ready = )(\w+ \| array__i__ready);",
        r"\1(\2) & ~({bug} & (engine.counters__cycles_low[1:0] != 0));",
        "throughput", r"cycles must be at most",
    ),
    # Errors, resets.
    "an error clears itself when it is read": (
        r"(error_a_early_held <= )(\w+);", r"\1\2 & ~({bug} & reads);",
        "faults/name=a_early", r"error must be",
    ),
    "soft reset clears an error": (
        r"(error_b_late_held <= )(\w+);", r"\1\2 & ~({bug} & control_soft_reset);",
        "faults/name=b_late", r"an error survives soft reset",
    ),
    "an overrun is not reported": (
        r"(\.error_overrun\()(\w+)\)", r"\1\2 & ~{bug})",
        "overruns", r"error must be 0x4",
    ),
    "a failed job ends with a whole beat": (
        r"(ending \? )(8'h0f)", r"\1({bug} ? 8'hff : \2)",
        "faults/name=b_early", r"whole beats must come before the end",
    ),
    "a B that is forgotten serves again": (
        r"(assign is_kept = )", r"\1{bug} | ",
        "forgotten_b", r"error must be 0x2",
    ),
    "an abort while a job is checked is lost": (
        r"(\.abort\()(\w+)\)", r"\1\2 & ~({bug} & ~job_control__run))",
        "aborts", r"must come to its end",
    ),
    "the end of C that waits is not known": (
        r"(has_end <= )(\w+);", r"\1\2 & ~{bug};",
        "abort_at_the_end", r"must send one packet, not two",
    ),
    "soft reset leaves a word of A": (
        r"(\w+ skid_a \((?:\n.*?)*?\.rst\()(\w+)\)", r"\1{bug} ? rst : \2)",
        "soft_resets", r"must",
    ),
    "soft reset leaves a beat of C": (
        r"(\w+ skid_c \((?:\n.*?)*?\.rst\()(\w+)\)", r"\1{bug} ? rst : \2)",
        "soft_resets", r"a soft reset the engine is idle|withdrawn",
    ),
    "reset leaves a beat of C": (
        r"(\w+ skid_c \((?:\n.*?)*?\.rst\()(.*)\)", r"\1(\2) & ~({bug} & rst))",
        "hard_resets", r"valid is up after a reset",
    ),
}  # fmt: skip
"""Edits by what they do: pattern, replacement, the test that must fail, and what it must say."""


HANG = (
    r"(\w+ job\w* \((?:\n.*?)*?\.k\()(\w+)\)",
    (
        "reg turns = 0; /* verilator lint_off BLKSEQ */ "
        "always @(posedge clk) while ({bug}) turns = ~turns; /* verilator lint_on BLKSEQ */ "
        r"\1\2 + turns)"
    ),
)
"""A simulation that never ends."""


@cache
def _made() -> Planted:
    """Plant every bug in one text."""
    edits = {name: (pattern, new) for name, (pattern, new, _, _) in BUGS.items()}
    return planted.asleep(CONFIG, text=edits | {"hang": HANG})


def test_nothing_is_caught_while_bugs_sleep() -> None:
    """Every test that must fail with a bug passes without one."""
    tests = sorted({test for _, _, test, _ in BUGS.values()} | set(MANIFESTS))
    summary = run_testbench(_made(), seed=1, tests=tests)
    assert summary.tests == summary.passed >= len(tests)


def test_every_engine_bug_is_caught() -> None:
    """The testbench that passes the engine fails with each bug, and says what is wrong."""
    cases = {name: (test, found) for name, (_, _, test, found) in BUGS.items()}
    assert planted.missed(_made(), cases) == {}


MANIFESTS: dict[str, tuple[dict[str, object], str]] = {
    "latency": ({"latency": 1}, "latency must be 1 cycles, as the manifest states"),
    "reset_values": ({"digest": "0123456789abcdef"}, "digest_low must be 0x89abcdef"),
    "shapes": ({"output": "bf16"}, "byte|must have"),
}
"""Wrong manifests by the test that must fail: what they state, and what it must say."""

CAUGHT = {test.split("/")[0] for _, _, test, _ in BUGS.values()} | set(MANIFESTS)
"""Tests of the testbench that a planted bug makes fail: test_verification_plan.py asks for all."""


@pytest.mark.parametrize("test", MANIFESTS)
def test_engine_with_another_manifest_is_caught(test: str) -> None:
    """What the manifest says is not believed."""
    changes, found = MANIFESTS[test]
    with pytest.raises(TestbenchError, match=found):
        run_testbench(planted.with_manifest(_made(), **changes), seed=1, tests=test)


@pytest.mark.nightly  # it spins until its limit of eight seconds
def test_hung_simulation_names_itself() -> None:
    """A simulation that never ends is ended, and its test is named."""
    made = _made()
    hung = r"(?s)must end, not stop in test shapes at.*engine did not end within 8 s.*--test sh"
    with pytest.raises(TestbenchError, match=hung):
        run_testbench(made, seed=1, tests="shapes", plusargs=[made.wake("hang")], limit=8)


def test_engine_scoreboard_refuses_to_compare_nothing() -> None:
    """A test without a good job does not pass."""
    with pytest.raises(ScoreboardError, match="at least one beat of a good job must be compared"):
        PacketBoard(8, 4).finish()
