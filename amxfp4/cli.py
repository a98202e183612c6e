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
from amxfp4.gen.config import (
    FORMATS,
    UNITS,
    ArrayConfig,
    choose,
)
from amxfp4.host_cli import app as host_app
from amxfp4.options import Block, Format, TieRule, among, configured, integer_option

__all__ = ["app", "main", "run"]

ALL = "all"
SYNTH_TARGETS = ("generic", "liberty", "xilinx", "ecp5", "ice40", "gowin", "ecp5-pnr")
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
    from amxfp4 import units

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
    from amxfp4 import convert

    convert.quantize(source, target, format=format, axis=axis, ties=ties, block=block)


@app.command()
def dequantize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file that quantize wrote.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The .safetensors or .npy file to write.")
    ],
) -> None:
    """Turn blocks back into FP32 tensors."""
    from amxfp4 import convert

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
    from amxfp4 import product, units

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
    from amxfp4 import convert

    convert.info(source)


@app.command()
def formats() -> None:
    """List the block formats."""
    from amxfp4 import console

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
    from amxfp4.verif import sim

    return sim.run(seed=seed, out=out)


@app.command()
def bench() -> int | None:
    """Measure how fast the golden model is here."""
    from amxfp4.verif import bench

    return bench.run()


PlanLiberty = Annotated[
    list[Path] | None,
    typer.Option(
        "--liberty", metavar="FILE", help="Map to these cells, too; repeat for more. Else $LIBERTY."
    ),
]
BuildFolder = Annotated[
    Path, typer.Option("--build", metavar="DIR", help="Folder of builds and of reports/.")
]
WorkerCount = Annotated[
    int | None, integer_option("Workers to start, one for each core by default.")
]
WorkerMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory of a worker, as 4GiB; an equal share by default."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Dask scheduler to work with, as tcp://host:8786."),
]
Again = Annotated[bool, typer.Option("--again", help="Synthesize anew what is done already.")]


Liberty = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Liberty file; repeat for more. Else $LIBERTY."),
]
Script = Annotated[
    str | None,
    typer.Option(help="How: fast, area, default; not all everywhere (docs/synthesis.md)."),
]


@app.command()
@configured()
def synth(
    unit: Annotated[str, typer.Argument(metavar="UNIT", help=among(UNITS))],
    component: Annotated[
        str | None, typer.Option(help="A part of the unit alone (docs/synthesis.md).")
    ] = None,
    target: Annotated[
        str, typer.Option(help=f"What to synthesize for: {among(SYNTH_TARGETS)}, or {ALL}.")
    ] = "generic",
    dsp: Annotated[
        bool, typer.Option("--dsp", help="Allow DSP blocks, where the target has them.")
    ] = False,
    liberty: Liberty = None,
    script: Script = None,
    delay: Annotated[
        int | None, integer_option("Delay in ps that library cells are sized for.")
    ] = None,
    constraint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What drives inputs and loads outputs, as ABC reads it."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N...", help="Seeds of placement; 1,2,3.")
    ] = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
    **options: Any,
) -> int:
    """Synthesize a unit, or a part of one, and print what it costs.

    Netlists, scripts and logs stay in a folder below DIR; what is done is not done again.
    """
    from amxfp4 import synthesis

    return synthesis.run(
        unit, options,
        component=component, target=target, dsp=dsp, liberty=tuple(liberty or ()), script=script,
        delay_ps=delay, constraint=constraint, seeds=seeds, build=build, again=again,
    )  # fmt: skip


@app.command()
def measure(
    sources: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="SystemVerilog or Verilog files.")
    ],
    top: Annotated[str, typer.Option(metavar="NAME", help="The top module.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-G", metavar="NAME=VALUE", help="A parameter of the top; repeat for more."),
    ] = None,
    define: Annotated[
        list[str] | None,
        typer.Option("-D", metavar="NAME[=VALUE]", help="A macro; repeat for more."),
    ] = None,
    include: Annotated[
        list[Path] | None,
        typer.Option("-I", metavar="DIR", help="Folder of included files; repeat for more."),
    ] = None,
    per: Annotated[int, integer_option("Lanes or elements that areas are divided by.")] = 1,
    target: Annotated[
        str, typer.Option(help=f"What to synthesize for: {among(SYNTH_TARGETS)}.")
    ] = "generic",
    dsp: Annotated[
        bool, typer.Option("--dsp", help="Allow DSP blocks, where the target has them.")
    ] = False,
    liberty: Liberty = None,
    script: Script = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
) -> int:
    """Synthesize another design as ours are, to compare.

    The files are SystemVerilog of any origin; scripts and targets are those of synth.
    """
    from amxfp4 import synthesis

    return synthesis.measure(
        tuple(sources), top=top, parameters=tuple(parameter or ()), defines=tuple(define or ()),
        includes=tuple(include or ()), per=per, target=target, dsp=dsp,
        liberty=tuple(liberty or ()), script=script, build=build, again=again,
    )  # fmt: skip


