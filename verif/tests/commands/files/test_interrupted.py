"""Conversions of checkpoints that are interrupted or killed, and gone on with."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.commands.files import checkpoint, quantize
from amxfp4.golden.files import STATE
from amxfp4.util.files import locked
from amxfp4.verif.tests.commands.files.checkpoints import (
    INDEX,
    SHARDS,
    Stopped,
    again,
    make,
    stop,
    whole,
)

# Quantizes, and stops for good in the middle of a tensor of the second shard, whose file is begun.
STUCK = """
import sys, time
from amxfp4 import cli
from amxfp4.commands.files import quantize
work = quantize._quantize
def stick(file, name, options, writer):
    if name == "layers.1.weight":
        writer._stream.flush()
        print("stuck", flush=True)
        time.sleep(600)
    return work(file, name, options, writer)
quantize._quantize = stick
sys.exit(cli.run(["quantize", *sys.argv[1:]]))
"""


def start():
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, "model", "q"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "stuck\n"
    return process


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_the_same_command_goes_on(expected, capfd, how):
    """Whatever ended it: complete shards stay, and in the end all is as if nothing had been."""
    with start() as process:
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    names = {path.name for path in Path("q").iterdir()}
    halves = {name for name in names if name.endswith(f".{SHARDS[1]}")}
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert errors == "interrupted: 1 of 3 shards are complete; the same command goes on\n"
        assert not halves
    else:
        assert process.returncode == -how
        assert len(halves) == 1
    assert {STATE, SHARDS[0]} <= names
    assert not names & {SHARDS[1], SHARDS[2], INDEX}
    for command in (["info", "q"], ["quantize", "q", "r"], ["info", f"q/{INDEX}"]):
        assert cli.run(command) == 2  # it is no checkpoint yet
    before = Path("q", SHARDS[0]).stat()
    printed = again(capfd, 0)
    after = Path("q", SHARDS[0]).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    held, said = expected
    assert whole(Path("q")) == held
    assert printed == said.replace("whole:", "q:") + "1 of 3 shards were complete already\n"


@pytest.mark.parametrize("at", ["embed.weight", "layers.0.weight", "lm_head.weight"])
def test_twice_interrupted(expected, monkeypatch, capfd, at):
    """First anywhere, then at the last tensor."""
    stop(monkeypatch, at)
    stop(monkeypatch, "lm_head.weight")
    printed = again(capfd, 0, "--dry-run")
    assert "2 of 3 shards were complete already" in printed
    assert again(capfd, 0).count("SQNR") == 1
    assert whole(Path("q")) == expected[0]


def test_every_write_may_be_the_last(expected, monkeypatch, capfd):
    """A run that ends before or after any file is renamed goes on to the same end."""
    rename = Path.replace
    count = 0
    for step in range(40):
        for after in (False, True):
            left = [step]

            def stick(path, target, left=left, after=after):
                if left[0] == 0 and not after:
                    raise Stopped
                rename(path, target)
                left[0] -= 1
                if left[0] < 0:
                    raise Stopped

            try:
                with monkeypatch.context() as patch:
                    patch.setattr(Path, "replace", stick)
                    assert cli.run(["quantize", "model", "q"]) == 0
                ended = True
            except Stopped:
                ended = False
                again(capfd, 0)
                count += 1
            assert whole(Path("q")) == expected[0], (step, after)
            for path in Path("q").iterdir():
                path.unlink()
        if ended:
            break
    # The state before and after each shard; shards; two files that travel along; the index.
    assert count == 2 * (1 + 3 + 3 + 2 + 1)


def test_a_full_disk(expected, monkeypatch, capfd):
    """An error in the middle is one line; then the same command goes on."""
    stop(monkeypatch, "lm_head.weight")
    work = quantize._quantize

    def fill(file, name, options, writer):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(quantize, "_quantize", fill)
    line = again(capfd, 2)
    assert line.startswith("amxfp4: error: OUT must be a .safetensors file that can be written, ")
    assert f"'q/{SHARDS[2]}' (No space left on device)" in line
    assert not list(Path("q").glob(f"*{SHARDS[2]}"))
    monkeypatch.setattr(quantize, "_quantize", work)
    again(capfd, 0)
    assert whole(Path("q")) == expected[0]


def damage(how):
    path = Path("q", SHARDS[0])
    raw = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(raw[:-1])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        safetensors.numpy.save_file({"x": np.ones(3)}, path)


@pytest.mark.parametrize("how", ["gone", "cut", "empty", "other"])
def test_what_is_not_whole_is_done_again(expected, monkeypatch, capfd, how):
    stop(monkeypatch, "lm_head.weight")
    damage(how)
    assert "1 of 3 shards were complete already" in again(capfd, 0)
    assert whole(Path("q")) == expected[0]


def test_leftovers_are_ours_alone(expected, model, monkeypatch, capfd):
    """What killed runs left is removed; files that only look like it are not."""
    (model / ".abcdefgh.config.json").write_text("an odd name in IN")
    Path("q").mkdir()
    Path("q", f".01234567.{STATE}").write_text("{")  # killed while it wrote the state
    stop(monkeypatch, "lm_head.weight")
    Path("q", f".01234567.{SHARDS[2]}").write_text("half")
    Path("q", f"x01234567.{SHARDS[2]}").write_text("mine")
    Path("q", ".01234567.notes").write_text("mine")
    again(capfd, 0)
    held = whole(Path("q"))
    assert held.pop(f"x01234567.{SHARDS[2]}") == held.pop(".01234567.notes") == b"mine"
    assert held.pop(".abcdefgh.config.json") == b"an odd name in IN"
    assert held == expected[0]


def test_input_that_changes_meanwhile(model, monkeypatch, capfd):
    """A shard that was changed while it was read is not taken for complete."""
    work = quantize._quantize

    def disturb(file, name, options, writer):
        if name == "layers.1.weight":
            os.utime(model / SHARDS[1], ns=(0, 1))
        return work(file, name, options, writer)

    monkeypatch.setattr(quantize, "_quantize", disturb)
    assert f"IN must stay as it is meanwhile: '{SHARDS[1]}' was changed" in again(capfd, 2)
    assert list(json.loads(Path("q", STATE).read_text())["done"]) == [SHARDS[0]]


def test_one_run_at_a_time(expected, capfd):
    """A second run of the same command does not disturb the first."""
    Path("q").mkdir()
    with locked(Path("q", checkpoint._LOCK)):
        assert "OUT must be a folder that no other run writes to, not 'q'" in again(capfd, 2)
    again(capfd, 0)
    assert whole(Path("q")) == expected[0]


def test_figures_that_are_no_numbers(tmp_path, monkeypatch, capfd):
    """A tensor of zeros has no SQNR; a later run shows that, too."""
    monkeypatch.chdir(tmp_path)
    model = make(tmp_path / "model")
    x = np.zeros((24, 96), np.float32)
    safetensors.numpy.save_file({"embed.weight": x, "layers.0.weight": x}, model / SHARDS[0])
    stop(monkeypatch, "lm_head.weight")
    row = next(line for line in again(capfd, 0).splitlines() if line.startswith("embed"))
    assert row.split()[-1] == "-"
    assert np.array_equal(golden.dequantize(golden.quantize(x)), x)


def test_shards_that_look_like_leftovers(tmp_path, monkeypatch, capfd):
    """A complete shard is never removed, whatever its name."""
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    names = [".01234567.a.safetensors", "a.safetensors"]
    for number, name in enumerate(names):
        safetensors.numpy.save_file({f"w{number}": np.ones((2, 32), np.float32)}, f"model/{name}")
    stop(monkeypatch, "w1")
    assert "1 of 2 shards were complete already" in again(capfd, 0)
    assert sorted(whole(Path("q"))) == names
