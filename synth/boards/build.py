"""From a board and a configuration to a bitstream, with Amaranth's build system.

Yosys, nextpnr and the packers are the WebAssembly ones of ``amxfp4[fpga]``, unless environment
variables name others, as Amaranth reads them (YOSYS, NEXTPNR_ECP5 and so on).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from amxfp4.params.checks import choose
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards.board import Board, Family
from amxfp4.synth.flow.programs import SynthesisError, execute
from amxfp4.synth.flow.targets import BOARD_OPTIONS
from amxfp4.util import files
from amxfp4.util.errors import writing

__all__ = ["RESULT", "Result", "TimingError", "Use", "build", "read_report", "require"]

RESULT = "build.json"
"""What was built, and its figures."""
_REPORT = "report.json"
_WRITABLE = "a folder that can be written"


@dataclass(frozen=True)
class Use:
    """Cells of a kind."""

    used: int
    available: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """Figures of a board that was placed and routed."""

    board: str
    device: str
    digest: str
    seed: int
    clock_mhz: float
    """What it must reach."""
    fmax_mhz: float
    """What it reaches."""
    cells: dict[str, Use]
    """By what they are."""
    seconds: float

    @property
    def met(self) -> bool:
        """Whether it is fast enough."""
        return self.fmax_mhz >= self.clock_mhz


class TimingError(SynthesisError):
    """A board's circuit is too slow for its clock; `result` has the figures."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            f"Fmax must be at least the clock's {result.clock_mhz:g} MHz, not "
            f"{result.fmax_mhz:g}: try another --seed, fewer --lanes, or a longer --pipeline"
        )
        self.result = result


def require(board: Board) -> None:
    """Say what is missing.

    Raises
    ------
    ValueError
        A package of the ``fpga`` extra is not installed.
    """
    modules = {"amaranth_boards", *(module for module, _ in board.family.tools.values())}
    missing = sorted(name for name in modules if importlib.util.find_spec(name) is None)
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise ValueError(f"{names} must be installed for boards: pip install 'amxfp4[fpga]'")


def _tools(board: Board) -> dict[str, str]:
    """Say by environment variables where the programs are, as Amaranth asks."""
    scripts = Path(sys.executable).parent
    found = dict(board.environment or {})
    for name, (_, script) in board.family.tools.items():
        here = scripts / script
        found[name.upper().replace("-", "_")] = str(here) if here.exists() else script
    # What the user says goes first.
    return {name: os.environ.get(name, value) for name, value in found.items()}


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def read_report(text: str, family: Family) -> tuple[float, float, dict[str, Use]]:
    """Read nextpnr's report.

    Returns
    -------
    The slowest clock's frequency that is reached and that is asked for, in MHz; the cells.

    Raises
    ------
    ValueError
        There is no clock in it, or a kind of cell is missing.
    """
    report = json.loads(text)
    clocks = report.get("fmax", {}).values()
    if not clocks:
        raise ValueError("nextpnr's report must have a clock, not none")
    slowest = min(clocks, key=lambda clock: clock["achieved"] / clock["constraint"])
    cells = {}
    for name, cell in family.cells.items():
        counts = choose("cell of nextpnr's report", cell, report["utilization"])
        cells[name] = Use(counts["used"], counts["available"])
    return slowest["achieved"], slowest["constraint"], cells


def _stage(folder: Path, board: Board) -> str:
    """Say what the build in `folder` is at."""
    if list(folder.glob("*.config")) + list(folder.glob("*.asc")):
        return "packing the bitstream"
    if (folder / f"{board.name}.json").exists():
        return "placing and routing"
    return "synthesizing"


def _refuse_foreign(out: Path) -> None:
    """Leave a folder alone that holds something else than a build: it would be deleted."""
    with writing("--out", out, _WRITABLE):
        ours = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not ours and not (out / RESULT).is_file():
        raise ValueError(
            f"--out must be a folder of an earlier build (with {RESULT}), an empty one or a new "
            f"one, not {str(out)!r}: what is in it would be deleted"
        )


def build(
    board: Board,
    config: EngineUartConfig,
    out: Path,
    *,
    device: str | None = None,
    seed: int = 1,
    progress: Callable[[str], None] = lambda stage: None,
) -> Result:
    """Build a board's bitstream into `out`: everything, or nothing.

    Parameters
    ----------
    config
        Its clock must be the board's.
    out
        A folder; what an earlier build has left there is replaced.
    device
        One of the board's; the first by default.
    seed
        Of the placement.
    progress
        Called with the current stage, repeatedly.

    Raises
    ------
    ValueError
        A package is missing, `device` is unknown, or `out` cannot be written, or holds something
        that no build has made.
    TimingError
        The circuit is too slow.
    SynthesisError
        A program failed; as a rule the circuit does not fit.
    OSError
        A program cannot be started, or the disk is full.
    """
    device = device or next(iter(board.devices))
    make = choose("--device", device, dict(board.devices))
    _refuse_foreign(out)
    require(board)
    from amaranth.build.run import LocalBuildProducts

    from amxfp4.gen import verilog
    from amxfp4.gen.netlist import to_verilog
    from amxfp4.synth.boards.top import BoardTop

    start = time.monotonic()
    place = out.resolve()  # also of "." and of a link
    with contextlib.ExitStack() as stack:
        with writing("--out", out, _WRITABLE):
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent)
            scratch = Path(stack.enter_context(beside))
        progress("generating")
        generated = verilog.generate(config)
        platform = make()
        platform.add_file(f"{config.unit}.v", generated.text)
        with _environment(_tools(board)):
            plan = platform.prepare(
                BoardTop(board), board.name,
                nextpnr_opts=f"--seed {seed} --report {_REPORT} --timing-allow-fail",
                synth_opts=BOARD_OPTIONS,
            )  # fmt: skip
            plan.extract(scratch)
            execute(["sh", f"{plan.script}.sh"], scratch,
                    watch=lambda: progress(_stage(scratch, board)))  # fmt: skip
        fmax, clock, cells = read_report((scratch / _REPORT).read_text(), board.family)
        result = Result(
            board=board.name, device=device, digest=config.digest, seed=seed,
            clock_mhz=clock, fmax_mhz=round(fmax, 2), cells=cells,
            seconds=round(time.monotonic() - start, 1),
        )  # fmt: skip
        if not result.met:
            raise TimingError(result)
        bitstream = LocalBuildProducts(scratch).get(f"{board.name}{board.family.bitstream}")
        made = scratch / "made"
        made.mkdir()
        verilog.write(generated, made)
        top = to_verilog([plan.files[f"{board.name}.il"]])
        (made / f"{board.name}.v").write_text(f"// amxfp4 {board.name} {config.digest}\n{top}")
        (made / f"{board.name}{board.family.bitstream}").write_bytes(board.finish(bitstream))
        (made / "nextpnr.txt").write_text((scratch / f"{board.name}.tim").read_text())
        (made / RESULT).write_text(json.dumps(asdict(result), indent=2) + "\n")
        with writing("--out", out, _WRITABLE), files.replacing(place) as fresh:
            made.replace(fresh)
    return result
