"""Builds of bitstreams, with functions in the place of programs, and the loading of boards."""

from __future__ import annotations

import functools
import json
import shutil
import stat
from pathlib import Path

import pytest

from amxfp4 import cli
from amxfp4.gen import verilog
from amxfp4.synth.boards import BOARDS, build
from amxfp4.synth.boards.board import ICE40
from amxfp4.synth.boards.build import TimingError
from amxfp4.synth.flow.programs import SynthesisError
from amxfp4.verif.sim import postsynthesis
from amxfp4.verif.tests.synth.boards.figures import REPORT, result

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


@functools.cache
def _generated(config, generate=verilog.generate):
    """Generate a unit once for all tests."""
    return generate(config)


def _faked(monkeypatch, execute, **changes):
    """Let a build's programs be a function."""
    from amaranth.build import Platform
    from amaranth.hdl import Fragment

    def prepare(platform, top, *arguments, **options):
        Fragment.get(top, platform)
        return Plan()

    class Plan:
        script = "build_icebreaker"

        def __init__(self):
            self.files = {"icebreaker.il": "attribute \\top 1\nmodule \\icebreaker\nend\n"}

        def extract(self, root):
            Path(root).mkdir(exist_ok=True)

    monkeypatch.setattr(build, "require", lambda board: None)
    monkeypatch.setattr(build, "execute", execute)
    monkeypatch.setattr(verilog, "generate", _generated)
    monkeypatch.setattr(Platform, "prepare", prepare)
    report = json.loads(json.dumps(REPORT))
    report["fmax"] = {"clk": {"achieved": 13.0, "constraint": 12.0} | changes}
    report["utilization"] = {cell: {"available": 9, "used": 3} for cell in ICE40.cells.values()}
    return json.dumps(report)


@pytest.mark.parametrize("achieved", [13.0, 11.9])
def test_build(achieved, capfd, tmp_path, monkeypatch):
    """A build that is fast enough leaves everything, another one nothing but its figures."""
    pytest.importorskip("amaranth_boards")
    out = tmp_path / "out"
    out.mkdir()
    (out / "icebreaker.bin").write_bytes(b"old")
    (out / "build.json").write_text("{}")
    text = ""

    def execute(command, folder, *, watch):
        watch()
        (folder / "report.json").write_text(text)
        (folder / "icebreaker.bin").write_bytes(b"new")
        (folder / "icebreaker.tim").write_text("log")

    text = _faked(monkeypatch, execute, achieved=achieved)
    code = cli.run(["fpga", "build", "icebreaker", "--out", str(out)])
    printed = capfd.readouterr()
    assert "logic cell" in printed.out
    assert list(tmp_path.iterdir()) == [out]
    if achieved < 12:
        assert code == 1
        assert "timing is missed" in printed.out
        assert "Fmax must be at least the clock's 12 MHz, not 11.9" in printed.err
        kept = f"{out / 'icebreaker.bin'} of an earlier build is still there\n"
        assert printed.err.endswith(kept)
        assert (out / "icebreaker.bin").read_bytes() == b"old"
    else:
        assert code == 0
        assert "clock 12 MHz, Fmax 13 MHz: timing is met" in printed.out
        names = {path.name for path in out.iterdir()}
        assert names == {
            "icebreaker.bin", "icebreaker.v", "engine_uart.v", "engine_uart.json", "engine_uart.h",
            "engine_uart_registers.py", "engine_uart.core", "engine_uart.f", "engine_uart.vlt",
            "build.json", "nextpnr.txt",
        }  # fmt: skip
        assert (out / "icebreaker.bin").read_bytes() == b"new"
        figures = json.loads((out / "build.json").read_text())
        manifest = json.loads((out / "engine_uart.json").read_text())
        assert figures["digest"] == manifest["digest"]
        assert figures["cells"]["DSP"] == {"used": 3, "available": 9}


def test_folder_of_something_else(capfd, tmp_path, monkeypatch):
    """What no build has made is neither deleted nor built for."""
    pytest.importorskip("amaranth_boards")

    def execute(command, folder, *, watch):
        raise AssertionError("the build must not start")

    _faked(monkeypatch, execute)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build" / "fpga").mkdir(parents=True)
    (tmp_path / "build" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for out in ("build", "file", ".", "build/.."):
        assert cli.run(["fpga", "build", "icebreaker", "--out", out]) == 2
        error = capfd.readouterr().err
        assert "error: --out must be a folder of an earlier build (with build.json), " in error
        assert "deleted" in error
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("there", ["nothing", "empty", "built", "link"])
def test_folder_that_is_replaced(there, tmp_path, monkeypatch):
    """A new folder, an empty one and that of a build are taken, also behind a link."""
    pytest.importorskip("amaranth_boards")
    out = tmp_path / "out"
    if there == "empty":
        out.mkdir()
    elif there != "nothing":
        folder = tmp_path / "elsewhere" if there == "link" else out
        folder.mkdir()
        for name in ("build.json", "left"):
            (folder / name).write_text("old")
        if there == "link":
            out.symlink_to(folder)
    text = _faked(monkeypatch, lambda *_, **__: None)
    monkeypatch.setattr(build, "execute", _programs(text))
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(out)]) == 0
    assert (out / "icebreaker.bin").read_bytes() == b"new"
    assert not (out / "left").exists()
    assert out.is_symlink() == (there == "link")
    assert not list(tmp_path.glob(".*"))


