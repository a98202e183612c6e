"""The ``amxfp4`` command.

Every command imports what it needs when it runs, so that ``--help`` and mistakes answer at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import amxfp4
from amxfp4.cli.host import app as host_app
from amxfp4.cli.options import ALL, Block, Format, TieRule, among, configured, integer_option
from amxfp4.cli.synth import app as synth_app
from amxfp4.params.array import ArrayConfig
from amxfp4.params.checks import choose
from amxfp4.params.formats import FORMATS
from amxfp4.params.units import UNITS
from amxfp4.util import extras

__all__ = ["app", "main", "run"]

BAD_INPUT = 2

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="AMXFP4: 4-bit block-scaled arithmetic as Verilog, as a model and as files.",
    epilog="AMXFP4_DEBUG=1 shows where an error comes from.",
    pretty_exceptions_enable=False,
    # Plain help reads the same in a terminal, a file and a CI log.
    rich_markup_mode=None,
)


app.add_typer(host_app, name="host")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"amxfp4 {amxfp4.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
@configured()
def verilog(
    unit: Annotated[
        str,
        typer.Argument(
            metavar="UNIT",
            help=f"{among(UNITS)}, or {ALL}: each unit as it is by default.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")
    ] = Path("build/verilog"),
    **options: Any,
) -> None:
    """Generate a unit as Verilog.

    Writes DIR/UNIT.v, and DIR/UNIT.json that describes it. Equal options give equal bytes.
    """
    extras.require("rtl")
    from amxfp4.commands import units

    choose("UNIT", unit, dict.fromkeys([*UNITS, ALL]))
    if unit == ALL and options:
        option = min(options).replace("_", "-")
        raise ValueError(f"UNIT must be one of {among(UNITS)} with --{option}, not {unit!r}")
    configs = [units.configure(name, options) for name in (UNITS if unit == ALL else [unit])]
    for config in configs:
        units.generate(config, out)


@app.command()
def quantize(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A .npy, .npz or .safetensors file.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    format: Format = "amxfp4",
    axis: Annotated[
        int, integer_option("Axis along which blocks run; negative counts from the end.")
    ] = -1,
    ties: TieRule = "RNA",
    block: Block = None,
) -> None:
    """Quantize every floating-point tensor of a file to blocks."""
    from amxfp4.commands import convert

    convert.quantize(source, target, format=format, axis=axis, ties=ties, block=block)


@app.command()
def dequantize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file that quantize wrote.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The .safetensors or .npy file to write.")
    ],
) -> None:
    """Turn blocks back into FP32 tensors."""
    from amxfp4.commands import convert

    convert.dequantize(source, target)


@app.command()
@configured("format", "input", "ties")
def matmul(
    a: Annotated[str, typer.Argument(metavar="A", help="Tensor [M, K]: FILE, or FILE:NAME.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Tensor [K, N]: FILE, or FILE:NAME.")],
    transpose_b: Annotated[
        bool, typer.Option("--transpose-b", help="B is [N, K], as linear layers store weights.")
    ] = False,
    through: Annotated[
        str, typer.Option(help="golden: the model alone; rtl: the array in Verilator, checked.")
    ] = "golden",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .npy or .safetensors file for C."),
    ] = None,
    build: Annotated[Path, typer.Option(metavar="DIR", help="Folder of builds.")] = Path("build"),
    **options: Any,
) -> int:
    """Multiply two tensors in 4-bit blocks: C = A B.

    With --through rtl every tile runs through the generated array, and every word is checked.
    """
    if through == "rtl":
        extras.require("sim")
    from amxfp4.commands import matmul as product
    from amxfp4.commands import units

    config = units.configure("array", options)
    assert isinstance(config, ArrayConfig)
    return product.matmul(
        a, b, config=config, transpose_b=transpose_b, through=through, out=out, build=build
    )


@app.command()
def info(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .npy, .npz or .safetensors file.")
    ],
) -> None:
    """List the tensors of a file, with their block formats."""
    from amxfp4.commands import convert

    convert.info(source)


@app.command()
def formats() -> None:
    """List the block formats."""
    from amxfp4.util import console

    table = console.Table("format", "K", "element", "scale", "scales", "scale rule", "bits/element")
    for row in FORMATS.values():
        table.add(
            row.name, row.block, row.element.name, row.scale.name, row.scales, row.scale_rule,
            f"{row.bits_per_element:g}",
        )  # fmt: skip
    table.show()


@app.command()
def sim(
    seed: Annotated[int | None, integer_option("Seed of the testbenches' random stimulus.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of builds and of reports/.")
    ] = Path("build"),
) -> int:
    """Simulate the default units against the golden model.

    First cocotb testbenches, then real tensors as a whole; every output bit counts.
    """
    extras.require("sim")
    from amxfp4.commands import sim

    return sim.run(seed=seed, out=out)


@app.command()
def bench() -> int | None:
    """Measure how fast the golden model is here."""
    from amxfp4.dev import bench

    return bench.run()


app.add_typer(synth_app)

Checkout = Annotated[
    Path | None,
    typer.Argument(metavar="[FOLDER]", help="A checkout; the installed one by default."),
]


@app.command()
def report(
    folder: Checkout = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a table is out of date.")
    ] = False,
) -> int:
    """Rewrite the tables of README.md and docs/ from what the project makes now."""
    from amxfp4.dev import checks, documents

    root = checks.checkout(folder)
    changed = documents.stale(root) if check else documents.update(root)
    for document in changed:
        print(f"{document}: {'out of date' if check else 'rewritten'}")
    return int(check and bool(changed))


@app.command()
def lint(folder: Checkout = None) -> int:
    """Check style, formatting and import rules of a checkout."""
    from amxfp4.dev import checks

    return checks.lint(folder)


@app.command(name="type")
def type_(folder: Checkout = None) -> int:
    """Check the types of a checkout."""
    from amxfp4.dev import checks

    return checks.types(folder)


def _explain(error: Exception) -> str:
    """Say in one line what `error` is about."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        text = f"{error.strerror}: {' -> '.join(names)}" if names else error.strerror
    elif isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "amxfp4"
        text = f"{error.format_message()} (`{path} --help` says what is allowed)"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return the exit code: 0, 1 for a failed check, 2 for bad input."""
    try:
        code = app(args=arguments, prog_name="amxfp4", standalone_mode=False)
    except ModuleNotFoundError as error:
        # What users run says beforehand what it needs; this is for those who develop.
        name = (error.name or "").partition(".")[0]
        if name == "amxfp4" or os.environ.get("AMXFP4_DEBUG"):
            raise
        print(f"amxfp4: error: {extras.missing(name, 'dev')}", file=sys.stderr)
        return BAD_INPUT
    except (OSError, TypeError, ValueError, typer.TyperException) as error:
        if os.environ.get("AMXFP4_DEBUG"):
            raise
        print(f"amxfp4: error: {_explain(error)}", file=sys.stderr)
        return BAD_INPUT
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run())
