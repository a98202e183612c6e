"""The web page of a plan's results: one file, with its tables and drawings inside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amxfp4.synth.gates.energy_per_mac import EnergyRow
from amxfp4.synth.plan.goals import load_peers
from amxfp4.synth.plan.plan import Plan
from amxfp4.synth.plan.workers import Outcome
from amxfp4.synth.report import energy_report, pictures, tables
from amxfp4.synth.report.drawing import Picture
from amxfp4.synth.report.tables import Rows, Table
from amxfp4.synth.report.template import rendered
from amxfp4.util import files

__all__ = ["Report", "Section", "make", "write"]

_STYLES = {
    "aim reached": "good",
    "beaten": "good",
    "beaten, short of the aim": "fair",
    "short of the aim": "fair",
    "behind": "bad",
    "not measured": "bad",
}


@dataclass(frozen=True)
class Section:
    """A table of the page, and the picture above it."""

    table: Table
    picture: Picture | None = None
    printed: bool = True
    """Whether a terminal shows the table as well."""

    @property
    def anchor(self) -> str:
        """Name of its heading in links."""
        return re.sub(r"\W+", "-", self.table.title.lower())


@dataclass(frozen=True, kw_only=True)
class Report:
    """What there is to say about a plan's results."""

    plan: Plan
    sections: tuple[Section, ...]
    failures: tuple[Outcome, ...]
    tools: Mapping[str, str]


def make(
    plan: Plan,
    outcomes: Sequence[Outcome],
    *,
    accuracy: Mapping[str, float] | None = None,
    energy: Sequence[EnergyRow] = (),
) -> Report:
    """Put the results of a plan into tables and drawings.

    Parameters
    ----------
    outcomes
        Of the plan's jobs.
    accuracy
        SQNR in dB by digest of the configuration, for pictures of accuracy against area.
    energy
        What was measured of it in the same folder of builds.

    Raises
    ------
    ValueError
        There are no results to report.
    """
    rows: Rows = {o.job: o.row for o in outcomes if o.row is not None}
    if not rows:
        raise ValueError(f"{plan.path}: must have results to report, not {len(outcomes)} failures")
    sections = []
    if plan.goals:
        sections.append(Section(tables.goals(plan, rows)))
        sections.append(Section(tables.peers(plan, rows, load_peers()), printed=False))
    for listing in plan.listings:
        if listing.picture == "breakdown":
            table = tables.components(listing, rows)
        else:
            drawn = (accuracy or {}) if listing.picture == "pareto" else {}
            table = tables.listing(listing, rows, drawn)
        picture = pictures.draw(listing, rows, accuracy)
        sections.append(Section(table, picture, listing.terminal))
    if energy:
        sections.append(Section(energy_report.table(energy), energy_report.picture(energy), False))
    return Report(
        plan=plan,
        sections=tuple(sections),
        failures=tuple(o for o in outcomes if o.row is None),
        tools=tables.tools(rows),
    )


def name(outcome: Outcome, plan: Plan) -> str:
    """Name a job as the plan does: its label and the target."""
    for listing in plan.listings:
        for point in listing.points:
            if outcome.job in point.jobs:
                return f"{point.label} for {outcome.job.target}"
    return f"{outcome.job.top} for {outcome.job.target}"


def _style(cell: str) -> str:
    """CSS class of a cell."""
    if cell in _STYLES:
        return _STYLES[cell]
    if cell.startswith(("smaller, ", "LARGER, ")):
        return "good" if cell.startswith("smaller") else "bad"
    return "number" if re.fullmatch(r"(> )?[\d,.]+%?|-", cell) else ""


def _heading_style(table: Table, column: int) -> str:
    """CSS class of a heading: as the numbers below it, if there are any."""
    return (
        "number"
        if any(re.search(r"\d", r[column]) and _style(r[column]) == "number" for r in table.rows)
        else ""
    )


def _scripts(plan: Plan) -> str:
    """Name the scripts behind the figures of each target."""
    used = dict.fromkeys((job.target, job.script) for job in plan.jobs)
    return ", ".join(f"{script} for {target}" for target, script in used)


def write(report: Report, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    targets = dict.fromkeys(job.target for job in report.plan.jobs)
    text = rendered(
        Path(__file__).with_name("page.html"),
        title=report.plan.title,
        summary=(
            f"{len(report.plan.jobs)} jobs on {', '.join(targets)}; {len(report.failures)} failed. "
            "Areas are synthesis estimates, without place and route unless a target says so. "
            "Logic only: DSP blocks are used where a circuit is marked dsp=True, and nowhere else. "
            "Less is better."
        ),
        sections=report.sections,
        failures=[
            {"name": name(o, report.plan), "error": o.error, "log": o.log} for o in report.failures
        ],
        skipped=report.plan.skipped,
        tools=report.tools,
        style=_style,
        heading_style=_heading_style,
        scripts=_scripts(report.plan),
    )
    files.write(path, text)