def _programs(report):
    """Leave what the programs of a build leave."""

    def execute(command, folder, *, watch):
        (folder / "report.json").write_text(report)
        (folder / "icebreaker.bin").write_bytes(b"new")
        (folder / "icebreaker.tim").write_text("log")

    return execute


def test_old_build_survives_a_failed_replacement(capfd, tmp_path, monkeypatch):
    """The old folder is put aside, and comes back if the new one cannot take its place."""
    pytest.importorskip("amaranth_boards")
    out = tmp_path / "out"
    out.mkdir()
    (out / "build.json").write_text("{}")
    (out / "icebreaker.bin").write_bytes(b"old")
    text = _faked(monkeypatch, lambda *_, **__: None)
    monkeypatch.setattr(build, "execute", _programs(text))
    replace = Path.replace

    def refuse(path, target):
        if target == out and not path.name.endswith(".old"):
            assert not out.exists()
            assert len(list(tmp_path.glob(".*.old/icebreaker.bin"))) == 1
            raise PermissionError(13, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(out)]) == 2
    assert "--out must be a folder that can be written, not " in capfd.readouterr().err
    assert (out / "icebreaker.bin").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_missing_program_is_not_the_folder_s_fault(capfd, tmp_path, monkeypatch):
    """Errors of --out name only what happened to the folder."""
    pytest.importorskip("amaranth_boards")

    def execute(command, folder, *, watch):
        raise FileNotFoundError(2, "No such file or directory", "sh")

    _faked(monkeypatch, execute)
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "out")]) == 2
    error = capfd.readouterr().err
    assert error == "amxfp4: error: No such file or directory: sh\n"
    (tmp_path / "file").write_text("")
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "--out must be a folder that can be written, not " in capfd.readouterr().err


def test_build_that_does_not_fit(capfd, tmp_path, monkeypatch):
    """The program's own line is shown, and nothing is left."""
    pytest.importorskip("amaranth_boards")

    def execute(command, folder, *, watch):
        raise SynthesisError("ERROR: Failed to expand region", "all of it")

    _faked(monkeypatch, execute)
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "out")]) == 1
    error = capfd.readouterr().err
    assert error == "icebreaker cannot be built: ERROR: Failed to expand region\n"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "build.json").write_text("{}")
    (tmp_path / "out" / "icebreaker.bin").write_bytes(b"old")
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "out")]) == 1
    assert "icebreaker.bin of an earlier build is still there\n" in capfd.readouterr().err


def test_timing_error_has_the_figures():
    """It names both frequencies."""
    error = TimingError(result(fmax_mhz=24.9))
    assert "25 MHz, not 24.9" in str(error)
    assert not error.result.met
    assert result(fmax_mhz=25.0).met


@boards
def test_program(board, capfd, tmp_path, monkeypatch):
    """The board's programmer gets the bitstream; what is missing is named."""
    bitstream = tmp_path / f"{board.name}{board.family.bitstream}"
    command = ["fpga", "program", board.name, "--out", str(tmp_path)]
    assert cli.run(command) == 2
    assert f"must be built first: amxfp4 fpga build {board.name}" in capfd.readouterr().err
    bitstream.write_bytes(b"bits")
    figures = {"device": "XY", "digest": "abc", "fmax_mhz": 61.25, "clock_mhz": 25.0}
    (tmp_path / "build.json").write_text(json.dumps(figures))
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    assert cli.run(command) == 2
    tool = board.programmer[0]
    assert f"{tool} must be on PATH to program {board.name}" in capfd.readouterr().err
    script = tools / tool
    shell = shutil.which("sh", path="/bin:/usr/bin")
    for code in (0, 3):
        script.write_text(f'#!{shell}\necho "$@" > {tmp_path}/said\nexit {code}\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        assert cli.run(command) == (code != 0)
        said = (tmp_path / "said").read_text().split()
        assert said == [*board.programmer[1:], str(bitstream)]
    printed = capfd.readouterr()
    assert f"{tool} failed with exit code 3" in printed.err
    assert printed.out.startswith(f"{board.name} XY: loading {bitstream}, configuration abc, ")
    assert "Fmax 61.25 MHz for a clock of 25 MHz\n" in printed.out


def test_bitstreams_and_gates_are_made_alike(tmp_path, monkeypatch):
    """What simulates a board's gates has them made with the options of its bitstream."""
    pytest.importorskip("amaranth_boards")
    asked = []

    def run(job, cache):
        asked.append(job.yosys_script)
        job.folder(cache).mkdir(parents=True)
        (job.folder(cache) / "netlist.v").write_text("")

    monkeypatch.setattr(postsynthesis, "run", run)
    text = _faked(monkeypatch, lambda *_, **__: None)
    postsynthesis.board_netlist(BOARDS["icebreaker"].configure({}), tmp_path)
    monkeypatch.setattr(build, "execute", _programs(text))
    from amaranth.build import Platform

    prepare, options = Platform.prepare, []

    def recorded(platform, top, *arguments, **kept):
        options.append(kept["synth_opts"])
        return prepare(platform, top, *arguments, **kept)

    monkeypatch.setattr(Platform, "prepare", recorded)
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "out")]) == 0
    assert options == ["-no-rw-check"]
    (synthesis,) = [line for line in asked[0].splitlines() if line.startswith("synth_")]
    assert options[0] in synthesis.split()
