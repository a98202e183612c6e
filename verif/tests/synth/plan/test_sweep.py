"""Sweeps: what is done is kept, what is missing runs, what fails is reported and stops nothing."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed
import psutil
import pytest

from amxfp4 import cli
from amxfp4.params.dot import DotConfig
from amxfp4.synth.flow import results
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import run
from amxfp4.synth.plan import plan_file, workers
from amxfp4.synth.plan.sweep import Sweep
from amxfp4.synth.plan.workers import Workers
from amxfp4.util import files

pytestmark = pytest.mark.usefixtures("no_library")

PLAN = """
title = "Small"
[lists.sums]
title = "Sums"
picture = "pareto"
[[lists.sums.entries]]
label = "sums"
unit = "dot"
component = "class_sums"
options = { lanes = [1, 2] }
"""

SLOWER = """
[lists.units]
[[lists.units.entries]]
label = "dequantizer"
unit = "dequantizer"
options = { lanes = 1, block = 16 }
[[lists.units.entries]]
label = "dot"
unit = "dot"
options = { lanes = 1, block = 16, format_a = "mxfp4", format_b = "mxfp4" }
"""
"""A short job, and one whose Yosys takes longer than it takes to end a sweep."""


def write(folder: Path, text: str) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


def call(*arguments: object) -> int:
    return cli.run([*map(str, arguments), "--workers", "1"])


def ran(build: Path) -> dict[str, int]:
    """When each job's result was made, by key: a job that runs again is another."""
    return {path.parent.name: path.stat().st_mtime_ns for path in build.glob("synth/*/result.json")}


