"""The whole way: host program, line, unit. It passes, also in noise, and a bug makes it fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest

from amxfp4 import cli, golden, host
from amxfp4.gen import verilog
from amxfp4.host import Engine
from amxfp4.host.link.ports import PortWire
from amxfp4.host.link.serial_line import SerialLine
from amxfp4.host.link.simulated import READY
from amxfp4.host.packets import expected
from amxfp4.host.selftest import run as selftest
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS
from amxfp4.synth.flow.job import Job
from amxfp4.verif.check import planted
from amxfp4.verif.sim import postsynthesis
from amxfp4.verif.sim.batch.dut import Generated
from amxfp4.verif.sim.line.board import Board
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import ModelWire, Noise
from amxfp4.verif.sim.line.talk import TINY


def engine_of(
    unit: EngineUartConfig | Generated, *, noise: float = 0.0, optimize: bool = True
) -> Engine:
    """Connect the driver to a compiled unit; no time passes but the unit's."""
    dut = LineDut(unit, optimize=optimize)
    wire = ModelWire(dut.ask, out=Noise(noise, 1), back=Noise(noise, 2))
    line = SerialLine(wire, baud=dut.config.baud, attempts=30, latency=0.05)
    line.patience = 1.0
    return Engine(line)


def test_selftest_on_a_clean_line() -> None:
    """Nothing is sent twice, and everything is right."""
    engine = engine_of(TINY)
    totals = selftest.run(engine, seed=1, count=8)
    assert totals.passed, totals.failure
    assert totals.checks == 11
    assert totals.products > 30
    assert engine.transport.statistics()["retries"] == 0


def test_selftest_on_a_noisy_line() -> None:
    """One byte in five hundred is harmed: requests are repeated, results stay right."""
    engine = engine_of(TINY, noise=0.002)
    totals = selftest.run(engine, seed=2, count=4)
    assert totals.passed, totals.failure
    assert engine.transport.statistics()["retries"] > 20


def in_source(monkeypatch: pytest.MonkeyPatch) -> Generated:
    """Columns of the array share one operand."""
    planted.bug(monkeypatch, "array", "step.b[c]", "step.b[0]")
    return verilog.generate(TINY)


def command(engine: Engine, monkeypatch: pytest.MonkeyPatch, *typed: str) -> int:
    """Run a command of the host program on an engine that is open already."""
    monkeypatch.setattr(host, "open_port", lambda *_, **__: engine.transport)
    return cli.run(["host", *typed, "--port", "/dev/ttyUSB0"])


