"""Flows on circuits whose cost is known by hand, and the cache."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from amxfp4.params.dot import DotConfig
from amxfp4.synth.flow import programs, results, targets, utilization
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import SynthesisError, run
from amxfp4.synth.flow.targets import TARGETS, fill
from amxfp4.synth.gates import graph
from amxfp4.synth.gates.cells import read as read_cells
from amxfp4.util import process
from amxfp4.verif.tests.synth.circuits import (
    AND4,
    BOTH,
    ENABLED,
    FULL_ADDER,
    MULTIPLIER,
    NAND,
    REGISTER,
    WIRES,
    circuit,
    library,
)  # fmt: skip

FPGAS = ("xilinx", "ecp5", "ice40", "gowin")
TINY = Path(__file__).parents[1] / "tiny.lib"


def figures(row, *names):
    """Figures of a row, by name."""
    return {name: getattr(row, name) for name in names}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Folder of builds that tests share: each circuit is synthesized once."""
    return tmp_path_factory.mktemp("flows")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Library of known areas and delays."""
    return library(tmp_path_factory.mktemp("tiny") / "tiny.lib")


# Transistors: a NAND and a NOR have 4, a flip-flop 16. Two NANDs and a NOR make an AND of four.
GENERIC = [
    (NAND, {"transistors": 4, "ff": 0, "depth": 1}),
    (AND4, {"transistors": 12, "ff": 0, "depth": 2}),
    (REGISTER, {"transistors": 8 * 16, "ff": 8, "depth": 0}),
    (WIRES, {"transistors": 0, "ff": 0, "depth": 0}),
]


@pytest.mark.parametrize(
    ("verilog", "expected"), GENERIC, ids=["nand", "and4", "register", "wires"]
)
def test_generic_known(verilog, expected, build):
    assert figures(run(circuit(verilog), build), *expected) == expected


def test_generic_enable_becomes_gates(build):
    """A flip-flop with an enable is one without, and eight multiplexers."""
    row = run(circuit(ENABLED), build)
    assert row.ff == 8
    assert row.transistors > 8 * 16 + 8 * 4


def test_generic_full_adder(build):
    """At most what the textbook has: two XORs of 12 and three NANDs of 4."""
    row = run(circuit(FULL_ADDER), build)
    assert 24 <= row.transistors <= 36 + 4
    assert row.depth in (2, 3)


@pytest.mark.parametrize("script", targets.ABC_SCRIPTS)
def test_generic_every_script(script, build):
    """Each is a circuit of its own in the cache, under its name."""
    row = run(circuit(AND4, script=script), build)
    assert row.script == script
    assert 10 <= row.transistors <= 14


# By the tiny library: NAND2 3 (the gate equivalent), NOR2 4, DFF 10. A gate takes 90 ps, and 10 ps
# for each input that it drives.
LIBERTY = [
    (NAND, {"area_um2": 3.0, "ge": 1.0, "ff": 0, "depth": 1, "delay_ps": 90.0}),
    (AND4, {"area_um2": 10.0, "ge": 3.3, "ff": 0, "depth": 2, "delay_ps": 190.0}),
    (REGISTER, {"area_um2": 80.0, "ge": 26.7, "ff": 8, "depth": 0, "delay_ps": 0.0}),
]


@pytest.mark.parametrize(("verilog", "expected"), LIBERTY, ids=["nand", "and4", "register"])
def test_liberty_known(verilog, expected, build, tiny):
    row = run(circuit(verilog, target="liberty", liberty=(tiny,)), build)
    assert figures(row, *expected) == pytest.approx(expected, abs=0.5)
    assert row.nand2_um2 == 3.0


def test_liberty_constraint_adds_delay(build, tiny, tmp_path):
    """A load of 5 fF at the output: 140 ps instead of 90."""
    constraint = tmp_path / "constraint"
    constraint.write_text("set_driving_cell BUF\nset_load 5\n")
    jobs = [
        circuit(NAND, target="liberty", liberty=(tiny,), **options)
        for options in ({}, {"constraint": constraint}, {"delay_ps": 500})
    ]
    rows = [run(job, build) for job in jobs]
    assert len({row.key for row in rows}) == 3
    assert [row.script for row in rows] == ["fast", "fast with constraint", "fast for 500 ps"]
    assert rows[1].delay_ps >= rows[0].delay_ps + 50 - 0.5


# Yosys reads seven seconds of cell models for Xilinx, and does then what it does for the others.
@pytest.mark.parametrize("target", [pytest.param("xilinx", marks=pytest.mark.nightly), *FPGAS[1:]])
def test_fpga_known(target, build):
    """A LUT and a flip-flop for each bit of a sum, and one block for a product of eight bits."""
    row = run(circuit(BOTH, target=target, dsp=True), build)
    expected = {"lut": 2, "carry": 0, "ff": 2, "dsp_blocks": 1, "depth": 1}
    assert figures(row, *expected) == expected
    assert row.dsp


def test_fpga_logic_only_has_no_dsp(build):
    """Without --dsp a product is logic, its carries counted as ECP5's LUTs."""
    row = run(circuit(MULTIPLIER, target="ecp5"), build)
    assert row.dsp_blocks == 0
    assert row.lut > 64
    assert row.lut_equivalent == row.lut + 2 * row.carry


