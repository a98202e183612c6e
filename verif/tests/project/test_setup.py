"""Setting up: what a machine lacks is named, and a half-made environment is made again."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amxfp4 import bootstrap

TOOLS = ("c++", "make", "perl")


def fake(folder: Path, name: str, prints: str = "") -> Path:
    """Put a program `name` into `folder` that prints `prints` and succeeds."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a PATH of one folder, which has every tool, and no CXX."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        fake(folder, name)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a folder that bootstrap takes for the checkout, with installing replaced.

    Returns the list that the commands which would have run end up in.
    """
    commands = []

    def run(command):
        commands.append(command)
        if "venv" in command:
            programs = bootstrap.VENV / "bin"
            programs.mkdir()
            fake(programs, "python", "3 11 1")
            fake(programs, "pip", str(bootstrap.VENV))

    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(sys, "argv", ["bootstrap", "--stamp", str(tmp_path / ".venv" / "ready")])
    return commands


def test_bootstrap_is_read_by_old_pythons():
    """An old interpreter must parse the file to be able to say that it is too old."""
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(
    "lacking",
    [("c++",), ("make",), ("perl",), ("make", "perl"), TOOLS],
    ids=lambda v: "+".join(v),
)
def test_missing_tools_one_line_each(tmp_path, machine, lacking):
    """A subprocess, as make starts it: exit code 2, one line for each tool, nothing made."""
    for name in lacking:
        (machine / name).unlink()
    script = tmp_path / "amxfp4" / "bootstrap.py"
    script.parent.mkdir()
    shutil.copy(bootstrap.__file__, script)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == len(lacking)
    for name, line in zip(lacking, lines, strict=True):
        assert name in line
        assert "missing" in line
        for system in ("Debian: ", "Fedora: ", "macOS: "):
            assert system in line
    assert not (tmp_path / ".venv").exists()


def test_folder_with_a_space(tmp_path, machine):
    """One line, and nothing made: Verilator's scripts would fail there much later."""
    script = tmp_path / "a folder" / "amxfp4" / "bootstrap.py"
    script.parent.mkdir(parents=True)
    shutil.copy(bootstrap.__file__, script)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("setup: ")
    assert str(tmp_path / "a folder") in line
    assert not (tmp_path / "a folder" / ".venv").exists()


def test_compiler_named_by_cxx(machine, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    (line,) = bootstrap.missing_tools()
    assert "CXX names, no-such-compiler," in line
    fake(machine, "no-such-compiler")
    assert bootstrap.missing_tools() == []


@pytest.mark.parametrize("name", bootstrap.COMPILERS)
def test_any_compiler_will_do(machine, name):
    (machine / "c++").unlink()
    fake(machine, name)
    assert bootstrap.missing_tools() == []


def test_python_too_old(machine, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(fake(machine, "python3", "3 9 1")))
    python, line = bootstrap.find_python()
    assert python == ""
    assert line.startswith("Python 3.9 is too old, 3.11 or newer is needed (Debian: ")


def test_python_newer_one_on_path(machine, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(fake(machine, "python3", "3 9 1")))
    newer = fake(machine, "python3.12", "3 12 1")
    assert bootstrap.find_python() == (str(newer), "")


def test_python_shim_that_fails_is_passed_over(machine, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(fake(machine, "python3", "3 9 1")))
    shim = fake(machine, "python3.11")
    shim.write_text("#!/bin/sh\nexit 127\n")
    newer = fake(machine, "python3.13", "3 13 1")
    assert bootstrap.find_python() == (str(newer), "")


def test_python_without_venv(machine, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(fake(machine, "python3", "3 11 0")))
    python, line = bootstrap.find_python()
    assert python == ""
    assert line.startswith(
        "venv and ensurepip of Python 3.11 are missing (Debian: sudo apt install"
    )
    assert "python3.11-venv" in line


def test_python_missing(machine, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    python, line = bootstrap.find_python()
    assert python == ""
    assert line.startswith("Python 3.11 or newer is missing")


def test_environment_is_made_and_stamped(machine, checkout, capsys):
    assert bootstrap.main() == 0
    assert ["venv" in command for command in checkout] == [True, False]
    assert "constraints.txt" in checkout[1]
    assert (bootstrap.VENV / "ready").exists()
    assert not (bootstrap.VENV / "interrupted").exists()
    assert capsys.readouterr().out.endswith("setup: done\n")


def test_environment_is_kept_when_whole(machine, checkout):
    assert bootstrap.main() == 0
    checkout.clear()
    (bootstrap.VENV / "kept").touch()
    assert bootstrap.main() == 0
    assert ["venv" in command for command in checkout] == [False]
    assert (bootstrap.VENV / "kept").exists()


def test_extra_whose_packages_come_alone(machine, checkout, monkeypatch):
    """One of them asks for a compiled llama.cpp, of which nothing is used."""
    monkeypatch.setattr(sys, "argv", ["bootstrap", "--extra", "llm"])
    assert bootstrap.main() == 0
    alone = bootstrap.ALONE["llm"]
    assert checkout[1][-3 - len(alone) :] == ["-c", "constraints.txt", "--no-deps", *alone]
    assert "-e" not in checkout[1]


def test_environment_is_made_again_after_interruption(machine, checkout, monkeypatch):
    """Installing stops half way: no stamp, and the next run starts from nothing."""
    working = bootstrap.run

    def failing(command):
        working(command)
        if "install" in command:
            raise SystemExit(1)

    monkeypatch.setattr(bootstrap, "run", failing)
    with pytest.raises(SystemExit):
        bootstrap.main()
    assert not (bootstrap.VENV / "ready").exists()
    (bootstrap.VENV / "left").touch()

    monkeypatch.setattr(bootstrap, "run", working)
    assert bootstrap.main() == 0
    assert not (bootstrap.VENV / "left").exists()
    assert (bootstrap.VENV / "ready").exists()


def test_environment_is_made_again_when_copied(machine, checkout):
    assert bootstrap.main() == 0
    (bootstrap.VENV / "bin" / "pip").write_text("#!/elsewhere/.venv/bin/python\n")
    assert not bootstrap.is_whole(bootstrap.VENV / "interrupted")


def test_failed_install_shows_why(capfd):
    """The end of what pip said, and no traceback."""
    with pytest.raises(SystemExit) as stopped:
        bootstrap.run([sys.executable, "-c", "print('no network'); raise SystemExit(3)"])
    assert stopped.value.code == 1
    captured = capfd.readouterr()
    assert captured.err.startswith("no network\nsetup: failed: ")


def test_shared_library_of_python_missing(machine, checkout, monkeypatch, capsys):
    """Some systems package it apart; cocotb would fail much later, and less clearly."""
    whole = bootstrap.output_of

    def without(command):
        return "" if "find_libpython" in command else whole(command)

    monkeypatch.setattr(bootstrap, "output_of", without)
    assert bootstrap.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("setup: the shared library of Python is missing (Debian: sudo apt")
    assert not (bootstrap.VENV / "ready").exists()
