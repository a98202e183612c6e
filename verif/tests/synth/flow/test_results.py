"""Rows of results, and the file they are in."""

from __future__ import annotations

import contextlib
import csv
import multiprocessing
import re
from pathlib import Path

import pytest

import amxfp4
from amxfp4.gen.components import COMPONENTS
from amxfp4.params.dot import DotConfig
from amxfp4.synth.flow import results
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.results import FILE, RESULT, Row, columns
from amxfp4.synth.flow.run import run
from amxfp4.synth.flow.targets import ABC_SCRIPTS, TARGETS
from amxfp4.verif.tests.synth.circuits import AND4, NAND, circuit

ACCS = ("exact", "fp32")

ROW = Row(
    key="0123456789abcdef", unit="dot", digest="fedcba9876543210",
    options={"format_a": "amxfp4", "lanes": 4}, target="liberty", area_um2=12.5, ge=4.0, ff=0,
    delay_ps=1e3, critical_path='a, "b" -> c', macs_per_cycle=4, seconds=0.25,
    tools={"pyosys": "0.70"},
)  # fmt: skip


def table(build):
    with (build / FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def result(transistors):
    return {"figures": {"transistors": transistors}, "seconds": 0.5, "tools": {"pyosys": "0.70"}}


def test_rows_are_made_from_the_results_of_circuits(tmp_path):
    """Two jobs of one circuit are two rows; a newer result of a job takes the place of the old."""
    jobs = [Job(config=DotConfig(lanes=1, acc=acc), component="class_sums") for acc in ACCS]
    rows = [results.add(job, tmp_path, result(100)) for job in jobs]
    assert len(list(tmp_path.glob(f"synth/*/{RESULT}"))) == 1
    assert results.read(tmp_path) == rows
    assert [row.acc for row in rows] == [line["acc"] for line in table(tmp_path)] == list(ACCS)
    assert rows[0].max_blocks == 4096
    assert (rows[1].max_blocks, rows[1].format) == (None, None)
    newer = results.add(jobs[0], tmp_path, result(99))
    assert newer.transistors == 99
    assert {row.transistors for row in results.read(tmp_path)} == {99}
    assert results.known(tmp_path)[jobs[0].fingerprint] == newer


def test_a_failure_is_a_row_until_there_is_a_result(tmp_path):
    job = circuit(NAND)
    results.fail(job, tmp_path, "it broke")
    assert [(line["error"], line["transistors"]) for line in table(tmp_path)] == [("it broke", "")]
    assert run(job, tmp_path).error == ""
    assert [(line["error"], line["transistors"]) for line in table(tmp_path)] == [("", "4")]


def test_the_table_has_texts_and_numbers_and_gaps(tmp_path):
    """Texts with commas and quotes, truth values, and what is missing."""
    results.write_table(tmp_path / FILE, [ROW])
    (line,) = table(tmp_path)
    assert list(line) == columns(Row)
    wanted = {
        "format_a": "amxfp4", "lanes": "4", "rows": "", "dsp": "False", "area_um2": "12.5",
        "lut": "", "critical_path": ROW.critical_path, "tools": '{"pyosys": "0.70"}', "error": "",
    }  # fmt: skip
    assert {name: line[name] for name in wanted} == wanted


def test_no_folder_is_no_row(tmp_path):
    assert results.read(tmp_path / "build") == []


def _write(build, lanes):
    for acc in ACCS:
        job = Job(config=DotConfig(lanes=lanes, acc=acc), component="class_sums")
        results.add(job, build, result(lanes))


def test_concurrent_writers_lose_nothing(tmp_path):
    """Three processes add rows, of circuits that they share with nobody, to one table."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, 1 << n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    found = {(line["lanes"], line["acc"]) for line in table(tmp_path)}
    assert found == {(str(1 << n), acc) for n in range(3) for acc in ACCS}


def test_writers_without_the_lock_lose_rows(tmp_path, monkeypatch):
    """That the test above can fail: rows added between reading and writing are lost."""
    jobs = [circuit(text) for text in (NAND, AND4)]
    whole = results.write_table

    def late(path, rows):
        monkeypatch.setattr(results, "write_table", whole)
        monkeypatch.setattr("amxfp4.util.files.locked", contextlib.nullcontext)
        results.add(jobs[1], tmp_path, result(2))
        whole(path, rows)

    monkeypatch.setattr(results, "write_table", late)
    results.add(jobs[0], tmp_path, result(1))
    assert [line["transistors"] for line in table(tmp_path)] == ["1"]


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    results.write_table(tmp_path / FILE, [ROW])
    before = (tmp_path / FILE).read_text()
    with pytest.raises(AttributeError):
        results.write_table(tmp_path / FILE, [ROW, None])
    assert (tmp_path / FILE).read_text() == before
    assert [path.name for path in (tmp_path / FILE).parent.iterdir()] == ["results.csv"]


def test_per_mac():
    assert ROW.per_mac("ge") == 1.0
    assert ROW.per_mac("lut") is None
    with pytest.raises(ValueError, match=r"^metric must be one of key, .*, not 'luts'$"):
        ROW.per_mac("luts")


DOCUMENT = Path(amxfp4.__file__).parent.parent / "docs" / "synthesis.md"


def documented(heading):
    """Return what the first column of the table under a heading lists."""
    section = DOCUMENT.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    firsts = re.findall(r"^\| (`[^-].*?) \|", section, re.M)
    return [name for first in firsts for name in re.findall(r"`([^`]+)`", first)]


def test_documented_columns():
    """Every column of the file, in its order."""
    assert documented("results.csv") == columns(Row)


def test_documented_targets_components_and_scripts():
    assert documented("Targets") == list(TARGETS)
    assert documented("Scripts") == list(ABC_SCRIPTS)
    for unit, components in COMPONENTS.items():
        listed = re.search(rf"^\| .*`{unit}`.* \| (.*) \|$", DOCUMENT.read_text(), re.M)
        assert listed is not None
        assert re.findall(r"`(\w+)`", listed[1]) == list(components)


def test_documented_scripts_are_those_of_each_target():
    for name, target in TARGETS.items():
        line = re.search(rf"^\| `{name}` \|.*\| ([^|]*) \|$", DOCUMENT.read_text(), re.M)
        assert line is not None
        assert re.findall(r"`(\w+)`", line[1]) == list(target.scripts)
