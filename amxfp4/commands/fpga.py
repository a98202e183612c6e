"""Bitstreams for boards: ``amxfp4 fpga``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from amxfp4.params.checks import choose
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS
from amxfp4.synth.boards.board import Board
from amxfp4.synth.boards.build import RESULT, Result, TimingError, build
from amxfp4.synth.flow.programs import SynthesisError
from amxfp4.util import files
from amxfp4.util.console import Table, working
from amxfp4.util.errors import reading, writing

__all__ = ["program", "run"]


def _folder(board: Board, out: Path | None) -> Path:
    return Path("build") / "fpga" / board.name if out is None else out


def _show(result: Result) -> None:
    table = Table("", "used", "available", "share")
    for name, use in result.cells.items():
        share = f"{100 * use.used / use.available:.0f} %" if use.available else ""
        table.add(name, f"{use.used:,}", f"{use.available:,}", share)
    table.show()
    verdict = "met" if result.met else "missed"
    print(f"clock {result.clock_mhz:g} MHz, Fmax {result.fmax_mhz:g} MHz: timing is {verdict}")


def _bitstream(board: Board, folder: Path) -> Path:
    return folder / f"{board.name}{board.family.bitstream}"


def _kept(board: Board, folder: Path) -> str:
    """Say that what failed has not taken the last build away, where there is one."""
    bitstream = _bitstream(board, folder)
    return f"\n{bitstream} of an earlier build is still there" if bitstream.is_file() else ""


def run(
    board: Board,
    config: EngineUartConfig,
    *,
    device: str | None,
    seed: int,
    out: Path | None,
    record: Path | None = None,
) -> int:
    """Build a board's bitstream, and print what it takes.

    Options are those of ``amxfp4 fpga build``. Returns 0, or 1 if the circuit does not fit, or is
    too slow. `record` names the table of boards that documents show, to write the figures into.
    """
    folder = _folder(board, out)
    settings = config.to_dict()
    del settings["unit"]
    print(f"{board.title}: " + " ".join(f"{n}={v}" for n, v in settings.items()), flush=True)
    try:
        with working("generating") as step:
            result = build(board, config, folder, device=device, seed=seed, progress=step)
    except TimingError as error:
        _show(error.result)
        print(f"{board.name}: {error}{_kept(board, folder)}", file=sys.stderr)
        return 1
    except SynthesisError as error:
        print(f"{board.name} cannot be built: {error}{_kept(board, folder)}", file=sys.stderr)
        return 1
    _show(result)
    print(f"wrote {_bitstream(board, folder)} in {result.seconds:.0f} s")
    if record is not None:
        with writing("--record", record, "a file that can be written"):
            _record(result, config, record)
    return 0


_HEADER = ("board", "engine", "used", "Fmax", "clock", "configuration")


def _record(result: Result, config: EngineUartConfig, path: Path) -> None:
    """Put a board's row into the table at `path`, which others' rows stay in."""
    rows = {}
    if path.exists():
        rows = {row[0]: row for row in json.loads(path.read_text())["tables"]["boards"]["rows"]}
    lanes = f"{config.lanes} lane{'s' * (config.lanes > 1)}"
    engine = (
        f"{config.rows} x {config.cols}, {lanes}, `{config.format_a}` from {config.input}, "
        f"{config.acc}; K to {config.largest_k}"
    )
    used = ", ".join(
        f"{use.used:,} of {use.available:,} {name}"
        for name, use in result.cells.items()
        if use.used and name != "pins"
    )
    rows[f"`{result.board}` {result.device}"] = [
        f"`{result.board}` {result.device}", engine, used, f"{result.fmax_mhz:.0f} MHz",
        f"{result.clock_mhz:.4g} MHz", f"`{result.digest}`",
    ]  # fmt: skip
    table = {"header": _HEADER, "rows": [rows[name] for name in sorted(rows)]}
    files.write(path, json.dumps({"tables": {"boards": table}}, indent=2) + "\n")


def program(name: str, *, out: Path | None) -> int:
    """Load a board's bitstream, which was built before; return 0, or 1 if the programmer failed.

    Raises
    ------
    ValueError
        There is no bitstream, or the programmer is not installed.
    """
    board = choose("BOARD", name, BOARDS)
    folder = _folder(board, out)
    bitstream = _bitstream(board, folder)
    if not bitstream.is_file():
        raise ValueError(
            f"{bitstream} must be built first: amxfp4 fpga build {board.name}, or make fpga "
            f"BOARD={board.name}"
        )
    tool, *arguments = board.programmer
    found = shutil.which(tool)
    if found is None:
        raise ValueError(f"{tool} must be on PATH to program {board.name} ({board.package})")
    with reading("--out", folder / RESULT, "a folder of a whole build"):
        built = json.loads((folder / RESULT).read_text())
    print(
        f"{board.name} {built['device']}: loading {bitstream}, configuration {built['digest']}, "
        f"Fmax {built['fmax_mhz']:g} MHz for a clock of {built['clock_mhz']:g} MHz",
        flush=True,
    )
    code = subprocess.run([found, *arguments, str(bitstream)], check=False).returncode
    if code:
        print(f"{tool} failed with exit code {code}: is the board connected?", file=sys.stderr)
    return int(code != 0)