def test_bug_in_the_array_fails_the_selftest(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The case is printed, with the first element that differs, and the exit code is 1."""
    engine = engine_of(in_source(monkeypatch), optimize=False)
    assert command(engine, monkeypatch, "selftest", "--count", "5", "--seed", "9") == 1
    error = capfd.readouterr().err
    assert error.startswith("selftest FAILED: ")
    for part in ("M = ", "N = ", "K = ", "elements of C differ, the first is C[", "expected 0x",
                 ", got 0x"):  # fmt: skip
        assert part in error


class Served:
    """A board at a pseudo-terminal, served by a thread of this process."""

    def __init__(self, board: Board) -> None:
        self.board, self._stop = board, threading.Event()
        self._thread = threading.Thread(target=board.serve, args=(lambda: not self._stop.is_set(),))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._thread.join()
        self.board.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve boards until the test ends."""
    served: list[Served] = []

    def start(**options: Any) -> Served:
        served.append(Served(Board(LineDut(TINY), **options)))
        return served[-1]

    yield start
    for one in served:
        one.close()


def test_board_at_a_terminal(serve: Callable[..., Served]) -> None:
    """Programs come and go; each finds a board that works."""
    path = serve().board.path
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
    board, stop = Board(cast(LineDut, Talker())), threading.Event()
    serving = threading.Thread(target=board.serve, args=(lambda: not stop.is_set(),), daemon=True)
    serving.start()
    own = os.open(board.path, os.O_RDWR | os.O_NOCTTY)
    os.write(own, b"?")
    time.sleep(0.3)
    stop.set()
    serving.join(5)
    assert not serving.is_alive()
    os.close(own)
    board.close()


def test_noise_at_a_terminal(serve: Callable[..., Served]) -> None:
    """Harm is done, counted, and repaired."""
    served = serve(noise=0.01, seed=5)
    wire = PortWire(served.board.path, 250_000)
    line = SerialLine(wire, baud=250_000, attempts=30, latency=0.05)
    for n in range(20):
        line.write_registers(0x40, [n])
        assert line.read_registers(0x40, 1) == [n]
    line.close()
    assert served.board.harmed > 0
    assert line.statistics()["retries"] > 0


OPTIONS = [
    f"--{name.replace('_', '-')}={getattr(TINY, name)}"
    for name in ("rows", "cols", "lanes", "block", "depth_a", "depth_b", "format_a", "format_b",
                 "payload", "clock", "baud")
]  # fmt: skip


def test_simulated_port(capfd: pytest.CaptureFixture[str]) -> None:
    """`sim` starts a board of the configuration asked for, and ends it."""
    assert cli.run(["host", "info", "--port", "sim", *OPTIONS]) == 0
    printed = capfd.readouterr().out
    assert TINY.digest in printed
    assert "1 MHz" in printed


NOISY = ["host", "selftest", "--port", "sim", *OPTIONS, "--noise", "0.0005", "--count", "3"]
"""The whole way, in noise; a frame that is lost takes a second there."""


def test_noisy_selftest_at_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """It passes, and tells what the line is like."""
    assert cli.run(NOISY) == 0
    printed = capfd.readouterr().out
    retries = re.search(r"(\d+) retries", printed)
    assert retries is not None
    assert int(retries[1]) > 0
    assert printed.endswith("selftest passed: every bit equals golden\n")


def test_bug_at_a_noisy_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ties are rounded up, not to even: the first product that shows it is printed."""
    planted.bug(monkeypatch, "dot.fp32", "dropped[-1] & (dropped[:-1].any() | kept[0])",
                "dropped[-1]")  # fmt: skip
    mutant = tmp_path / "mutant.v"
    mutant.write_text(verilog.generate(replace(TINY, output="bf16")).text)
    assert cli.run([*NOISY, "--output", "bf16", "--verilog", str(mutant)]) == 1
    captured = capfd.readouterr()
    assert "passed" not in captured.out
    case = r"directed case '.*'|random case \d+ of seed 1 \(.*\)"
    assert re.match(
        rf"selftest FAILED: ({case}): M = \d+, N = \d+, K = \d+: \d+ elements of C differ, the "
        r"first is C\[\d+\]\[\d+\]: expected 0x[0-9A-F]{4}, got 0x[0-9A-F]{4}",
        captured.err,
    )


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
        assert "bytes were harmed" in process.stdout.read()
        assert process.wait(10) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_selftest_until_stopped(how: signal.Signals) -> None:
    """Ctrl-C ends it with totals and exit code 0; however it ends, the board ends with it."""
    with subprocess.Popen(
        [sys.executable, "-m", "amxfp4", "host", "selftest", "--port", "sim", *OPTIONS],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        board = None
        deadline = time.monotonic() + 60
        while board is None and time.monotonic() < deadline:
            time.sleep(0.1)
            children = psutil.Process(process.pid).children()
            board = next((c for c in children if "simulate" in c.cmdline()), None)
        assert board is not None
        # All directed products take two seconds of an idle machine.
        time.sleep(8 if how is signal.SIGINT else 1)
        process.send_signal(how)
        printed, _ = process.communicate(timeout=30)
        if how is signal.SIGINT:
            assert process.returncode == 0
            found = re.search(r"(\d+) products of", printed)
            assert found is not None
            assert int(found[1]) > 0
            assert "selftest passed" in printed
        board.wait(10)


def test_simulate_other_verilog(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit's Verilog can be another one: here one that speaks another protocol."""
    planted.bug(monkeypatch, "serial.bridge", "bytes([PROTOCOL])", "bytes([PROTOCOL + 1])")
    file = tmp_path / "other.v"
    file.write_text(verilog.generate(TINY).text)
    arguments = ["host", "info", "--port", "sim", *OPTIONS, "--verilog", str(file)]
    assert cli.run(arguments) == 2
    assert "speaks version 2 of the protocol" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("--noise 1", "--noise must be from 0 up to, not including, 1, not 1.0"),
        ("--rows 65", "rows must be from 1 to 64, not 65"),
        ("--format mxfp4", "option of engine_uart must be one of"),
        ("--verilog none.v", "--verilog must be"),
    ],
)
def test_simulate_wrong(typed: str, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A mistake is told by the command, and by the port that starts it."""
    assert cli.run(["host", "simulate", *typed.split()]) == 2
    assert text in capfd.readouterr().err
    assert cli.run(["host", "info", "--port", "sim", *typed.split()]) == 2
    assert text in capfd.readouterr().err


@pytest.mark.nightly  # minutes
def test_selftest_on_gates() -> None:
    """The netlist for an ECP5 passes, too."""
    netlist = postsynthesis.netlist(Job(config=TINY, target="ecp5"))
    engine = engine_of(netlist, optimize=False)
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
    engine = engine_of(made, optimize=False)
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


@pytest.mark.nightly  # minutes
@pytest.mark.parametrize("options", MORE, ids=lambda o: "-".join(map(str, o.values())))
def test_selftest_of_more_engines(options: dict[str, Any]) -> None:
    """Every kind of words, records, accumulators and widths that the driver tells apart."""
    config = EngineUartConfig(**options, clock=25_000_000, baud=6_250_000)
    engine = engine_of(config, noise=0.0005)
    totals = selftest.run(engine, seed=4, count=30)
    assert totals.passed, totals.failure
