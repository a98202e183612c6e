"""The targets: what is run for each, and what is read from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from amxfp4.synth.flow import liberty, pnr, utilization
from amxfp4.synth.flow.measures import Figures, cells, depth, statistics
from amxfp4.synth.flow.programs import yosys
from amxfp4.synth.flow.utilization import Family

if TYPE_CHECKING:
    from amxfp4.synth.flow.job import Job

__all__ = ["ABC_SCRIPTS", "BOARD_OPTIONS", "SCRIPT", "TARGETS", "Target", "fill", "script_options"]

_FOLDER = Path(__file__).parents[1] / "yosys"
"""The scripts, with @name@ where something is filled in."""

SCRIPT = "script.ys"
"""The filled-in Yosys script in a job's folder."""

ABC_SCRIPTS = {
    "fast": "strash; dc2; dc2; map",
    "area": "strash; dc2; dc2; dch; amap",
    # What Yosys takes when nothing is said.
    "default": "strash; &get -n; &fraig -x; &put; scorr; dc2; dretime; strash; &get -n; &dch -f; "
    "&nf {D}; &put",
}
"""What ABC does to gates, by name; the first is what is done when nothing is said."""

FLOW_SCRIPTS = {"default": ""}
"""Options of a flow for FPGAs, by name."""
WIDE_SCRIPTS = {
    "default": "",
    # Multiplexers behind LUTs make wide functions fast, at up to twice the LUTs that they need.
    "area": "-nowidelut",
}

# What is read from an address in the cycle in which it is written is never used by this project's
# units. Yosys cannot know, and would build comparators and registers around every block RAM.
BOARD_OPTIONS = "-no-rw-check"
"""Options of Yosys' flow with which bitstreams are made."""

_SIZING = "topo; buffer -c; upsize {D}; dnsize {D}"
# `map` may leave gates without a use, at which `stime` stops; `topo` drops them.
_REPORT = "topo; print_stats; stime -p"


def fill(name: str, values: Mapping[str, str]) -> str:
    """Text of the script file `name`, with every @name@ replaced by its value."""
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], (_FOLDER / name).read_text())


@dataclass(frozen=True, kw_only=True)
class Target:
    """One way to synthesize."""

    script: str
    """Its Yosys script."""
    read: Callable[[Job, Path], Figures]
    """Figures in a folder in which everything ran, by column of the results."""
    scripts: Mapping[str, str] = field(default_factory=lambda: ABC_SCRIPTS)
    """What may be chosen to be done, by name, the usual first."""
    family: Family | None = None
    """Its FPGA family, whose DSP blocks it may be allowed to use."""
    placed: bool = False
    """Whether it is placed and routed, once for each seed."""
    tools: tuple[str, ...] = ("pyosys",)
    """Distributions whose versions decide the result."""

    def run(self, job: Job, folder: Path) -> None:
        """Run all programs in a folder that holds the Verilog.

        Raises
        ------
        SynthesisError
            One of them failed.
        ValueError
            A Liberty file is none, or has no gate equivalent.
        """
        if job.liberty:
            liberty.summarize(job.liberty)
        (folder / SCRIPT).write_text(job.yosys_script)
        if job.constraint is not None:
            (folder / "constraint.txt").write_bytes(job.constraint.read_bytes())
        if job.seeds is not None:
            (folder / "harness.v").write_text(pnr.harness(job.verilog, job.top))
        yosys(SCRIPT, folder)
        if job.seeds is not None:
            pnr.place(folder, job.seeds)
        if job.opensta_script is not None:
            liberty.analyse(folder, job.opensta_script)


def script_options(job: Job) -> str:
    """Options that the script of a job is: of the flow, or of ABC with what it aims at."""
    chosen = job.flow.scripts[job.script or ""]
    if job.flow.scripts is not ABC_SCRIPTS:
        return chosen
    steps, options = [chosen], []
    if job.delay_ps is not None or job.constraint is not None:
        steps.append(_SIZING)
    if job.liberty:
        steps.append(_REPORT)
    if job.constraint is not None:
        options.append("-constr constraint.txt")
    if job.delay_ps is not None:
        options.append(f"-D {job.delay_ps:g}")
    # Yosys wants commas for blanks here.
    script = "; ".join(steps).replace("; ", ";").replace(" ", ",")
    return " ".join([*options, f"-script +{script}"])


def _generic(job: Job, folder: Path) -> Figures:
    transistors = statistics(folder)["estimated_num_transistors"]
    if not transistors.isdigit():
        raise ValueError(f"cells must be of types whose transistors are known, not {transistors}")
    return {
        "transistors": int(transistors),
        "ff": cells(folder).get("$_DFF_P_", 0),
        "depth": depth(folder),
    }


def _fpga(family: Family, scripts: Mapping[str, str] = WIDE_SCRIPTS) -> Target:
    return Target(
        script="fpga.ys", read=lambda _, folder: family.read(folder), scripts=scripts, family=family
    )


TARGETS: dict[str, Target] = {
    "generic": Target(script="generic.ys", read=_generic),
    "liberty": Target(
        script="liberty.ys",
        read=lambda job, folder: liberty.read(folder, job.liberty, flat=not job.hierarchy),
    ),
    "xilinx": _fpga(utilization.XILINX),
    "ecp5": _fpga(utilization.ECP5, WIDE_SCRIPTS | {"boards": BOARD_OPTIONS}),
    "ice40": _fpga(utilization.ICE40, FLOW_SCRIPTS),
    "gowin": _fpga(utilization.GOWIN),
    "ecp5-pnr": Target(
        script="ecp5-pnr.ys",
        read=lambda job, folder: pnr.read(folder, job.seeds or ()),
        scripts=WIDE_SCRIPTS,
        family=utilization.ECP5,
        placed=True,
        tools=("pyosys", pnr.TOOL),
    ),
}
"""Every target, by name."""
