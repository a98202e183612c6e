"""The whole way: host program, line, unit. It passes, also in noise, and a bug makes it fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest

from amxfp4 import cli, golden, host
from amxfp4.golden.engine import expected
from amxfp4.host import Engine
from amxfp4.host.link.ports import PortWire
from amxfp4.host.link.serial_line import SerialLine
from amxfp4.host.link.simulated import READY
from amxfp4.host.selftest import run as selftest
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS
from amxfp4.synth.flow.job import Job
from amxfp4.verif.sim import postsynthesis
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import ModelWire, Noise
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.tests.host.terminal import Served
from amxfp4.verif.tests.serial.bugs import woken


def engine_of(dut: LineDut, *, noise: float = 0.0) -> Engine:
    """Connect the driver to a compiled unit; no time passes but the unit's."""
    wire = ModelWire(dut.ask, out=Noise(noise, 1), back=Noise(noise, 2))
    line = SerialLine(wire, baud=dut.config.baud, attempts=30, latency=0.05)
    line.timeout = 1.0
    return Engine(line)


def test_selftest_on_a_clean_line() -> None:
    """Nothing is sent twice, and everything is right."""
    engine = engine_of(LineDut(TINY))
    totals = selftest.run(engine, seed=1, count=8)
    assert totals.passed, totals.failure
    assert totals.checks == 11
    assert totals.products > 30
    assert engine.transport.statistics()["retries"] == 0


def test_selftest_on_a_noisy_line() -> None:
    """One byte in five hundred is damaged: requests are repeated, results stay right."""
    engine = engine_of(LineDut(TINY), noise=0.002)
    totals = selftest.run(engine, seed=2, count=12, first=1)
    assert totals.passed, totals.failure
    assert engine.transport.statistics()["retries"] > 5


