"""Drawings of a report: area by component, area by lanes, speed by pipeline depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from amxfp4.synth.flow.results import Row
from amxfp4.synth.plan.plan import Listing
from amxfp4.synth.report import drawing
from amxfp4.synth.report.drawing import COLOURS, DARK, STYLE, Measured, Picture, by_series
from amxfp4.synth.report.figures import AREAS, area, clock, work
from amxfp4.synth.report.pareto import pareto
from amxfp4.synth.report.tables import REST, Part, Rows, parts

__all__ = ["breakdown", "draw", "lanes", "pipeline"]

WHOLE_UNIT = "whole unit, where parts share logic"


def draw(
    listing: Listing, rows: Rows, accuracy: Mapping[str, float] | None = None
) -> Picture | None:
    """Draw a list as its plan asks; ``None`` where nothing was measured.

    Parameters
    ----------
    accuracy
        SQNR in dB by digest of the configuration, for ``pareto``.
    """
    measured = drawing.by_target(listing, rows)
    if not listing.picture or not measured:
        return None
    with matplotlib.rc_context(STYLE):
        if listing.picture == "pareto":
            return pareto(listing.title, measured, accuracy or {})
        ways = {"breakdown": breakdown, "lanes": lanes, "pipeline": pipeline}
        return ways[listing.picture](listing.title, measured)


def breakdown(title: str, measured: dict[str, list[Measured]]) -> Picture | None:
    """Draw a bar for each unit, stacked from its components and what remains of the whole."""
    target, points = next(iter(measured.items()))
    rows = {job: m.row for m in points for job in m.point.jobs if job.target == target}
    # Units of the same components share axes.
    groups: dict[tuple[str, ...], list[_Bar]] = {}
    for name, members in by_series(points).items():
        found, whole = parts([m.point for m in members], target, rows)
        if found and whole is not None:
            named = tuple(m.point.component or "" for m in members)
            groups.setdefault((work(whole), *named), []).append(_Bar(name, found, whole))
    if not groups:
        return None
    heights = [len(bars) + 0.6 for bars in groups.values()]
    figure = Figure(figsize=(9, 0.8 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, ((per, *_), bars) in zip(axes, groups.items(), strict=True):
        colours = _colours(bars)
        for level, bar in enumerate(bars):
            bar.draw(ax, level, colours)
        ax.set_yticks(range(len(bars)), [bar.name.replace(", ", "\n", 1) for bar in bars])
        ax.set_ylim(len(bars) - 0.5, -0.5)
        ax.set_xlabel(f"{AREAS[target].name} per {per}")
        ax.grid(axis="y", visible=False)
        drawing.whole_numbers(ax.xaxis)
        handles, labels = ax.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        order = [label for name in (*colours, WHOLE_UNIT) if (label := _words(name)) in unique]
        ax.legend(
            [unique[label] for label in order], order, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    return Picture(title, figure, "; ".join(bar.text for bars in groups.values() for bar in bars))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _colours(bars: Sequence[_Bar]) -> dict[str, str]:
    """Colours of the parts of some bars, in the order of the data path, the rest in grey."""
    names = dict.fromkeys(part.name for bar in bars for part in bar.parts if part.name not in REST)
    return {
        **{name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)},
        **dict(zip(REST, ("#8C8C8C", "#CFCFCF"), strict=True)),
    }


@dataclass(frozen=True)
class _Bar:
    """The parts of one unit, one after the other."""

    name: str
    parts: list[Part]
    whole: Row

    @property
    def sizes(self) -> list[tuple[str, float]]:
        """Area of each part per MAC or element."""
        return [(part.name, part.area / self.whole.macs_per_cycle) for part in self.parts]

    @property
    def text(self) -> str:
        """Its figures in words."""
        return f"{self.name}: " + ", ".join(f"{_words(n)} {size:.0f}" for n, size in self.sizes)

    def draw(self, ax: Any, level: int, colours: Mapping[str, str]) -> None:
        """Draw it at one level, with the share of each part that has room for it."""
        whole = (area(self.whole) or 0.0) / self.whole.macs_per_cycle
        left = 0.0
        for name, size in self.sizes:
            ax.barh(level, size, left=left, color=colours[name], height=0.6, label=_words(name))
            if size > 0.06 * whole:
                dark = colours[name] in DARK
                ax.text(
                    left + size / 2, level, f"{size / whole:.0%}", ha="center", va="center",
                    color="white" if dark else "black", fontsize=10,
                )  # fmt: skip
            left += size
        if left > 1.001 * whole:
            ax.plot([whole] * 2, [level - 0.38, level + 0.38], color="black", label=WHOLE_UNIT)


def lanes(title: str, measured: dict[str, list[Measured]]) -> Picture:
    """Draw area per MAC against lanes, one panel a target."""
    count = len(measured)
    figure = Figure(figsize=(max(7.0, 4.6 * count), 4.4), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    words = []
    for ax, (target, points) in zip(panels, measured.items(), strict=True):
        series = {
            name: [(int(m.row.lanes or 1), m.area) for m in members]
            for name, members in by_series(points).items()
        }
        words += drawing.draw_lines(ax, series, "lanes")
        drawing.lanes_axis(ax, series)
        ax.set_yscale("log")
        drawing.plain_log(ax, "y")
        ax.set_ylabel(drawing.axis_label(target, points))
    panels[0].legend()
    return Picture(title, figure, "; ".join(words))


def pipeline(title: str, measured: dict[str, list[Measured]]) -> Picture | None:
    """Draw the clock against pipeline registers, or gates in series where no delay is known."""
    timed = {t: [m for m in p if clock(m.row)] for t, p in measured.items()}
    target = next((t for t in timed if timed[t]), "")
    points = timed.get(target) or next(iter(measured.values()))
    deep = [m for m in points if clock(m.row) or m.row.depth is not None]
    if not deep:
        return None
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    ax = figure.subplots()
    series = {
        name: [
            (_registers(m), float((clock(m.row) if target else m.row.depth) or 0)) for m in members
        ]
        for name, members in by_series(deep).items()
    }
    words = drawing.draw_lines(ax, series, "registers")
    ax.set_ylim(bottom=0)
    drawing.whole_numbers(ax.xaxis, map(_registers, deep))
    ax.set_xlabel("pipeline registers, besides the accumulator's")
    kind = {"liberty": "estimate from the cells' delays", "ecp5-pnr": "placed and routed"}
    ax.set_ylabel(
        f"MHz ({kind.get(target, target)})"
        if target
        else "gates on the longest path (fewer: faster)"
    )
    ax.legend()
    return Picture(title, figure, "; ".join(words))


def _registers(measured: Measured) -> int:
    return len([name for name in (measured.row.pipeline or "").split(",") if name])
