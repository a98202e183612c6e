"""The commands of synthesis and of bitstreams: what a unit costs, and a board that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from amxfp4.cli.options import ALL, among, configured, integer_option
from amxfp4.params.units import UNITS
from amxfp4.util import extras

__all__ = ["BOARDS", "TARGETS", "app"]

TARGETS = ("generic", "liberty", "xilinx", "ecp5", "ice40", "gowin", "ecp5-pnr")
BOARDS = ("ulx3s", "orangecrab", "icebreaker")

app = typer.Typer()


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

Unit = Annotated[str, typer.Argument(metavar="UNIT", help=among(UNITS))]
Dsp = Annotated[bool, typer.Option("--dsp", help="Allow DSP blocks, where the target has them.")]
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
    unit: Unit,
    component: Annotated[
        str | None, typer.Option(help="A part of the unit alone (docs/synthesis.md).")
    ] = None,
    target: Annotated[
        str, typer.Option(help=f"What to synthesize for: {among(TARGETS)}, or {ALL}.")
    ] = "generic",
    dsp: Dsp = False,
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
    extras.require("synth")
    from amxfp4.commands import synthesis

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
        str, typer.Option(help=f"What to synthesize for: {among(TARGETS)}.")
    ] = "generic",
    dsp: Dsp = False,
    liberty: Liberty = None,
    script: Script = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
) -> int:
    """Synthesize another design as ours are, to compare.

    The files are SystemVerilog of any origin; scripts and targets are those of synth.
    """
    extras.require("synth")
    from amxfp4.commands import synthesis

    return synthesis.measure(
        tuple(sources), top=top, parameters=tuple(parameter or ()), defines=tuple(define or ()),
        includes=tuple(include or ()), per=per, target=target, dsp=dsp,
        liberty=tuple(liberty or ()), script=script, build=build, again=again,
    )  # fmt: skip


@app.command()
@configured("clock")  # that of a serial line, which no unit with streams has
def energy(
    unit: Unit,
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
    extras.require("synth")
    extras.require("sim")  # the stimulus, and what it must give
    from amxfp4.commands import energy

    return energy.run(
        unit, options,
        liberty=tuple(liberty or ()), script=script, components=components, clock_mhz=clock,
        slew_ps=slew, wire_load=wire_load, build=build, again=again,
    )  # fmt: skip


@app.command()
@configured()
def postsynth(
    unit: Unit,
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
    extras.require("synth")
    extras.require("sim")
    from amxfp4.commands import postsynth

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
    extras.require("synth")
    from amxfp4.commands import cost
    from amxfp4.synth.plan.plan import DEFAULT
    from amxfp4.synth.plan.workers import Workers

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
    extras.require("synth")
    from amxfp4.commands import cost
    from amxfp4.synth.plan.workers import Workers

    return cost.run(
        plan,
        build=build,
        page=f"{plan.stem}.html",
        liberty=tuple(liberty or ()),
        workers=Workers(scheduler=scheduler, count=workers, memory=memory),
        again=again,
        skip=True,
    )


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
    extras.require("rtl")
    from amxfp4.commands import fpga

    return fpga.run(board, options, device=device, seed=seed, out=out, record=record)


@app.command()
def program(board: BoardName, out: BoardFolder = None) -> int:
    """Load a bitstream that was built into its board."""
    extras.require("rtl")
    from amxfp4.commands import fpga

    return fpga.program(board, out=out)
