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
    ACCUMULATIONS,
    BLOCK_SIZES,
    CLASS_SUMS,
    FORMATS,
    INPUTS,
    OUTPUTS,
    PIPELINE,
    SCALING,
    UNITS,
    ArrayConfig,
    Ties,
    choose,
)

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


def _among(names: Any) -> str:
    return ", ".join(str(name) for name in names)


def _integer(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        # typer's own message does not repeat the value.
        raise typer.BadParameter(f"must be an integer, not {text!r}") from None


def _integer_option(text: str) -> Any:
    return typer.Option(parser=_integer, metavar="N", help=text)


Format = Annotated[str | None, typer.Option(help=f"Block format: {_among(FORMATS)}.")]
Block = Annotated[
    int | None,
    _integer_option(f"Elements per block: {_among(BLOCK_SIZES)}; the format's by default."),
]
TieRule = Annotated[str | None, typer.Option(help=f"Where halfway values go: {_among(Ties)}.")]


FormatA = Annotated[str | None, typer.Option(help="Block format of A, as --format.")]
FormatB = Annotated[str | None, typer.Option(help="Block format of B, as --format.")]
Lanes = Annotated[
    int | None, _integer_option("Elements per cycle: a power of two from 1 to the block size.")
]
Output = Annotated[str | None, typer.Option(help=f"Output words: {_among(OUTPUTS)}.")]
Acc = Annotated[
    str | None, typer.Option(help=f"How sums over blocks are kept: {_among(ACCUMULATIONS)}.")
]
MaxBlocks = Annotated[
    int | None, _integer_option("Longest sum the exact accumulator holds, in blocks; 4096.")
]
FracBits = Annotated[int | None, _integer_option("Fraction bits of the fixed accumulator.")]
IntBits = Annotated[int | None, _integer_option("Integer bits of the fixed accumulator.")]
Rows = Annotated[int | None, _integer_option("Rows of the array, 1 to 64; 4.")]
Cols = Annotated[int | None, _integer_option("Columns of the array, 1 to 64; 4.")]
ClassSums = Annotated[
    str | None, typer.Option(help=f"How products are summed by class: {_among(CLASS_SUMS)}.")
]
Scaling = Annotated[
    str | None,
    typer.Option(
        help=f"How the terms of a block are scaled: {_among(SCALING)}; serial where it is free."
    ),
]
Pipeline = Annotated[
    str | None,
    typer.Option(help=f"Registers, separated by commas, out of {_among(PIPELINE)}; all."),
]

Requantize = Annotated[
    str | None, typer.Option(help="Block format that an engine returns C in; none: words.")
]
DepthA = Annotated[int | None, _integer_option("Blocks of a row in a half of A's memory; 64.")]
DepthB = Annotated[int | None, _integer_option("Blocks of a column in a half of B's memory; 64.")]
BytesA = Annotated[int | None, _integer_option("Width of the stream A, 4 to 64 bytes; 8.")]
BytesB = Annotated[int | None, _integer_option("Width of the stream B, as --bytes-a.")]
BytesC = Annotated[int | None, _integer_option("Width of the stream C, as --bytes-a.")]


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
def verilog(
    context: typer.Context,
    unit: Annotated[
        str,
        typer.Argument(
            metavar="UNIT", help=f"{_among(UNITS)}, or {ALL}: each unit as it is by default."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")
    ] = Path("build/verilog"),
    format: Format = None,
    block: Block = None,
    input: Annotated[
        str | None,
        typer.Option(help=f"Words a quantizer reads: {_among(INPUTS)}; an engine: or records."),
    ] = None,
    output: Output = None,
    lanes: Lanes = None,
    ties: TieRule = None,
    format_a: FormatA = None,
    format_b: FormatB = None,
    acc: Acc = None,
    max_blocks: MaxBlocks = None,
    frac_bits: FracBits = None,
    int_bits: IntBits = None,
    rows: Rows = None,
    cols: Cols = None,
    class_sums: ClassSums = None,
    scaling: Scaling = None,
    pipeline: Pipeline = None,
    requantize: Requantize = None,
    depth_a: DepthA = None,
    depth_b: DepthB = None,
    bytes_a: BytesA = None,
    bytes_b: BytesB = None,
    bytes_c: BytesC = None,
) -> None:
    """Generate a unit as Verilog.

    Writes DIR/UNIT.v, and DIR/UNIT.json that describes it. Equal options give equal bytes.
    """
    from amxfp4 import units

    # By name, so that this function needs no list of the options that configure a unit.
    given = {
        name: value
        for name, value in context.params.items()
        if name not in ("unit", "out") and value is not None
    }
    choose("UNIT", unit, dict.fromkeys([*UNITS, ALL]))
    if unit == ALL and given:
        option = min(given).replace("_", "-")
        raise ValueError(f"UNIT must be one of {_among(UNITS)} with --{option}, not {unit!r}")
    configs = [units.configure(name, given) for name in (UNITS if unit == ALL else [unit])]
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
        int, _integer_option("Axis along which blocks run; negative counts from the end.")
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
    format_a: FormatA = None,
    format_b: FormatB = None,
    block: Block = None,
    lanes: Lanes = None,
    acc: Acc = None,
    output: Output = None,
    max_blocks: MaxBlocks = None,
    frac_bits: FracBits = None,
    int_bits: IntBits = None,
    rows: Rows = None,
    cols: Cols = None,
    class_sums: ClassSums = None,
    scaling: Scaling = None,
    pipeline: Pipeline = None,
) -> int:
    """Multiply two tensors in 4-bit blocks: C = A B.

    With --through rtl every tile runs through the generated array, and every word is checked.
    """
    from amxfp4 import product, units

    options = {
        name: value
        for name, value in {
            "format_a": format_a, "format_b": format_b, "block": block, "lanes": lanes, "acc": acc,
            "output": output, "max_blocks": max_blocks, "frac_bits": frac_bits,
            "int_bits": int_bits, "rows": rows, "cols": cols, "class_sums": class_sums,
            "scaling": scaling, "pipeline": pipeline,
        }.items()
        if value is not None
    }  # fmt: skip
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
    seed: Annotated[
        int | None, _integer_option("Seed of the testbenches' random stimulus.")
    ] = None,
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
    int | None, _integer_option("Workers to start, one for each core by default.")
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


@app.command()
def synth(
    context: typer.Context,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help=_among(UNITS))],
    component: Annotated[
        str | None, typer.Option(help="A part of the unit alone (docs/synthesis.md).")
    ] = None,
    target: Annotated[
        str, typer.Option(help=f"What to synthesize for: {_among(SYNTH_TARGETS)}, or {ALL}.")
    ] = "generic",
    dsp: Annotated[
        bool, typer.Option("--dsp", help="Allow DSP blocks, where the target has them.")
    ] = False,
    liberty: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Liberty file; repeat for more. Else $LIBERTY."),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(help="How: fast, area, default; not all everywhere (docs/synthesis.md)."),
    ] = None,
    delay: Annotated[
        int | None, _integer_option("Delay in ps that library cells are sized for.")
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
    format: Format = None,
    block: Block = None,
    input: Annotated[
        str | None,
        typer.Option(help=f"Words a quantizer reads: {_among(INPUTS)}; an engine: or records."),
    ] = None,
    output: Output = None,
    lanes: Lanes = None,
    ties: TieRule = None,
    format_a: FormatA = None,
    format_b: FormatB = None,
    acc: Acc = None,
    max_blocks: MaxBlocks = None,
    frac_bits: FracBits = None,
    int_bits: IntBits = None,
    rows: Rows = None,
    cols: Cols = None,
    class_sums: ClassSums = None,
    scaling: Scaling = None,
    pipeline: Pipeline = None,
    requantize: Requantize = None,
    depth_a: DepthA = None,
    depth_b: DepthB = None,
    bytes_a: BytesA = None,
    bytes_b: BytesB = None,
    bytes_c: BytesC = None,
) -> int:
    """Synthesize a unit, or a part of one, and print what it costs.

    Netlists, scripts and logs stay in a folder below DIR; what is done is not done again.
    """
    from amxfp4 import synthesis

    own = (
        "unit", "component", "target", "dsp", "liberty", "script", "delay", "constraint", "seeds",
        "build", "again",
    )  # fmt: skip
    return synthesis.run(
        unit,
        {n: value for n, value in context.params.items() if n not in own and value is not None},
        component=component, target=target, dsp=dsp, liberty=tuple(liberty or ()), script=script,
        delay_ps=delay, constraint=constraint, seeds=seeds, build=build, again=again,
    )  # fmt: skip


