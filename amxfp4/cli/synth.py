"""``amxfp4 synth``: what circuits cost, what they spend, and whether gates are right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from amxfp4.cli.groups import group
from amxfp4.cli.options import BuildFolder, choice, for_each, integer, number
from amxfp4.params.fields import OneOf
from amxfp4.params.units import STREAMING, UNITS
from amxfp4.util import extras

__all__ = ["TARGETS", "app"]

TARGETS = ("generic", "liberty", "xilinx", "ecp5", "ice40", "gowin", "ecp5-pnr")
"""Names of `amxfp4.synth.flow.targets.TARGETS`, which take long to import."""
MODELLED = ("generic", "liberty", "ecp5")
"""Targets whose cells there are models of."""

app = group(
    "Synthesize units: cost, energy, checks of gates. Without a command: plan.",
    aliases={unit: ("unit", unit) for unit in UNITS},
    default="plan",
)

Again = Annotated[bool, typer.Option("--again", help="Synthesize anew what is done already.")]
Dsp = Annotated[bool, typer.Option("--dsp", help="Allow DSP blocks, where the target has them.")]
Liberty = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Liberty file; repeat for more. [default: $LIBERTY]"),
]
Script = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Script: fast, area, default; see docs/synthesis.md. [default: default]",
    ),
]


def _target(names: tuple[str, ...]) -> Any:
    return choice(f"What to synthesize for: {', '.join(names)}.", OneOf(names))


@app.command(
    "sweep",
    help="Synthesize a plan; skip combinations that are not a configuration.",
)
@app.command("plan")
def plan(
    context: typer.Context,
    plan: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN",
            help="A TOML file (docs/sweeps.md); of `plan`, the design targets by default.",
        ),
    ] = None,
    build: BuildFolder = Path("build"),
    liberty: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Map to these cells too; repeat for more. [default: $LIBERTY]"
        ),
    ] = None,
    workers: Annotated[
        int | None, integer("Workers to start, one for each core by default", 1)
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory of a worker, as 4GiB. [default: an equal share]"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler, as tcp://host:8786. [default: none]"),
    ] = None,
    again: Again = False,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the tables as JSON too, for documents."),
    ] = None,
) -> int:
    """Synthesize a plan and report what its circuits cost.

    Prints tables and writes DIR/reports/PLAN.html. What is done is not done again.
    """
    sweep = context.info_name == "sweep"
    if sweep and plan is None:
        raise ValueError("PLAN is missing: a TOML file of lists of options (docs/sweeps.md)")
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
        skip=sweep,
        record=record,
    )


unit_app = group("Synthesize one unit, or a part of it, and print what it costs.", word="UNIT")
app.add("unit", unit_app)


@for_each(unit_app, UNITS)
def unit(
    config: Any,
    component: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A part of the unit alone (docs/synthesis.md)."),
    ] = None,
    target: Annotated[str, _target((*TARGETS, "all"))] = "generic",
    dsp: Dsp = False,
    liberty: Liberty = None,
    script: Script = None,
    delay: Annotated[int | None, integer("Delay in ps that library cells are sized for")] = None,
    constraint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What drives inputs and loads outputs, as ABC reads it."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N...", help="Seeds of placement. [default: 1,2,3]")
    ] = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
) -> int:
    """Synthesize {name} and print what it costs.

    Netlists, scripts and logs stay in a folder below DIR; what is done is not done again.
    """
    extras.require("synth")
    from amxfp4.commands import synthesis

    return synthesis.run(
        config,
        component=component, target=target, dsp=dsp, liberty=tuple(liberty or ()), script=script,
        delay_ps=delay, constraint=constraint, seeds=seeds, build=build, again=again,
    )  # fmt: skip


@app.command()
def files(
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
    per: Annotated[int, integer("Lanes or elements that areas are divided by", 1)] = 1,
    target: Annotated[str, _target(TARGETS)] = "generic",
    dsp: Dsp = False,
    liberty: Liberty = None,
    script: Script = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
) -> int:
    """Synthesize another design as ours are, to compare.

    The files are SystemVerilog of any origin; scripts and targets are those of units.
    """
    extras.require("synth")
    from amxfp4.commands import synthesis

    return synthesis.measure(
        tuple(sources), top=top, parameters=tuple(parameter or ()), defines=tuple(define or ()),
        includes=tuple(include or ()), per=per, target=target, dsp=dsp,
        liberty=tuple(liberty or ()), script=script, build=build, again=again,
    )  # fmt: skip


check_app = group("Check a unit's gates against the golden model.", word="UNIT")
app.add("check", check_app)


@for_each(check_app, STREAMING)
def check(
    config: Any,
    target: Annotated[str, _target(MODELLED)] = "generic",
    liberty: Liberty = None,
    script: Script = None,
    blocks: Annotated[int, integer("Random blocks, or pairs of blocks", 1)] = 10_000,
    seed: Annotated[int, integer("Seed of the random stimulus", 0)] = 1,
    proof: Annotated[
        bool, typer.Option("--prove", help="Prove it equal to the generated Verilog as well.")
    ] = False,
    timeout: Annotated[int, integer("Seconds for the proof", 1)] = 300,
    build: BuildFolder = Path("build"),
) -> int:
    """Check the gates of {name} against golden.

    The netlist runs in Verilator under the tests of the unit. Exits 1 if it is wrong.
    """
    extras.require("synth")
    extras.require("sim")
    from amxfp4.commands import postsynth

    return postsynth.run(
        config,
        target=target, liberty=tuple(liberty or ()), script=script, blocks=blocks, seed=seed,
        proof=proof, timeout=timeout, build=build,
    )  # fmt: skip


energy_app = group("Measure the energy of a unit's gates on real tensors.", word="UNIT")
app.add("energy", energy_app)


@for_each(energy_app, STREAMING)
def energy(
    config: Any,
    liberty: Liberty = None,
    components: Annotated[
        bool, typer.Option("--components", help="Measure each component by itself as well.")
    ] = False,
    clock: Annotated[float, number("Frequency; leakage alone depends on it", metavar="MHZ")] = 100,
    slew: Annotated[
        float | None,
        number("Transition time of all inputs (docs/energy.md)", metavar="PS"),
    ] = None,
    wire_load: Annotated[
        str, typer.Option(metavar="NAME", help="Wire-load model of the library; none.")
    ] = "",
    script: Script = None,
    build: BuildFolder = Path("build"),
    again: Again = False,
) -> int:
    """Measure the energy of {name} on real data.

    The unit is mapped to a standard-cell library; every result of its gates is checked.
    """
    extras.require("synth")
    extras.require("sim")  # the stimulus, and what it must give
    from amxfp4.commands import energy

    return energy.run(
        config,
        liberty=tuple(liberty or ()), script=script, components=components, clock_mhz=clock,
        slew_ps=slew, wire_load=wire_load, build=build, again=again,
    )  # fmt: skip
