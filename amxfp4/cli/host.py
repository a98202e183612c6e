"""The commands of the host program: ``amxfp4 host``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from amxfp4.cli.options import configured, integer_option
from amxfp4.util import extras

__all__ = ["app"]

app = typer.Typer(
    help="Drive an engine on a board, real or simulated (docs/host.md).",
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


Port = Annotated[
    str,
    typer.Option(
        "--port", metavar="PORT", envvar="AMXFP4_PORT",
        help="/dev/ttyUSB0 or COM3; mem:ADDRESS,...; uio:N,...; sim, or sim:BOARD, simulated.",
    ),
]  # fmt: skip
NoiseShare = Annotated[
    float | None,
    typer.Option(metavar="P", help="Of a simulated line: chance of a byte to be harmed."),
]
Sources = Annotated[
    list[Path] | None,
    typer.Option(
        "--verilog", metavar="FILE",
        help="Of a simulated board: Verilog of the unit, for instance gates; repeat for more.",
    ),
]  # fmt: skip
NoiseSeed = Annotated[int | None, integer_option("Seed of the noise; 1.")]
BuildFolder = Annotated[
    Path, typer.Option("--build", metavar="DIR", help="Folder of a simulated board's builds.")
]


def _open(
    port: str,
    noise: float | None,
    noise_seed: int | None,
    verilog: list[Path] | None,
    build: Path,
    options: dict[str, Any],
) -> Any:
    """Open the engine at a port; `options` are those of a simulated board, and the bit rate."""
    extras.require("host")
    if port.partition(":")[0] == "sim":
        extras.require("sim")
    from amxfp4.host import open_engine

    baud = options.pop("baud", None)
    given = {"noise": noise, "noise_seed": noise_seed, "verilog": verilog}
    options |= {name: value for name, value in given.items() if value is not None}
    return open_engine(port, baud=baud, build=str(build), **options)


@app.command()
@configured()
def info(
    port: Port,
    noise: NoiseShare = None,
    noise_seed: NoiseSeed = None,
    verilog: Sources = None,
    build: BuildFolder = Path("build"),
    **options: Any,
) -> None:
    """Say what engine is there, and how well the line works.

    The other options are --baud of a serial port, and what a simulated board is made of.
    """
    from amxfp4.commands import host as host_commands

    with _open(port, noise, noise_seed, verilog, build, options) as engine:
        host_commands.info(engine)


@app.command()
@configured()
def selftest(
    port: Port,
    count: Annotated[
        int | None, integer_option("Random products; without it, until Ctrl-C.")
    ] = None,
    seed: Annotated[int, integer_option("Seed of all numbers.")] = 1,
    first: Annotated[int, integer_option("Number of the first random product, to repeat it.")] = 0,
    noise: NoiseShare = None,
    noise_seed: NoiseSeed = None,
    verilog: Sources = None,
    build: BuildFolder = Path("build"),
    **options: Any,
) -> int:
    """Check registers, provoked errors and products against golden, bit for bit.

    Exits 1 at the first difference, and if nothing was compared.
    """
    from amxfp4.commands import host as host_commands

    for name, value in (("--count", 0 if count is None else count), ("--first", first)):
        if value < 0:
            raise ValueError(f"{name} must be at least 0, not {value}")
    if seed < 0:
        raise ValueError(f"--seed must be at least 0, not {seed}")
    with _open(port, noise, noise_seed, verilog, build, options) as engine:
        return host_commands.selftest(engine, count=count, seed=seed, first=first)


@app.command()
@configured()
def matmul(
    a: Annotated[str, typer.Argument(metavar="A", help="Tensor [M, K]: FILE, or FILE:NAME.")],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Tensor [K, N]: FILE, or FILE:NAME; or a file that quantize wrote."
        ),
    ],
    port: Port,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .npy or .safetensors file for C."),
    ] = None,
    transpose_b: Annotated[
        bool, typer.Option("--transpose-b", help="B is [N, K], as linear layers store weights.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare every bit with golden; exit 1 if it differs."),
    ] = False,
    noise: NoiseShare = None,
    noise_seed: NoiseSeed = None,
    verilog: Sources = None,
    build: BuildFolder = Path("build"),
    **options: Any,
) -> int:
    """Multiply two tensors on the board: C = A B."""
    from amxfp4.commands import host as host_commands

    operands = host_commands.load(a, b, out=out, transpose_b=transpose_b)
    with _open(port, noise, noise_seed, verilog, build, options) as engine:
        return host_commands.matmul(engine, *operands, out=out, check=check)


@app.command()
@configured()
def bench(
    port: Port,
    repeat: Annotated[int, integer_option("Products of each size; the fastest counts.")] = 3,
    largest: Annotated[int, integer_option("Most elements of A, and of B; 32768.")] = 1 << 15,
    noise: NoiseShare = None,
    noise_seed: NoiseSeed = None,
    verilog: Sources = None,
    build: BuildFolder = Path("build"),
    **options: Any,
) -> int:
    """Time products of growing sizes, and read the engine's counters.

    Cycles are compared with the ideal, M N K / (rows cols lanes). Every product is checked;
    exits 1 at the first that is wrong.
    """
    from amxfp4.commands import host as host_commands

    for name, value in (("--repeat", repeat), ("--largest", largest)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    with _open(port, noise, noise_seed, verilog, build, options) as engine:
        return host_commands.bench(engine, repeat=repeat, largest=largest)


@app.command()
@configured()
def simulate(
    noise: Annotated[
        float, typer.Option(metavar="P", help="Chance of a byte to be flipped, lost or doubled.")
    ] = 0.0,
    noise_seed: Annotated[int, integer_option("Seed of the noise.")] = 1,
    board: Annotated[
        str | None,
        typer.Option(metavar="BOARD", help="Be what amxfp4 fpga BOARD builds, but for options."),
    ] = None,
    verilog: Sources = None,
    guarded: Annotated[
        bool, typer.Option("--guarded", hidden=True, help="End when standard input does.")
    ] = False,
    build: Annotated[Path, typer.Option(metavar="DIR", help="Folder of builds.")] = Path("build"),
    **options: Any,
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