@app.command()
def energy(
    context: typer.Context,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help=_among(UNITS))],
    liberty: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Liberty file; repeat for more. Else $LIBERTY."),
    ] = None,
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
    script: Annotated[
        str | None,
        typer.Option(help="How: fast, area, default; not all everywhere (docs/synthesis.md)."),
    ] = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
    format: Format = None,
    block: Block = None,
    input: Annotated[
        str | None,
        typer.Option(help=f"Words a quantizer reads: {_among(INPUTS)}; an engine: or records."),
    ] = None,
    output: Output = None,
    lanes: Lanes = None,
    ties: TieRule = None,
    format_a: FormatA = None,
    format_b: FormatB = None,
    acc: Acc = None,
    max_blocks: MaxBlocks = None,
    frac_bits: FracBits = None,
    int_bits: IntBits = None,
    rows: Rows = None,
    cols: Cols = None,
    class_sums: ClassSums = None,
    pipeline: Pipeline = None,
) -> int:
    """Measure the energy of a unit's gates on real tensors.

    The unit is mapped to a standard-cell library; every result of its gates is checked.
    """
    from amxfp4 import energy

    own = (
        "unit", "liberty", "components", "clock", "slew", "wire_load", "script", "build", "again",
    )  # fmt: skip
    return energy.run(
        unit,
        {n: value for n, value in context.params.items() if n not in own and value is not None},
        liberty=tuple(liberty or ()), script=script, components=components, clock_mhz=clock,
        slew_ps=slew, wire_load=wire_load, build=build, again=again,
    )  # fmt: skip


