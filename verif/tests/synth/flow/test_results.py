"""Rows of results, and the file they are in."""

from __future__ import annotations

import dataclasses
import multiprocessing
import re
from pathlib import Path

import pytest

import amxfp4
from amxfp4.gen.components import COMPONENTS
from amxfp4.params.units import UNITS
from amxfp4.synth.flow import results
from amxfp4.synth.flow.results import COLUMNS, Row, read, update
from amxfp4.synth.flow.targets import ABC_SCRIPTS, TARGETS

ROW = Row(
    key="0123456789abcdef", unit="dot", digest="fedcba9876543210", format_a="amxfp4", lanes=4,
    pipeline="", target="liberty", dsp=False, area_um2=12.5, ge=4.0, ff=0, delay_ps=1e3,
    critical_path='a, "b" -> c', macs_per_cycle=4, seconds=0.25, tools='{"pyosys": "0.70"}',
)  # fmt: skip


def test_rows_survive_the_file(tmp_path):
    """Numbers, texts with commas and quotes, truth values and what is missing."""
    rows = [ROW, dataclasses.replace(ROW, key="1", dsp=True, area_um2=None, component="adder")]
    update(tmp_path / "results.csv", rows)
    assert read(tmp_path / "results.csv") == rows


def test_rows_have_every_parameter_of_every_unit():
    """One who adds a parameter is told to add a column."""
    for config in UNITS.values():
        assert {field.name for field in dataclasses.fields(config)} <= set(COLUMNS)


def test_newer_row_takes_the_place(tmp_path):
    path = tmp_path / "results.csv"
    update(path, [ROW, dataclasses.replace(ROW, key="1")])
    newer = dataclasses.replace(ROW, ge=5.0)
    update(path, [newer])
    assert read(path) == [newer, dataclasses.replace(ROW, key="1")]


def test_no_file_is_no_row(tmp_path):
    assert read(tmp_path / "results.csv") == []


def _write(path, writer):
    for n in range(10):
        update(path, [dataclasses.replace(ROW, key=f"{writer}-{n}")])


def test_concurrent_writers_lose_nothing(tmp_path):
    """Four processes add ten rows each, one by one."""
    path = tmp_path / "results.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert {row.key for row in read(path)} == {f"{w}-{n}" for w in range(4) for n in range(10)}
    assert not list(tmp_path.glob(".results*"))


def test_writers_without_the_lock_lose_rows(tmp_path, monkeypatch):
    """That the test above can fail: an update between another's reading and writing is lost."""
    path = tmp_path / "results.csv"
    whole = results.write_whole

    def late(target, text):
        monkeypatch.setattr(results, "write_whole", whole)
        monkeypatch.setattr(results, "locked", lambda path: open(path, "w"))  # noqa: PTH123, SIM115
        update(path, [dataclasses.replace(ROW, key="other")])
        whole(target, text)

    monkeypatch.setattr(results, "write_whole", late)
    update(path, [ROW])
    assert [row.key for row in read(path)] == [ROW.key]


def test_failed_update_keeps_the_file(tmp_path):
    path = tmp_path / "results.csv"
    update(path, [ROW])
    before = path.read_text()
    with pytest.raises((AttributeError, TypeError)):
        update(path, [None])
    assert path.read_text() == before
    assert {found.name for found in tmp_path.iterdir()} == {"results.csv", "results.lock"}


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
    assert documented("results.csv") == list(COLUMNS)


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