def rows(build: Path) -> list[dict[str, str]]:
    with (build / results.FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def test_small_plan_end_to_end(tmp_path, capfd):
    """Tables on the terminal, rows in the CSV file, a page; the second call does nothing."""
    path, build = write(tmp_path, PLAN), tmp_path / "build"
    assert call("cost", path, "--build", build) == 0
    printed = capfd.readouterr()
    assert re.search(r"^circuit .*T in all.*\nsums \[lanes=1\] +MAC +[\d,]+", printed.out, re.M)
    assert "2 jobs, 0 known before, 0 failed; wrote" in printed.out
    assert "2/2 sums [lanes=" in printed.err
    first = ran(build)
    assert len(first) == 2
    assert {row["lanes"] for row in rows(build)} == {"1", "2"}
    assert all(int(row["transistors"]) > 0 for row in rows(build))
    page = build / "reports" / "small.html"
    assert page.read_text().count("<svg") == 1
    assert call("cost", path, "--build", build) == 0
    assert "2 jobs, 2 known before, 0 failed" in capfd.readouterr().out
    assert ran(build) == first
    assert call("cost", path, "--build", build, "--again") == 0
    assert {key for key, when in ran(build).items() if when == first[key]} == set()


@pytest.mark.nightly  # by day a whole plan runs again
def test_only_what_is_missing_runs(tmp_path, capfd):
    path, build = write(tmp_path, PLAN), tmp_path / "build"
    for job in plan_file.load(path).jobs:
        run(job, build)
    first = ran(build)
    path.write_text(PLAN.replace("[1, 2]", "[1, 2, 3, 4]"))
    assert call("sweep", path, "--build", build) == 0
    printed = capfd.readouterr().out
    assert "skipped: sums [lanes=3]: lanes must be a power of two" in printed
    assert "3 jobs, 2 known before, 0 failed" in printed
    second = ran(build)
    assert second.items() > first.items()
    assert len(second) == len(rows(build)) == 3


def test_changed_hardware_is_not_taken_for_known(tmp_path, monkeypatch):
    """What decides results is in the fingerprint; without it nothing is known."""
    job, build = Job(config=DotConfig(lanes=1), component="class_sums"), tmp_path
    run(job, build)
    assert [outcome.job for outcome in Sweep([job], build).done] == [job]
    assert Sweep([job], build, again=True).done == []
    other = Job(config=DotConfig(lanes=1, class_sums="masked"), component="class_sums")
    assert Sweep([other], build).done == []
    monkeypatch.setattr("amxfp4.synth.flow.job.sources", lambda: "other hardware")
    assert Sweep([job], build).done == []


def test_changed_cells_are_not_taken_for_known(tmp_path):
    """Nor are other tools, or cells under another name in the same file."""
    cells = tmp_path / "cells.lib"
    cells.write_text("library(a) {}")
    job = Job(config=DotConfig(lanes=1), target="liberty", liberty=(cells,))
    first = job.fingerprint
    assert first == job.fingerprint
    cells.write_text("library(b) { }")
    assert job.fingerprint not in (first, None)
    cells.unlink()
    assert job.fingerprint is None


def plant_failure(build: Path, lanes: int) -> None:
    """Make the job of so many lanes fail, by a file where its folder should be."""
    job = Job(config=DotConfig(lanes=lanes), component="class_sums")
    files.write(job.folder(build), "in the way")


def remove_failure(build: Path, lanes: int) -> None:
    """Undo `plant_failure`."""
    Job(config=DotConfig(lanes=lanes), component="class_sums").folder(build).unlink()


def test_failed_job_is_reported_and_stops_nothing(tmp_path, capfd):
    """Exit code 1, its log, and all other results; the next call tries it again."""
    path, build = write(tmp_path, PLAN), tmp_path / "build"
    plant_failure(build, 1)
    assert call("cost", path, "--build", build) == 1
    printed = capfd.readouterr()
    assert "2 jobs, 0 known before, 1 failed" in printed.out
    assert re.search(r"^failed: sums \[lanes=1\] for generic: .*Not a directory", printed.err, re.M)
    (log,) = re.findall(r"^  log: (.*)$", printed.err, re.M)
    assert "NotADirectoryError" in Path(log).read_text()
    found = {row["lanes"]: row for row in rows(build)}
    assert found["1"]["transistors"] == "" != found["2"]["transistors"]
    assert "Not a directory" in found["1"]["error"]
    assert found["2"]["error"] == ""
    page = (build / "reports" / "small.html").read_text()
    assert "sums [lanes=1] for generic" in page
    assert "NotADirectoryError" in page
    assert re.search(r"^sums \[lanes=1\] +- +-", printed.out, re.M)
    remove_failure(build, 1)
    assert call("cost", path, "--build", build) == 0
    assert "2 jobs, 1 known before, 0 failed" in capfd.readouterr().out
    assert [row["error"] for row in rows(build)] == ["", ""]


@pytest.mark.nightly  # by day a job that fails before Yosys
def test_yosys_that_fails_is_reported(tmp_path, capfd):
    """A real program's failure: a Liberty file that is none."""
    path, build = write(tmp_path, PLAN.replace("[1, 2]", "1")), tmp_path / "build"
    cells = tmp_path / "cells.lib"
    cells.write_text("this is no library\n")
    assert call("cost", path, "--build", build, "--liberty", cells) == 1
    printed = capfd.readouterr()
    assert "2 jobs, 0 known before, 1 failed" in printed.out
    assert "failed: sums for liberty: " in printed.err


@pytest.mark.parametrize("between", [" ", os.pathsep])
def test_libraries_of_the_environment(tmp_path, capfd, monkeypatch, between):
    """As make hands LIBERTY on; the files are looked at before any work."""
    monkeypatch.setenv("LIBERTY", between.join([__file__, "no.lib"]))
    assert call("cost", write(tmp_path, PLAN), "--build", tmp_path / "build") == 2
    assert "--liberty must be a file that can be read, not 'no.lib'" in capfd.readouterr().err


def test_nothing_but_failures_is_no_report(tmp_path, capfd):
    path, build = write(tmp_path, PLAN.replace("[1, 2]", "1")), tmp_path / "build"
    plant_failure(build, 1)
    assert call("sweep", path, "--build", build) == 1
    assert "nothing to report: all jobs failed, 1" in capfd.readouterr().err
    assert not (build / "reports" / "small.html").exists()


@pytest.mark.nightly  # by day one that is interrupted
def test_killed_worker_is_replaced(tmp_path):
    """Its job runs again in another; nothing is lost and nothing fails."""
    plan = plan_file.load(write(tmp_path, PLAN.replace("[1, 2]", "[1, 4]")))
    outcomes = []
    before = set(psutil.Process().children(recursive=True))
    for outcome in Sweep(plan.jobs, tmp_path).run(Workers(count=1)):
        outcomes.append(outcome)
        if len(outcomes) == 1:
            (pid,) = distributed.default_client().run(os.getpid).values()
            assert pid in {child.pid for child in psutil.Process().children()}
            os.kill(pid, signal.SIGKILL)
    assert [outcome.error for outcome in outcomes] == [""] * 2
    assert len(rows(tmp_path)) == 2
    assert_ended(set(psutil.Process().children(recursive=True)) - before)


def assert_ended(processes) -> None:
    """Wait for processes to end; multiprocessing keeps its helpers."""
    working = [p for p in processes if "tracker" not in " ".join(command_line(p))]
    _, alive = psutil.wait_procs(working, timeout=20)
    assert [command_line(p) for p in alive if p.is_running()] == []


def command_line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.cmdline()
    return []


def at_work(pid: int) -> list[psutil.Process]:
    """Wait until Yosys runs below a process, and list all that does."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        started = psutil.Process(pid).children(recursive=True)
        if any("libyosys" in " ".join(command_line(child)) for child in started):
            return started
        time.sleep(0.02)
    raise AssertionError("Yosys must run within 30 s")


@pytest.mark.parametrize(
    "whole_terminal",
    [True, pytest.param(False, marks=pytest.mark.nightly)],
    ids=["ctrl-c", "one process"],
)
def test_interrupted_sweep_goes_on(tmp_path, whole_terminal):
    """What was finished is kept, no program is left running, and the rest is done next time."""
    path, build = write(tmp_path, SLOWER), tmp_path / "build"
    command = [sys.executable, "-m", "amxfp4", "sweep", str(path), "--build", str(build)]
    process = subprocess.Popen(
        [*command, "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        line = process.stderr.readline()
        assert line.startswith("1/2 ")
        started = at_work(process.pid)
        (os.killpg if whole_terminal else os.kill)(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"^interrupted: 1 of 2 jobs done; the same command goes on", errors, re.M)
    assert "Traceback" not in errors
    assert_ended(started)
    first = ran(build)
    assert len(first) == len(rows(build)) == 1
    if whole_terminal:  # what is left behind is the same
        assert call("sweep", path, "--build", build) == 0
        assert ran(build).items() > first.items()
        assert len(rows(build)) == 2


def test_memory_of_programs_is_bounded():
    """What a worker starts may take so much and no more; before and after, as ever."""
    hungry = [sys.executable, "-c", "import mmap; mmap.mmap(-1, 3 << 30)"]
    with workers._bounded(1 << 30):
        done = subprocess.run(hungry, capture_output=True, text=True, check=False)
    assert "Cannot allocate memory" in done.stderr
    assert subprocess.run(hungry, check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "--workers must be at least 1, not 0"),
        (["--workers", "2", "--scheduler", "tcp://x:1"], "--workers must be left out with"),
        (["--memory", "much"], "--memory must be at least 1GiB, such as 4GiB, not 'much'"),
        (["--memory", "1MiB"], "--memory must be at least 1GiB"),
        (["--scheduler", "nowhere"], "--scheduler must be the address of a Dask scheduler, not"),
        (["--liberty", "no.lib"], "--liberty must be a file that can be read, not 'no.lib'"),
    ],
)
def test_wrong_options(tmp_path, capfd, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, PLAN)
    assert cli.run(["sweep", "small.toml", *options]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cost", "no.toml"], "PLAN must be a file that can be read, not 'no.toml' (No such file"),
        (["sweep", "small.toml"], "lanes must be a power of two"),
        (["cost", "small.toml"], "small.toml: lists.sums: entry 1 (sums): lanes must be a power"),
        (["sweep"], "PLAN is missing: a TOML file"),
    ],
)
def test_wrong_plans(tmp_path, capfd, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, PLAN.replace("[1, 2]", "3"))
    assert cli.run(arguments) == 2
    assert message in capfd.readouterr().err