@app.command()
def postsynth(
    context: typer.Context,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help=_among(UNITS))],
    target: Annotated[
        str, typer.Option(help="What to synthesize for: generic, liberty or ecp5.")
    ] = "generic",
    liberty: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Liberty file; repeat for more. Else $LIBERTY."),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(help="How: fast, area, default; not all everywhere (docs/synthesis.md)."),
    ] = None,
    blocks: Annotated[int, _integer_option("Random blocks, or pairs of blocks.")] = 10_000,
    seed: Annotated[int, _integer_option("Seed of the random stimulus.")] = 1,
    proof: Annotated[
        bool, typer.Option("--prove", help="Prove it equal to the generated Verilog as well.")
    ] = False,
    timeout: Annotated[int, _integer_option("Seconds for the proof.")] = 300,
    build: BuildFolder = Path("build"),
    format: Format = None,
    block: Block = None,
    input: Annotated[
        str | None,
        typer.Option(help=f"Words a quantizer reads: {_among(INPUTS)}; an engine: or records."),
    ] = None,
    output: Output = None,
    lanes: Lanes = None,
    ties: TieRule = None,
    format_a: FormatA = None,
    format_b: FormatB = None,
    acc: Acc = None,
    max_blocks: MaxBlocks = None,
    frac_bits: FracBits = None,
    int_bits: IntBits = None,
    rows: Rows = None,
    cols: Cols = None,
    class_sums: ClassSums = None,
    pipeline: Pipeline = None,
) -> int:
    """Check the gates that synthesis made of a unit against the golden model.

    The netlist runs in Verilator under the tests of the unit. Exits 1 if it is wrong.
    """
    from amxfp4 import postsynth

    own = (
        "unit", "target", "liberty", "script", "blocks", "seed", "proof", "timeout", "build",
    )  # fmt: skip
    return postsynth.run(
        unit,
        {n: value for n, value in context.params.items() if n not in own and value is not None},
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
