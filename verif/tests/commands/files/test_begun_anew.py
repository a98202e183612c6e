"""Unfinished conversions of other options or of other input: refused, or begun anew."""

import json
import os
from pathlib import Path

import pytest

from amxfp4.commands.files import checkpoint, quantize
from amxfp4.golden.files import STATE
from amxfp4.verif.tests.commands.files.checkpoints import INDEX, SHARDS, again, stop, whole

OTHER = {
    "format": (["--format", "mxfp4"], "--format was amxfp4, not mxfp4"),
    "block": (["--block", "64"], "--block was 32, not 64"),
    "ties": (["--ties", "RNE"], "--ties was RNA, not RNE"),
    "axis": (["--axis", "0"], "--axis was -1, not 0"),
    "axes": (["--min-axes", "1"], "--min-axes was 2, not 1"),
    "include": (["--include", "l*"], "--include was [], not ['l*']"),
    "exclude": (["--exclude", "l*"], "--exclude was [], not ['l*']"),
}


@pytest.mark.parametrize("case", OTHER)
def test_other_options_are_refused_or_begun_anew(model, monkeypatch, capfd, case):
    typed, said = OTHER[case]
    stop(monkeypatch, "lm_head.weight")
    before = {path.name: path.read_bytes() for path in Path("q").iterdir()}
    for dry in ([], ["--dry-run"]):
        line = again(capfd, 2, *typed, *dry)
        assert f"the same options, not 'q' ({said}; --again starts anew)" in line
    assert {path.name: path.read_bytes() for path in Path("q").iterdir()} == before
    assert "complete already" not in again(capfd, 0, *typed, "--again")
    again(capfd, 0, *typed, target="fresh")
    assert whole(Path("q")) == whole(Path("fresh"))


def change_time(model):
    os.utime(model / SHARDS[0], ns=(0, 1))


def change_size(model):
    (model / "config.json").write_text("{}")


def change_index(model):
    (model / INDEX).write_text((model / INDEX).read_text() + " ")


def add(model):
    (model / "generation.json").write_text("{}")


def remove(model):
    (model / "tokenizer.model").unlink()


CHANGES = {
    change_time: f"'{SHARDS[0]}' of IN has changed",
    change_size: "'config.json' of IN has changed",
    change_index: f"'{INDEX}' of IN has changed",
    add: "IN has a new 'generation.json'",
    remove: "IN has lost 'tokenizer.model'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_input_is_refused_or_begun_anew(model, monkeypatch, capfd, change):
    """Nothing of the old input is left afterwards."""
    for name in [SHARDS[0], "tokenizer.model"]:
        assert (model / name).exists()
    stop(monkeypatch, "lm_head.weight")
    Path("q", "tokenizer.model").write_bytes(bytes(256))  # as if it had been copied
    change(model)
    assert f"({CHANGES[change]}; --again starts anew)" in again(capfd, 2)
    again(capfd, 0, "--again")
    again(capfd, 0, target="fresh")
    assert whole(Path("q")) == whole(Path("fresh"))


def test_again_touches_nothing_else(expected, model, monkeypatch, capfd):
    """It goes on without --again; a finished conversion is never begun anew."""
    assert again(capfd, 0, "--again")
    assert whole(Path("q")) == expected[0]
    for options in ([], ["--again"]):
        assert "OUT must be a new or empty folder" in again(capfd, 2, *options)
    assert whole(Path("q")) == expected[0]


def test_ctrl_c_of_a_run_begun_anew(model, monkeypatch, capfd):
    """With --again the same command would begin anew once more."""
    stop(monkeypatch, "lm_head.weight")

    def stick(file, name, options, writer):
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize, "_quantize", stick)
    assert again(capfd, 130, "--again") == (
        "interrupted: 0 of 3 shards are complete; the same command without --again goes on\n"
    )


STATES = {
    "empty": "",
    "list": "[]",
    "object": "{}",
    "nested": "[" * 100_000,
    "outside": '{"version": 1, "options": {}, "input": {"../victim": [1, 2]}, "done": {}}',
    "parent": '{"version": 1, "options": {}, "input": {"..": [1, 2]}, "done": {}}',
    "absolute": '{"version": 1, "options": {}, "input": {"/victim": [1, 2]}, "done": {}}',
    "done": '{"version": 1, "options": {}, "input": {}, "done": {"a": 1}}',
    "no done": '{"version": 1, "options": {}, "input": {}}',
}


@pytest.mark.parametrize("case", STATES)
def test_damaged_or_evil_states(model, capfd, case):
    """Refused in one line, also with --again, which removes what the state names."""
    Path("victim").write_text("alive")
    Path("q").mkdir()
    Path("q", STATE).write_text(STATES[case])
    for options in ([], ["--again"]):
        line = again(capfd, 2, *options)
        assert f"its {STATE} is damaged; remove the folder to start anew" in line
    assert Path("victim").read_text() == "alive"
    assert {path.name for path in Path("q").iterdir()} <= {STATE, checkpoint._LOCK}


def test_state_of_another_version(model, monkeypatch, capfd):
    stop(monkeypatch, "lm_head.weight")
    path = Path("q", STATE)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    assert "(another version of amxfp4 began it; --again starts anew)" in again(capfd, 2)
    again(capfd, 0, "--again")
