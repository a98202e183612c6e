"""``amxfp4 host``: an engine on a board, real or simulated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from amxfp4.cli.groups import group
from amxfp4.cli.options import (
    ResultFile,
    TransposeB,
    choice,
    integer,
    number,
    passing,
    unit_options,
)
from amxfp4.commands.simulated_board import SMALL
from amxfp4.params.fields import OneOf
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS
from amxfp4.util import extras

__all__ = ["app"]

app = group("Drive an engine on a board, real or simulated (docs/host.md).")

PANEL = "Simulated board (and the options of `amxfp4 host simulate`)"
Connect = Callable[[], Any]
"""Opens the engine at the port that was asked for."""


def _line(
    port: Annotated[
        str,
        typer.Option(
            metavar="PORT", envvar="AMXFP4_PORT",
            help="/dev/ttyUSB0 or COM3; mem:ADDRESS,...; uio:N,...; sim, or sim:BOARD, simulated.",
        ),
    ],
    baud: Annotated[
        int | None, integer("Bits per second on the line; 1000000 by default")
    ] = None,
    noise: Annotated[
        float | None,
        number(
            "Chance of a byte to be flipped, lost or doubled", metavar="P", rich_help_panel=PANEL
        ),
    ] = None,
    noise_seed: Annotated[
        int | None, integer("Seed of the noise", rich_help_panel=PANEL)
    ] = None,
    verilog: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", rich_help_panel=PANEL,
            help="Verilog of the unit, for instance gates; repeat for more.",
        ),
    ] = None,
    build: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of builds.", rich_help_panel=PANEL)
    ] = None,
) -> None:  # fmt: skip
    """Options of every command that talks to an engine."""


def _connect(
    port: str, baud: int | None = None, build: Path = Path("build"), **options: Any
) -> Any:
    extras.require("host")
    if port.partition(":")[0] == "sim":
        extras.require("sim")
    from amxfp4.host import open_engine

    return open_engine(port, baud=baud, build=str(build), **options)


_CONNECTION = [
    *inspect.signature(_line, eval_str=True).parameters.values(),
    *unit_options(EngineUartConfig, without=("baud",), hidden=True),
]
connected = passing("connect", _CONNECTION, lambda given: lambda: _connect(**given))


@app.command()
@connected
def info(connect: Connect) -> None:
    """Say what engine is there, and how well the line works."""
    from amxfp4.commands import host

    with connect() as engine:
        host.info(engine)


@app.command()
@connected
def selftest(
    connect: Connect,
    count: Annotated[int | None, integer("Random products; without it, until Ctrl-C", 0)] = None,
    seed: Annotated[int, integer("Seed of all numbers", 0)] = 1,
    first: Annotated[int, integer("Number of the first random product, to repeat it", 0)] = 0,
) -> int:
    """Check registers, injected errors and products against golden.

    Exits 1 at the first difference, and if nothing was compared.
    """
    from amxfp4.commands import host

    with connect() as engine:
        return host.selftest(engine, count=count, seed=seed, first=first)


@app.command()
@connected
def matmul(
    a: Annotated[str, typer.Argument(metavar="A", help="Tensor [M, K]: FILE, or FILE:NAME.")],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Tensor [K, N]: FILE, or FILE:NAME; or a file that quantize wrote."
        ),
    ],
    connect: Connect,
    out: ResultFile = None,
    transpose_b: TransposeB = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare every bit with golden; exit 1 if it differs."),
    ] = False,
) -> int:
    """Multiply two tensors on the board: C = A B."""
    from amxfp4.commands import host

    operands = host.load(a, b, out=out, transpose_b=transpose_b)
    with connect() as engine:
        return host.matmul(engine, *operands, out=out, check=check)


@app.command()
@connected
def bench(
    connect: Connect,
    repeat: Annotated[int, integer("Products of each size; the fastest counts", 1)] = 3,
    largest: Annotated[int, integer("Most elements of A, and of B", 1)] = 1 << 15,
) -> int:
    """Time products of growing sizes, and read the engine's counters.

    Cycles are compared with the ideal, M N K / (rows cols lanes). Every product is checked;
    exits 1 at the first that is wrong.
    """
    from amxfp4.commands import host

    with connect() as engine:
        return host.bench(engine, repeat=repeat, largest=largest)


@app.command()
@passing("options", unit_options(EngineUartConfig, defaults=SMALL), dict)
def simulate(
    options: Any,
    noise: Annotated[
        float, number("Chance of a byte to be flipped, lost or doubled", metavar="P")
    ] = 0.0,
    noise_seed: Annotated[int, integer("Seed of the noise")] = 1,
    board: Annotated[
        str | None,
        choice("Take the defaults of a board instead.", OneOf(tuple(BOARDS))),
    ] = None,
    verilog: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Verilog of the unit, for instance gates; repeat for more."
        ),
    ] = None,
    guarded: Annotated[
        bool, typer.Option("--guarded", hidden=True, help="End when standard input does.")
    ] = False,
    build: Annotated[Path, typer.Option(metavar="DIR", help="Folder of builds.")] = Path("build"),
) -> None:
    """Serve a simulated board at a pseudo-terminal until stopped.

    The unit is a small one unless options say otherwise; any program can use the printed port.
    """
    extras.require("sim")
    from amxfp4.commands import simulated_board

    simulated_board.simulate(
        options, board=board, noise=noise, noise_seed=noise_seed, sources=tuple(verilog or ()),
        guarded=guarded, build=build,
    )  # fmt: skip