@app.command()
@configured("clock")  # that of a serial line, which no unit with streams has
def energy(
    unit: Annotated[str, typer.Argument(metavar="UNIT", help=among(UNITS))],
    liberty: Liberty = None,
    components: Annotated[
        bool, typer.Option("--components", help="Keep components apart, and tell them apart.")
    ] = False,
    clock: Annotated[
        float, typer.Option(metavar="MHZ", help="Frequency; leakage alone depends on it.")
    ] = 100,
    slew: Annotated[
        float | None,
        typer.Option(metavar="PS", help="Transition time of all inputs; see docs/energy.md."),
    ] = None,
    wire_load: Annotated[
        str, typer.Option(metavar="NAME", help="Wire-load model of the library; none.")
    ] = "",
    script: Script = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
    **options: Any,
) -> int:
    """Measure the energy of a unit's gates on real tensors.

    The unit is mapped to a standard-cell library; every result of its gates is checked.
    """
    from amxfp4 import energy

    return energy.run(
        unit, options,
        liberty=tuple(liberty or ()), script=script, components=components, clock_mhz=clock,
        slew_ps=slew, wire_load=wire_load, build=build, again=again,
    )  # fmt: skip


@app.command()
@configured()
def postsynth(
    unit: Annotated[str, typer.Argument(metavar="UNIT", help=among(UNITS))],
    target: Annotated[
        str, typer.Option(help="What to synthesize for: generic, liberty or ecp5.")
    ] = "generic",
    liberty: Liberty = None,
    script: Script = None,
    blocks: Annotated[int, integer_option("Random blocks, or pairs of blocks.")] = 10_000,
    seed: Annotated[int, integer_option("Seed of the random stimulus.")] = 1,
    proof: Annotated[
        bool, typer.Option("--prove", help="Prove it equal to the generated Verilog as well.")
    ] = False,
    timeout: Annotated[int, integer_option("Seconds for the proof.")] = 300,
    build: BuildFolder = Path("build"),
    **options: Any,
) -> int:
    """Check the gates that synthesis made of a unit against the golden model.

    The netlist runs in Verilator under the tests of the unit. Exits 1 if it is wrong.
    """
    from amxfp4 import postsynth

    return postsynth.run(
        unit, options,
        target=target, liberty=tuple(liberty or ()), script=script, blocks=blocks, seed=seed,
        proof=proof, timeout=timeout, build=build,
    )  # fmt: skip


@app.command()
def cost(
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="[PLAN]", help="A TOML file; the design targets by default."),
    ] = None,
    build: BuildFolder = Path("build"),
    liberty: PlanLiberty = None,
    workers: WorkerCount = None,
    memory: WorkerMemory = None,
    scheduler: Scheduler = None,
    again: Again = False,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the tables as JSON, too, for documents."),
    ] = None,
) -> int:
    """Synthesize a plan and report what its circuits cost.

    Prints tables and writes DIR/reports/synth.html. What is done is not done again.
    """
    from amxfp4 import cost
    from amxfp4.synth.plan import DEFAULT
    from amxfp4.synth.workers import Workers

    return cost.run(
        plan or DEFAULT,
        build=build,
        page=f"{plan.stem if plan else 'synth'}.html",
        liberty=tuple(liberty or ()),
        workers=Workers(scheduler=scheduler, count=workers, memory=memory),
        again=again,
        skip=False,
        record=record,
    )


@app.command()
def sweep(
    plan: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A TOML file of lists of options (docs/sweeps.md)."),
    ],
    build: BuildFolder = Path("build"),
    liberty: PlanLiberty = None,
    workers: WorkerCount = None,
    memory: WorkerMemory = None,
    scheduler: Scheduler = None,
    again: Again = False,
) -> int:
    """Synthesize every combination of options in a file.

    As cost, but combinations that are not a configuration are skipped, and all tables are printed.
    """
    from amxfp4 import cost
    from amxfp4.synth.workers import Workers

    return cost.run(
        plan,
        build=build,
        page=f"{plan.stem}.html",
        liberty=tuple(liberty or ()),
        workers=Workers(scheduler=scheduler, count=workers, memory=memory),
        again=again,
        skip=True,
    )


BOARDS = ("ulx3s", "orangecrab", "icebreaker")
BoardName = Annotated[str, typer.Argument(metavar="BOARD", help=among(BOARDS))]
BoardFolder = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Folder of results; build/fpga/BOARD."),
]


@app.command()
@configured("clock")  # the board's
def fpga(
    board: BoardName,
    out: BoardFolder = None,
    seed: Annotated[int, integer_option("Seed of the placement.")] = 1,
    device: Annotated[
        str | None, typer.Option(help="Size of the board's FPGA, as 25F or 85F.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the figures into this table, for documents."),
    ] = None,
    **options: Any,
) -> int:
    """Build a bitstream: an engine behind a board's serial line.

    Each board has a configuration that fits; options change it. Exits 1 if the circuit does not
    fit, or is too slow for the board's clock. Needs amxfp4[fpga].
    """
    from amxfp4 import fpga

    return fpga.run(board, options, device=device, seed=seed, out=out, record=record)


@app.command()
def program(board: BoardName, out: BoardFolder = None) -> int:
    """Load a bitstream that was built into its board."""
    from amxfp4 import fpga

    return fpga.program(board, out=out)


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
    from amxfp4 import checks, report

    root = checks.checkout(folder)
    changed = report.stale(root) if check else report.update(root)
    for document in changed:
        print(f"{document}: {'out of date' if check else 'rewritten'}")
    return int(check and bool(changed))


@app.command()
def lint(folder: Checkout = None) -> int:
    """Check style, formatting and import rules of a checkout."""
    from amxfp4 import checks

    return checks.lint(folder)


@app.command(name="type")
def type_(folder: Checkout = None) -> int:
    """Check the types of a checkout."""
    from amxfp4 import checks

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
    except (OSError, TypeError, ValueError, typer.TyperException) as error:
        if os.environ.get("AMXFP4_DEBUG"):
            raise
        print(f"amxfp4: error: {_explain(error)}", file=sys.stderr)
        return BAD_INPUT
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run())
