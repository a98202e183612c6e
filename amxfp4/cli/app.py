"""The ``amxfp4`` command; commands on files and groups of commands are in the modules beside.

Every command imports what it needs when it runs, so that ``--help`` and mistakes answer at once.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

import amxfp4
from amxfp4.cli import dev, files, fpga, host, synth
from amxfp4.cli.accuracy import accuracy
from amxfp4.cli.explain import explain
from amxfp4.cli.groups import group
from amxfp4.cli.options import (
    for_each,
    integer,
)
from amxfp4.params.fields import OneOf
from amxfp4.params.formats import FORMATS
from amxfp4.params.units import UNITS
from amxfp4.params.weights import WEIGHT_FORMATS, weight_format
from amxfp4.util import extras

__all__ = ["command", "main", "run"]

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes; no other place decides them but commands that return 0 or 1."""

app = group(
    "AMXFP4: 4-bit block-scaled arithmetic as Verilog, as a model and as files.",
    aliases={
        "bench": ("dev", "bench"),
        "cost": ("synth", "plan"),
        "energy": ("synth", "energy"),
        "lint": ("dev", "lint"),
        "measure": ("synth", "files"),
        "postsynth": ("synth", "check"),
        "program": ("fpga", "program"),
        "report": ("dev", "report"),
        "sweep": ("synth", "sweep"),
        "type": ("dev", "type"),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`amxfp4 dev` lists what developers of amxfp4 need. AMXFP4_DEBUG=1 shows where an "
    "error comes from.",
)
verilog_app = group("Generate Verilog for a unit.", word="UNIT")
app.add("verilog", verilog_app)


def _version(asked: bool) -> None:
    if asked:
        print(f"amxfp4 {amxfp4.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


VerilogFolder = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")
]


@for_each(verilog_app, UNITS)
def verilog(
    config: Any,
    out: VerilogFolder = Path("build/verilog"),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the top module and of the files; by default the unit's."),
    ] = None,
) -> None:
    """Generate Verilog for {name}.

    Writes DIR/{name}.v, and DIR/{name}.json that describes it. Equal options give equal bytes.
    """
    extras.require("rtl")
    from amxfp4.commands import units

    units.generate(config, out, name)


@verilog_app.command("all")
def verilog_all(out: VerilogFolder = Path("build/verilog")) -> None:
    """Generate every unit with its defaults."""
    extras.require("rtl")
    from amxfp4.commands import units

    for config in UNITS.values():
        units.generate(config(), out)


for _command in (files.quantize, files.dequantize, files.matmul, files.info, files.compare):
    app.command()(_command)
app.command()(accuracy)


@app.command()
def formats() -> None:
    """List the block formats, and the weight formats of AFPQ."""
    from amxfp4.util import console

    table = console.Table("format", "K", "element", "scale", "scales", "scale rule", "bits/element")
    for row in FORMATS.values():
        table.add(
            row.name, row.block, row.element.name, row.scale.name, row.scales, row.scale_rule,
            f"{row.bits_per_element:g}",
        )  # fmt: skip
    table.show()
    table = console.Table("weights", "K", "bits", "scale", "scales", "bits/element", "packed")
    for weight in WEIGHT_FORMATS.values():
        packed = weight_format(weight.name, packed=True)
        table.add(
            weight.name, f"{weight.block} or a row", weight.bits, "fp32 or fp16", weight.sides,
            f"{weight.bits_per_element:g}", f"{packed.bits_per_element:g}",
        )  # fmt: skip
    table.show()


def _tests_of(context: typer.Context) -> list[str]:
    """Name the tests of the unit that was typed."""
    from amxfp4.verif.sim import benches

    unit = context.params.get("unit")
    return benches.names(unit) if unit in UNITS else []


@app.command()
def sim(
    unit: Annotated[
        str | None,
        typer.Argument(
            metavar="UNIT",
            help=f"One of {OneOf(tuple(UNITS))}, or a folder that `verilog` wrote; all by default.",
            autocompletion=lambda: list(UNITS),
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="One test of the unit's testbench.", autocompletion=_tests_of
        ),
    ] = None,
    seed: Annotated[int | None, integer("Seed of the random stimulus")] = None,
    waves: Annotated[bool, typer.Option("--waves", help="Record every signal as VCD.")] = False,
    jobs: Annotated[
        int | None, integer("Random jobs of a test of an engine; 12 by default", 1)
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of builds and of reports/.")
    ] = Path("build"),
) -> int:
    """Simulate the units against the golden model, or one of them.

    First cocotb testbenches, then real tensors as a whole; every output bit counts. With a UNIT,
    its testbench alone.
    """
    extras.require("sim")
    from amxfp4.commands import sim

    return sim.run(unit=unit, test=test, seed=seed, waves=waves, jobs=jobs, out=out)


app.add("synth", synth.app)
app.add("fpga", fpga.app)
app.add("host", host.app)
app.add("dev", dev.app, hidden=True)


@functools.cache
def command() -> Any:
    """Make the whole command line, which takes a tenth of a second."""
    return get_command(app)


def _outcome(error: Exception) -> tuple[int, str] | None:
    """Exit code and text of an error of the user's; ``None`` for a defect of ours."""
    if isinstance(error, ModuleNotFoundError):
        # What users run says beforehand what it needs; this is for those who develop.
        name = (error.name or "").partition(".")[0]
        text = f"amxfp4: error: {extras.missing(name, 'dev')}"
        return None if name == "amxfp4" else (BAD_INPUT, text)
    if isinstance(error, AssertionError):  # a check of the hardware failed, unless a plain assert
        return None if type(error) is AssertionError else (FAILED, str(error))
    if isinstance(error, OSError | TypeError | ValueError | typer.TyperException):
        return BAD_INPUT, f"amxfp4: error: {explain(error)}"
    return None


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code.

    0 for success, 1 for a failed check, 2 for bad input or a missing tool, 130 for Ctrl-C.
    Anything else that is raised is a defect, and shown as such.
    """
    try:
        code = command().main(arguments, prog_name="amxfp4", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        outcome = _outcome(error)
        if outcome is None:
            raise
        if os.environ.get("AMXFP4_DEBUG"):
            traceback.print_exc()
        print(outcome[1], file=sys.stderr)
        return outcome[0]
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run())