def test_bug_in_the_array_fails_the_selftest(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The case is printed, with the first element that differs, and the exit code is 1."""
    engine = engine_of(woken("columns of the array share an operand"))
    monkeypatch.setattr(host, "open_port", lambda *_, **__: engine.transport)
    typed = ["host", "selftest", "--count", "5", "--seed", "9", "--port", "/dev/ttyUSB0"]
    assert cli.run(typed) == 1
    error = capfd.readouterr().err
    assert error.startswith("selftest FAILED: ")
    for part in ("M = ", "N = ", "K = ", "elements of C differ, the first is C[", "expected 0x",
                 ", got 0x"):  # fmt: skip
        assert part in error


Serve = Callable[..., Served]


def test_board_at_a_terminal(serve: Serve) -> None:
    """Programs come and go; each finds a board that works."""
    path = serve(LineDut(TINY)).board.path
    for _ in range(2):
        with host.open_engine(path, baud=250_000) as engine:
            c = engine.matmul(np.full((3, 5), 2, np.float32), np.full((5, 4), 3, np.float32))
            np.testing.assert_array_equal(c, np.full((3, 4), 30, np.float32))


class Talker:
    """In place of a unit: answers far more than was asked."""

    config = TINY

    def run(self, data: bytes, **_: Any) -> bytes:
        """Answer."""
        return bytes(1 << 20) if data else b""


def test_board_stops_if_nobody_reads() -> None:
    """It can be stopped while its answer waits."""
    served = Served(cast(LineDut, Talker()))
    own = os.open(served.board.path, os.O_RDWR | os.O_NOCTTY)
    os.write(own, b"?")
    time.sleep(0.3)
    served.close()
    os.close(own)


def test_noise_at_a_terminal(serve: Serve) -> None:
    """Bytes are damaged and counted, and requests repeated."""
    served = serve(LineDut(TINY), noise=0.01, seed=5)
    wire = PortWire(served.board.path, 250_000)
    line = SerialLine(wire, baud=250_000, attempts=30, latency=0.05)
    for n in range(20):
        line.write_registers(0x40, [n])
        assert line.read_registers(0x40, 1) == [n]
    line.close()
    assert served.board.damaged > 0
    assert line.statistics()["retries"] > 0


def test_bug_at_a_noisy_terminal(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """The first product that differs is printed, whatever the noise does."""
    path = serve(woken("NaN scale read as a number"), noise=0.0005).board.path
    assert cli.run(["host", "selftest", "--port", path, "--baud", "250000"]) == 1
    captured = capfd.readouterr()
    assert "passed" not in captured.out
    assert re.match(
        r"selftest FAILED: directed case 'A: an infinity': M = 2, N = 3, K = 32: \d elements of C "
        r"differ, the first is C\[0\]\[\d\]: expected 0x7FC00000, got 0x[0-9A-F]{8}\n",
        captured.err,
    )


OPTIONS = [
    f"--{name.replace('_', '-')}={getattr(TINY, name)}"
    for name in ("rows", "cols", "lanes", "block", "depth_a", "depth_b", "bytes_c", "format_a",
                 "format_b", "payload", "clock", "baud")
]  # fmt: skip


def test_simulated_port(capfd: pytest.CaptureFixture[str]) -> None:
    """`sim` starts a board of the configuration asked for, and ends it."""
    assert cli.run(["host", "info", "--port", "sim", *OPTIONS]) == 0
    printed = capfd.readouterr().out
    assert TINY.digest in printed
    assert "1 MHz" in printed


@pytest.mark.nightly  # by day a noisy terminal, above, and this board on a clean line
def test_noisy_selftest_of_a_simulated_board(capfd: pytest.CaptureFixture[str]) -> None:
    """The noise is the board's; each lost frame costs a second of waiting."""
    noise = ["--noise", "0.002", "--first", "1", "--count", "2"]
    assert cli.run(["host", "selftest", "--port", "sim", *OPTIONS, *noise]) == 0
    printed = capfd.readouterr().out
    retries = re.search(r"(\d+) retries", printed)
    assert retries is not None
    assert int(retries[1]) > 0
    assert printed.endswith("selftest passed: every bit equals golden\n")


def test_simulate_until_stopped(tmp_path: Path) -> None:
    """The command prints where it is, answers, and ends well when interrupted."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "amxfp4", "host", "simulate", *OPTIONS, "--noise", "0.0001"],
        stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        path = next(line for line in process.stdout if line.startswith(READY))
        wire = PortWire(path.removeprefix(READY).strip(), 250_000)
        assert SerialLine(wire, baud=250_000, latency=0.2).clock == 1e6
        wire.close()
        process.send_signal(signal.SIGINT)
        assert "bytes were damaged" in process.stdout.read()
        assert process.wait(10) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_selftest_until_stopped(how: signal.Signals) -> None:
    """Ctrl-C ends it with totals and exit code 0; however it ends, the board ends with it."""
    terminal, progress = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "amxfp4", "host", "selftest", "--port", "sim", "--first", "1",
         *OPTIONS],
        stdout=subprocess.PIPE, stderr=progress, text=True, start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(progress)
        shown = b""
        # However slow the machine is: a terminal shows how many products there were.
        while not re.search(rb"[1-9]\d* products, random case", shown):
            part = os.read(terminal, 4096)
            assert part, shown
            shown += part
        (board,) = psutil.Process(process.pid).children()
        process.send_signal(how)
        printed, _ = process.communicate(timeout=60)
        if how is signal.SIGINT:
            assert process.returncode == 0
            found = re.search(r"(\d+) products of", printed)
            assert found is not None
            assert int(found[1]) > 0
            assert "selftest passed" in printed
        board.wait(60)
    os.close(terminal)


ECHO = """module engine_uart(
  input clk, input rst, input rx, output tx,
  output led_alive, output led_link, output led_busy, output led_error
);
  assign tx = rx;
  assign {led_alive, led_link, led_busy, led_error} = {4{clk & rst}};
endmodule
"""


def test_simulate_other_verilog(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The unit's Verilog can be given: here rx and tx are one wire."""
    file = tmp_path / "echo.v"
    file.write_text(ECHO)
    assert cli.run(["host", "info", "--port", "sim", *OPTIONS, "--verilog", str(file)]) == 2
    assert re.search(r"though \d+ bytes came \(10 damaged frames\)", capfd.readouterr().err)


WRONG = {
    "--noise 1": "--noise must be from 0 up to, not including, 1, not 1.0",
    "--rows 65": "rows must be from 1 to 64, not 65",
    "--format mxfp4": "option of amxfp4 host simulate must be one of --format-a, ",
    "--verilog none.v": "--verilog must be",
}


@pytest.mark.parametrize("typed", WRONG)
def test_simulate_wrong(typed: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A mistake is one line."""
    assert cli.run(["host", "simulate", *typed.split()]) == 2
    assert WRONG[typed] in capfd.readouterr().err


def test_simulated_port_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    """The port passes on what the command that it starts says."""
    assert cli.run(["host", "info", "--port", "sim", "--noise", "1"]) == 2
    error = capfd.readouterr().err
    assert f"the simulated board does not start: {WRONG['--noise 1']}" in error
    assert error.count("\n") == 1


@pytest.mark.nightly  # minutes of Yosys and of gates in Verilator
def test_selftest_on_gates() -> None:
    """The netlist for an ECP5 passes, too."""
    netlist = postsynthesis.netlist(Job(config=TINY, target="ecp5"))
    engine = engine_of(LineDut(netlist, optimize=False))
    totals = selftest.run(engine, seed=3, count=2)
    assert totals.passed, totals.failure


LEAST = EngineUartConfig(
    rows=1, cols=1, lanes=1, block=16, depth_a=2, depth_b=2, bytes_a=4, bytes_b=4, bytes_c=4,
    format_a="nvfp4", format_b="nvfp4", input="records", acc="fixed", frac_bits=0, int_bits=6,
    output="bf16", payload=1024, clock=1_000_000, baud=250_000,
)  # fmt: skip
"""The fewest gates of which a frame's memories are block RAM."""


def job_on_gates(config: EngineUartConfig, m: int, n: int, k: int) -> Engine:
    """Make gates as those of a bitstream; say hello, and let them multiply."""
    made = postsynthesis.board_netlist(config)
    assert re.search(r"^  DP16KD #", made.text, re.M), "no memory is block RAM"
    engine = engine_of(LineDut(made, optimize=False))
    assert engine.transport.clock == config.clock
    x, y = np.full((m, k), 2, np.float32), np.full((k, n), 3, np.float32)
    x[:, ::3], y[::2] = -6, 0.5
    found = engine.matmul(x, y)
    a = golden.quantize(x, config.format_a, axis=1, ties=config.ties, block=config.block)
    b = golden.quantize(y, config.format_b, axis=0, block=config.block)
    wanted, _ = expected(config, a, b)
    np.testing.assert_array_equal(found, wanted)
    assert engine.transport.statistics()["retries"] == 0
    return engine


@pytest.mark.nightly
def test_job_on_the_gates_of_a_bitstream() -> None:
    """Hello and a product, on gates without a word on what is read while it is written."""
    job_on_gates(LEAST, 2, 2, 20)


@pytest.mark.nightly
def test_job_on_the_gates_of_a_board() -> None:
    """The engine that a board has by default, as gates."""
    job_on_gates(BOARDS["orangecrab"].configure({}), 3, 5, 70)


DEFAULT = {"rows": 2, "cols": 2, "lanes": 8, "depth_a": 4, "depth_b": 4, "block": 16}
MORE = [
    DEFAULT,
    DEFAULT | {"cols": 4, "requantize": "amxfp4", "input": "fp32", "bytes_a": 16, "bytes_c": 16},
    DEFAULT | {"rows": 3, "acc": "fixed", "frac_bits": 12, "int_bits": 6, "output": "bf16",
               "format_b": "mxfp4-e4m3", "ties": "RNE", "bytes_b": 64, "bytes_c": 4},
    DEFAULT | {"rows": 1, "cols": 1, "input": "records", "format_a": "mxfp4", "format_b": "nvfp4"},
    DEFAULT | {"input": "fp16", "acc": "fp32", "format_a": "amxfp4-pot", "cols": 5},
]  # fmt: skip


@pytest.mark.nightly  # a build of a minute each
@pytest.mark.parametrize("options", MORE, ids=lambda o: "-".join(map(str, o.values())))
def test_selftest_of_more_engines(options: dict[str, Any]) -> None:
    """Every kind of words, records, accumulators and widths that the driver tells apart."""
    config = EngineUartConfig(**options, clock=25_000_000, baud=6_250_000)
    engine = engine_of(LineDut(config), noise=0.0005)
    totals = selftest.run(engine, seed=4, count=30)
    assert totals.passed, totals.failure
