"""``amxfp4 fpga``: bitstreams for boards."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from amxfp4.cli.groups import group
from amxfp4.cli.options import choice, for_each, integer, passing, unit_options
from amxfp4.params.fields import OneOf
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.boards import BOARDS
from amxfp4.synth.boards.board import Board
from amxfp4.util import extras

__all__ = ["app"]

app = group(
    "Build bitstreams for boards, and load them.",
    aliases={board: ("build", board) for board in BOARDS},
)
build_app = group("Build the bitstream of a board.", word="BOARD")
app.add("build", build_app)

ResultFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder of results. [default: build/fpga/BOARD]"
    ),
]


def _board_options(board: Board) -> Callable[..., Any]:
    """Options of a board: its device's, and the engine's without the clock, which is fixed."""
    sizes = OneOf(tuple(board.devices))
    device = inspect.Parameter(
        "device",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            str | None, choice(f"Size of the FPGA: {sizes}. [default: {sizes.values[0]}]", sizes)
        ],
    )
    options = unit_options(EngineUartConfig, without=("clock",), defaults=board.options)

    def make(given: dict[str, Any]) -> tuple[Board, str | None, EngineUartConfig]:
        size = given.pop("device", None)
        return board, size, board.configure(given)

    return passing("target", [device, *options], make)


@for_each(build_app, BOARDS, _board_options)
def build(
    target: Any,
    out: ResultFolder = None,
    seed: Annotated[int, integer("Seed of the placement", 0)] = 1,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the figures into this table, for documents."),
    ] = None,
) -> int:
    """Build the bitstream of {name}.

    It is an engine behind a serial line; the defaults fit the board. Exits 1 if the circuit does
    not fit, or is too slow for the board's clock. Needs amxfp4[fpga].
    """
    extras.require("rtl")
    from amxfp4.commands import fpga

    board, device, config = target
    return fpga.run(board, config, device=device, seed=seed, out=out, record=record)


@app.command()
def program(
    board: Annotated[
        str,
        typer.Argument(
            metavar="BOARD", help=f"One of {', '.join(BOARDS)}.", autocompletion=lambda: [*BOARDS]
        ),
    ],
    out: ResultFolder = None,
) -> int:
    """Load a bitstream into its board."""
    extras.require("rtl")
    from amxfp4.commands import fpga

    return fpga.program(board, out=out)
