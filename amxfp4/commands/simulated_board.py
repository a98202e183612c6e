"""The simulated board: ``amxfp4 host simulate``."""

from __future__ import annotations

import contextlib
import select
import sys
from pathlib import Path
from typing import Any

from amxfp4.params.checks import choose
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS
from amxfp4.util.errors import reading

__all__ = ["SMALL", "simulate"]

SMALL: dict[str, Any] = {
    "rows": 2, "cols": 2, "lanes": 8, "depth_a": 8, "depth_b": 8,
    "bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "baud": 6_250_000,
}  # fmt: skip
"""What a simulated board is where options do not say otherwise: built in seconds, and quick."""


def simulate(
    options: dict[str, Any],
    *,
    board: str | None,
    noise: float,
    noise_seed: int,
    sources: tuple[Path, ...],
    guarded: bool,
    build: Path,
) -> None:
    """Build a board, print where it is, and serve it until stopped.

    The unit is that of `board`, or a small one; `sources` are Verilog files of it, instead of what
    is generated. A board that is `guarded` also ends with its standard input: with the program
    that started it, however that ended.

    Raises
    ------
    ValueError
        An option is not what it must be, or a tool is missing.
    """
    if board is None:
        config = EngineUartConfig(**SMALL | options)
    else:
        config = choose("--board", board, BOARDS).configure(options)
    if not 0 <= noise < 1:
        raise ValueError(f"--noise must be from 0 up to, not including, 1, not {noise!r}")
    if sys.platform == "win32":
        raise ValueError("simulate must run on Linux or macOS, which have pseudo-terminals")
    from amxfp4.gen import verilog
    from amxfp4.host.link.simulated import READY
    from amxfp4.util.errors import ToolError
    from amxfp4.verif.sim.line.board import Board
    from amxfp4.verif.sim.line.line import LineDut
    from amxfp4.verif.sim.sources import Source

    text = "".join(map(_verilog, sources))
    print("building " + " ".join(f"{k}={v}" for k, v in config.to_dict().items()), flush=True)
    try:
        unit = Source(text, verilog.describe(config)) if sources else config
        simulated = Board(LineDut(unit, cache=build), noise=noise, seed=noise_seed)
    except ToolError as error:
        raise ValueError(f"the simulator cannot be built: {error}") from error
    print(f"{READY}{simulated.path}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # that is how it is stopped
        simulated.serve(_has_input if guarded else lambda: True)
    if noise:
        print(f"{simulated.damaged} bytes were damaged")


def _has_input() -> bool:
    """Whether standard input is still open; nobody writes to it."""
    return not select.select([sys.stdin], [], [], 0)[0]


def _verilog(path: Path) -> str:
    with reading("--verilog", path, "a file of Verilog"):
        return path.read_text() + "\n"
