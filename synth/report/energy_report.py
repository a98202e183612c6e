"""Energy in a report: a table of what was measured, and energy per MAC against lanes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import matplotlib
from matplotlib.figure import Figure

from amxfp4.synth.gates.energy_per_mac import EnergyRow
from amxfp4.synth.report.drawing import STYLE, Picture, draw_lines, lanes_axis, whole_numbers
from amxfp4.synth.report.figures import formats_of, work
from amxfp4.synth.report.tables import Table, number

__all__ = ["picture", "table"]

_PARTS = ("switching_fj", "internal_fj", "leakage_fj", "clock_fj")


def _conditions(row: EnergyRow) -> tuple[str, str]:
    """Say on what cells and how fast."""
    kept = ", components kept apart" if row.hierarchy else ""
    wires = f", {row.wire_load}" if row.wire_load else ""
    script = "" if row.script == "fast" else f", {row.script}"
    return row.liberty, f"{row.voltage:g} V, {row.frequency_mhz:g} MHz{wires}{script}{kept}"


def _groups(rows: Sequence[EnergyRow]) -> dict[tuple[str, tuple[str, str]], list[EnergyRow]]:
    """Whole units, by configuration and conditions: a row for each workload, the latest."""
    groups: dict[tuple[str, tuple[str, str]], dict[str, EnergyRow]] = {}
    for row in rows:
        if not row.component:
            groups.setdefault((row.digest, _conditions(row)), {})[row.workload] = row
    return {name: list(latest.values()) for name, latest in groups.items()}


def _name(row: EnergyRow) -> str:
    return ", ".join(text for text in (row.unit, formats_of(row), row.acc) if text)


def table(rows: Sequence[EnergyRow]) -> Table:
    """List the energies of whole units, each the mean over its workloads."""
    header = (
        "unit", "lanes", "per", "fJ", "switching", "internal", "leakage", "clock", "workloads",
        "cells", "conditions",
    )  # fmt: skip
    lines = []
    for (_, conditions), members in _groups(rows).items():
        row = members[0]
        figures = (number(mean(getattr(m, part) for m in members)) for part in _PARTS)
        lines.append(
            (
                _name(row), str(row.lanes), work(row),
                number(mean(m.total_fj for m in members)), *figures,
                ", ".join(m.workload for m in members), *conditions,
            )
        )  # fmt: skip
    note = "Femtojoules on real tensors, gate by gate; docs/energy.md says what is counted."
    return Table(title="Energy", header=header, rows=lines, note=note)


def picture(rows: Sequence[EnergyRow]) -> Picture | None:
    """Draw energy per MAC against lanes, a panel for each library and its conditions."""
    panels: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for (_, conditions), members in _groups(rows).items():
        row = members[0]
        if row.unit == "dot" and not row.hierarchy:
            place = (float(row.lanes or 1), mean(m.total_fj for m in members))
            panels.setdefault(conditions, {}).setdefault(_name(row), []).append(place)
    if not panels:
        return None
    words = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(7.0, 5.0 * len(panels)), 4.6), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (where, series) in zip(axes, panels.items(), strict=True):
            words += draw_lines(ax, series, "lanes")
            lanes_axis(ax, series)
            ax.set_ylim(bottom=0)
            whole_numbers(ax.yaxis)
            ax.set_ylabel("fJ per MAC")
            ax.set_title("\n".join(where), fontsize=10, loc="left")
            ax.legend()
    return Picture("Energy", figure, "; ".join(words))
