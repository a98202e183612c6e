"""The gate equivalent of a library, and timing read from OpenSTA."""

from __future__ import annotations

import json
import os
import re

import pytest

from amxfp4.synth.flow import liberty
from amxfp4.synth.flow.liberty import summarize
from amxfp4.synth.flow.run import run
from amxfp4.verif.tests.synth.circuits import (
    FULL_ADDER,
    GATES,
    INVERTER,
    NAND2,
    REGISTERED,
    cell,
    circuit,
    library,
)

REAL = liberty.from_environment()


@pytest.mark.parametrize(
    "function", ["!(A & B)", "(A * B)'", "!A | !B", "!(A B)", "(!A) + (!B)", "!(!(!A + !B))"]
)
def test_nand2_by_function(function, tmp_path):
    """However it is written and called."""
    found = summarize([library(tmp_path / "x.lib", GATES + cell("XYZ", 3.25, function))])
    assert (found.nand2, found.nand2_area) == ("XYZ", 3.25)
    assert found.registers == {"DFF": {"Q"}}


def test_nand2_smallest_of_all_files(tmp_path):
    """Not the one that must not be used, not one of three inputs, not another gate."""
    cells = (
        cell("BIG", 5, "!(A & B)") + cell("BANNED", 1, "!(A & B)", "dont_use : true;")
        + cell("NAND3", 2, "!(A & B & C)") + cell("AND2", 1, "A & B") + cell("NOR", 1, "!(A | B)")
        + cell("CONSTANT", 0.5, "!(A & B & 0)")
    )  # fmt: skip
    files = [
        library(tmp_path / "a.lib", cells),
        library(tmp_path / "b.lib", cell("S", 4, "!(A B)")),
    ]
    assert (summarize(files).nand2, summarize(files).nand2_area) == ("S", 4)
    assert summarize(files[:1]).nand2 == "BIG"


def test_library_without_nand2(tmp_path):
    path = library(tmp_path / "x.lib", INVERTER)
    with pytest.raises(ValueError, match=r"^liberty must have a two-input NAND.*, not x\.lib$"):
        summarize([path])


def test_library_that_is_none(tmp_path):
    path = tmp_path / "x.lib"
    with pytest.raises(ValueError, match=r"^liberty must be a Liberty file, not '.*' \(No su"):
        summarize([path])
    path.write_text("library (x) { cell (y) {")
    with pytest.raises(ValueError, match=r"^liberty must be a Liberty file, not '.*x\.lib' \("):
        summarize([path])


SAID = """worst slack -250.00
Startpoint: _12_ (rising edge-triggered flip-flop clocked by clk)
Endpoint: o__payload[3] (output port clocked by clk)
"""
NETLIST = r"""module top(clk, o__payload);
  DFF _11_ (
    .C(clk),
    .D(_03_),
    .Q(\wrong.one )
  );
  DFF _12_ (
    .C(clk),
    .D(\other.signal [3]),
    .Q(\adder$7.sum[3] )
  );
endmodule
"""


@pytest.mark.parametrize("newer", [False, True], ids=["2.0", "newer"])
def test_opensta_is_read(newer, tmp_path):
    """Two versions of its words; the register by what it holds; 1000 ps missed by 250."""
    said = SAID.replace("slack", "slack max") if newer else SAID
    (tmp_path / liberty.TIMING).write_text(said)
    (tmp_path / "timing.v").write_text(NETLIST)
    (tmp_path / "stat.json").write_text(
        json.dumps({"design": {"area": 6.0, "num_cells_by_type": {"DFF": 2, "NAND2": 1}}})
    )
    (tmp_path / "log.txt").write_text(
        "ABC: netlist : i/o = 1/1 lev = 3\nABC: Area = 1 Delay =   75.50 ps ( 1 %)\n"
    )
    paths = [library(tmp_path / "x.lib")]
    figures = liberty.read(tmp_path, paths)
    assert figures == {
        "area_um2": 6.0, "nand2_um2": 3.0, "ge": 2.0, "ff": 2, "depth": 3, "delay_ps": 75.5,
        "fmax_mhz": 800.0, "critical_path": "adder.sum -> o__payload",
    }  # fmt: skip
    # Modules that ABC saw one by one have no delay together.
    apart = liberty.read(tmp_path, paths, flat=False)
    assert (apart["depth"], apart["delay_ps"]) == (None, None)


def test_without_opensta_no_frequency(tmp_path, monkeypatch):
    monkeypatch.setattr(liberty, "opensta", lambda: None)
    job = circuit(FULL_ADDER, target="liberty", liberty=(library(tmp_path / "x.lib"),))
    row = run(job, tmp_path)
    assert row.fmax_mhz is None
    assert "opensta" not in row.tools


@pytest.mark.skipif(liberty.opensta() is None, reason="OpenSTA is not installed")
def test_opensta_runs(tmp_path):
    """From port to port as long as ABC says, or longer: it knows what a slow edge does."""
    job = circuit(FULL_ADDER, target="liberty", liberty=(library(tmp_path / "x.lib"),))
    row = run(job, tmp_path)
    assert row.fmax_mhz is not None
    assert 1e6 / row.fmax_mhz >= row.delay_ps * 0.99
    assert re.fullmatch(r"[abc] -> s", row.critical_path)
    assert row.tools["opensta"] == liberty.opensta()


@pytest.mark.skipif(not REAL, reason="set LIBERTY to the files of a library")
@pytest.mark.parametrize("script", ["fast", "area", "default"])
def test_real_library(script, tmp_path):
    """A user's library has a gate equivalent, flip-flops and delays."""
    job = circuit(REGISTERED, target="liberty", liberty=REAL, script=script)
    row = run(job, tmp_path)
    assert row.ff == 2
    assert row.ge == pytest.approx(row.area_um2 / row.nand2_um2, abs=0.1)
    # Two flip-flops of four gates or more each, and a full adder of nine at most.
    assert 12 < row.ge < 40
    assert row.delay_ps > 0


@pytest.mark.parametrize("between", [" ", os.pathsep, "  "])
def test_library_named_by_the_environment(between, monkeypatch):
    """As make writes several files, and as in PATH."""
    monkeypatch.setenv("LIBERTY", between.join(["a.lib", "b/c.lib"]))
    assert [str(path) for path in liberty.from_environment()] == ["a.lib", "b/c.lib"]
    monkeypatch.delenv("LIBERTY")
    assert liberty.from_environment() == ()


def test_helpers_are_what_they_say(tmp_path):
    assert summarize([library(tmp_path / "x.lib", GATES + NAND2)]).nand2 == "NAND2"