def test_fpga_area_takes_fewer_luts(build):
    rows = [run(circuit(MULTIPLIER, target="ecp5", script=s), build) for s in ("default", "area")]
    assert rows[1].lut < rows[0].lut


def netlist_of(folder, cells):
    """Write down what Yosys says of a netlist of `cells`."""
    (folder / "depth.txt").write_text("Longest topological path in x (length=7):\n")
    (folder / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": cells}}))


# Cells; then LUTs, carries, flip-flops, DSP blocks, memories, and all that takes a LUT.
COUNTS = [
    (
        utilization.XILINX,
        {"LUT1": 1, "LUT6": 2, "INV": 3, "CARRY4": 4, "MUXF7": 5, "FDRE": 6, "FDSE": 7,
         "DSP48E2": 8, "RAM32M16": 9, "RAMB18E2": 10, "SRL16E": 11, "BUFG": 12},
        (3, 4, 13, 8, 19, 3 + 3 + 9 * 8 + 11),
    ),
    (
        utilization.ECP5,
        {"LUT4": 1, "CCU2C": 2, "PFUMX": 3, "L6MUX21": 4, "TRELLIS_FF": 5, "MULT18X18D": 6,
         "TRELLIS_DPR16X4": 7, "DP16KD": 8},
        (1, 2, 5, 6, 15, 1 + 2 * 2 + 7 * 4),
    ),
    (
        utilization.ICE40,
        {"SB_LUT4": 1, "SB_CARRY": 2, "SB_DFF": 3, "SB_DFFESR": 4, "SB_MAC16": 5,
         "SB_RAM40_4K": 6},
        (1, 2, 7, 5, 6, 1),
    ),
    (
        utilization.GOWIN,
        {"LUT1": 1, "LUT4": 2, "ALU": 3, "MUX2_LUT5": 4, "DFFE": 5, "DFFRE": 6, "MULT9X9": 7,
         "RAM16SDP4": 8, "SDPX9B": 9, "GND": 1, "VCC": 1},
        (3, 3, 11, 7, 17, 3 + 3 + 8 * 4),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "cells", "expected"), COUNTS, ids=FPGAS)
def test_fpga_counts(family, cells, expected, tmp_path):
    """One of each kind of cell; one of a kind that nobody counts is an error, not a zero."""
    netlist_of(tmp_path, cells)
    names = ("lut", "carry", "ff", "dsp_blocks", "ram", "lut_equivalent")
    assert family.read(tmp_path) == {**dict(zip(names, expected, strict=True)), "depth": 7}
    netlist_of(tmp_path, {**cells, "MYSTERY": 1})
    with pytest.raises(ValueError, match=r"^cells must be of known types, not MYSTERY$"):
        family.read(tmp_path)


# ---- The cache. ----


def no_yosys(*_):
    pytest.fail("Yosys ran")


def test_cache_hit_runs_nothing(build, monkeypatch):
    row = run(circuit(NAND), build)
    monkeypatch.setattr(targets, "yosys", no_yosys)
    assert run(circuit(NAND), build) == row
    with pytest.raises(pytest.fail.Exception, match="Yosys ran"):
        run(circuit(NAND), build, again=True)


def test_cache_two_at_once(tmp_path, monkeypatch):
    """Two processes with one job: one of them synthesizes, the other waits for it."""
    runs = tmp_path / "runs"

    def counted(script, folder):
        with runs.open("a") as file:
            file.write("x")
        programs.yosys(script, folder)

    monkeypatch.setattr(targets, "yosys", counted)
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=run, args=(circuit(NAND), tmp_path)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    assert runs.read_text() == "x"


def test_cache_shares_a_circuit(build, monkeypatch):
    """A component that two configurations have in common has two rows and one synthesis."""
    jobs = [
        Job(config=DotConfig(lanes=1, acc=acc), component="class_sums") for acc in ("exact", "fp32")
    ]
    first = run(jobs[0], build)
    monkeypatch.setattr(targets, "yosys", no_yosys)
    second = run(jobs[1], build)
    assert jobs[0].folder(build) == jobs[1].folder(build)
    assert (first.transistors, first.acc) == (second.transistors, "exact")
    assert second.acc == "fp32"
    keys = {row.key for row in results.read(build)}
    assert {first.key, second.key} <= keys


def test_changes_miss_the_cache(build, tiny, tmp_path, monkeypatch):
    """RTL text, script, target, options, library and tool versions decide where results are."""
    other = library(tmp_path / "other.lib")
    other.write_text(other.read_text().replace("area : 3", "area : 3.5"))
    copy = library(tmp_path / "copy.lib")
    lib = {"target": "liberty", "liberty": (tiny,)}
    jobs = [
        circuit(NAND), circuit(AND4), circuit(NAND, script="area"), circuit(NAND, target="ecp5"),
        circuit(NAND, target="ecp5", dsp=True), circuit(NAND, **lib),
        circuit(NAND, target="liberty", liberty=(other,)), circuit(NAND, **lib, delay_ps=100),
    ]  # fmt: skip
    circuits = {job.circuit for job in jobs}
    assert len(circuits) == len(jobs)
    # Where a library lies does not matter.
    assert circuit(NAND, target="liberty", liberty=(copy,)).circuit in circuits
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    assert circuit(NAND).circuit not in circuits


def test_script_runs_by_hand(build, tmp_path):
    """In a copy of the job's folder the script makes the same statistics again."""
    job = circuit(AND4)
    run(job, build)
    for name in ("design.v", "script.ys"):
        (tmp_path / name).write_bytes((job.folder(build) / name).read_bytes())
    programs.yosys("script.ys", tmp_path)
    assert (tmp_path / "stat.json").read_text() == (job.folder(build) / "stat.json").read_text()
    assert "@" not in (tmp_path / "script.ys").read_text()


@pytest.mark.parametrize("target", ["generic", "liberty", "ecp5"])
def test_folders_may_have_blanks(target, tmp_path):
    """That of builds and that of a library, for Yosys, ABC and the reader of netlists."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    cells = folder / "some cells.lib"
    cells.write_bytes(TINY.read_bytes())
    liberty = (cells,) if target == "liberty" else ()
    job = circuit(FULL_ADDER, target=target, liberty=liberty)
    assert run(job, folder / "of builds").depth >= 1
    if liberty:
        netlist = job.folder(folder / "of builds") / "netlist.v"
        assert graph.load(netlist, "adder", read_cells(liberty), liberty).size >= 5


def test_blanks_would_be_seen(tmp_path, monkeypatch):
    """That the test above can fail: ABC is called without quotes around its temporary folder."""
    whole = process.run

    def absolute(command, *, cwd, env, **how):
        return whole(command, cwd=cwd, env={**env, "TMPDIR": str(cwd / "tmp")}, **how)

    monkeypatch.setattr(process, "run", absolute)
    with pytest.raises(SynthesisError, match="ABC output file"):
        run(circuit(FULL_ADDER), tmp_path / "a folder")


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_scripts_name_nothing_unknown(target):
    with pytest.raises(KeyError):
        fill(target.script, {})
