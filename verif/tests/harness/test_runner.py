"""The runner of cocotb testbenches: what decides a run, what it leaves, and how it is repeated."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from amxfp4.cli.app import run as command_line
from amxfp4.verif.check import planted
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.sources import Source
from amxfp4.verif.tests.harness.faulty import DEQUANTIZER, faulty

FOREIGN = {
    "AMXFP4_MANIFEST": "/nowhere",
    "AMXFP4_REPORT": "/nowhere",
    "COCOTB_RANDOM_SEED": "99",
    "COCOTB_RESULTS_FILE": "/nowhere",
    "COCOTB_TESTCASE": "smoke",
    "COCOTB_TEST_FILTER": "smoke",
    "COCOTB_TEST_MODULES": "amxfp4.verif.sim.cocotb.tb_products",
    "COCOTB_TOPLEVEL": "quantizer",
    "GPI_USERS": "nothing",
    "MODULE": "tb_products",
    "PYTEST_ADDOPTS": "--collect-only",
    "PYTHONOPTIMIZE": "2",
    "RANDOM_SEED": "99",
    "TESTCASE": "smoke",
    "TOPLEVEL": "quantizer",
    "WAVES": "1",
}
"""What a shell may hold for other simulations."""


def _coverage(seed: int) -> Any:
    """Coverage of some tests, in which every word that was drawn is counted."""
    summary = run_testbench(
        faulty("dequantizer"), seed=seed, tests=["back_to_back", "reset_in_flight"]
    )
    assert summary.tests == 2
    assert summary.waves is None
    return json.loads((summary.log.parent / "passed.json").read_text())


def test_shell_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chosen tests run with the chosen seed, whatever cocotb's variables are outside."""
    chosen = _coverage(1)
    assert chosen != _coverage(99)
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    assert _coverage(1) == chosen


def test_missing_test_is_an_error() -> None:
    """A name that stands for no test is not passed over beside one that does."""
    with pytest.raises(TestbenchError, match=r"every one of 2 tests must run .* not 1 of 1 with"):
        run_testbench(faulty("dequantizer"), seed=1, tests=["smoke", "smok"])


@pytest.mark.nightly  # compiles a unit once more, with waves
def test_failed_test_is_repeated_with_waves(capfd: pytest.CaptureFixture[str]) -> None:
    """A failure prints a command; with the same unit, test and seed it fails alike, with waves."""
    made = planted.asleep(DEQUANTIZER, wires={"dropped": planted.WRAPPERS["beat dropped"]})
    bug = Source(made.text.replace("bug = 0;", "bug = 1;"), made.manifest)
    with pytest.raises(TestbenchError, match="1 of 2 tests of dequantizer failed") as first:
        run_testbench(bug, seed=7, tests=["smoke", "back_to_back"])
    problem = str(first.value).splitlines()[1]
    command = re.search(r"repeat with waves: (.*)", str(first.value))
    assert command is not None
    program, *arguments = shlex.split(command[1])
    assert Path(program).name == "amxfp4"
    assert arguments[2:] == ["--test", "back_to_back", "--seed", "7", "--waves"]
    assert command_line(arguments) == 1
    printed = capfd.readouterr().out
    assert problem in printed
    waves = re.search(r"waves: (.*)", printed)
    assert waves is not None
    recorded = Path(waves[1]).read_text()
    assert "$enddefinitions" in recorded
    assert re.search(r"\$var wire +\d+ \S+ i__payload ", recorded)
    assert re.search(r"^#\d{3}", recorded, re.M), "time must pass"


def test_missed_bugs_are_named() -> None:
    """A bug that a test does not see, beside one that is caught, and one of another reason."""
    cases = {
        "payload changes under stall": ("throughput", "."),
        "bubble": ("throughput", "must move"),
        "NaN as infinity": ("special_blocks", "no such reason"),
    }
    missed = planted.missed(faulty("quantizer"), cases)
    assert list(missed) == ["payload changes under stall", "NaN as infinity"]
    assert missed["payload changes under stall"] == ""
    assert "must be 0x" in missed["NaN as infinity"]
    missed = planted.missed(faulty("quantizer"), dict(list(cases.items())[:1]))
    assert missed == {"payload changes under stall": ""}
