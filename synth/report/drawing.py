"""What all drawings share: colours, letters, and how they become SVG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from amxfp4.synth.flow.results import Row
from amxfp4.synth.plan.plan import Listing, Point
from amxfp4.synth.report.figures import AREAS, area, smallest, work
from amxfp4.synth.report.tables import Rows

__all__ = [
    "COLOURS", "DARK", "MARKERS", "STYLE", "Measured", "Picture", "Place", "axis_label",
    "by_series", "by_target", "draw_lines", "lanes_axis", "plain_log", "whole_numbers",
]  # fmt: skip

Place = tuple[float, float]

# Distinct for colour-blind readers as well (Okabe and Ito), and in print by their markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DARK = ("#0072B2", "#D55E00", "#009E73", "#444444", "#8C8C8C")
"""Colours on which white is easier to read than black."""

STYLE: Any = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "path",  # looks the same on every machine
    "svg.hashsalt": "amxfp4",  # equal drawings are equal bytes
}


@dataclass(frozen=True)
class Picture:
    """A drawing, and what it says to who does not see it."""

    title: str
    figure: Figure
    text: str

    def svg(self) -> str:
        """As an ``<svg>`` element that refers to nothing outside itself."""
        file = io.StringIO()
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(file, format="svg", metadata={"Date": None}, bbox_inches="tight")
        text = file.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
        # HTML knows these names; with them the page would seem to load something.
        return re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)


@dataclass(frozen=True)
class Measured:
    """A point of a plan with its row on one target."""

    point: Point
    row: Row

    @property
    def area(self) -> float:
        """Area per MAC or element."""
        value = area(self.row)
        assert value is not None
        return value / self.row.macs_per_cycle


def by_target(listing: Listing, rows: Rows) -> dict[str, list[Measured]]:
    """Points with an area, by target in the order of `AREAS`."""
    found: dict[str, list[Measured]] = {}
    for point in listing.points:
        for target in dict.fromkeys(job.target for job in point.jobs):
            row = smallest(rows.get(job) for job in point.jobs if job.target == target)
            if row is not None and area(row) is not None:
                found.setdefault(target, []).append(Measured(point, row))
    return {target: found[target] for target in AREAS if target in found}


def by_series(points: Iterable[Measured]) -> dict[str, list[Measured]]:
    """Gather points by the plan's entry they come from."""
    found: dict[str, list[Measured]] = {}
    for measured in points:
        found.setdefault(measured.point.series, []).append(measured)
    return found


def axis_label(target: str, points: Sequence[Measured]) -> str:
    """Say what an axis of areas shows."""
    per = " or ".join(dict.fromkeys(work(p.row) for p in points))
    return f"{AREAS[target].name} per {per}"


def draw_lines(ax: Any, series: Mapping[str, Sequence[Place]], of: str) -> list[str]:
    """Draw a line for each series, by its name; say in words what they show, `of` what in x."""
    words = []
    for number, (name, places) in enumerate(series.items()):
        line = sorted(places)
        xs, ys = zip(*line, strict=True)
        ax.plot(
            xs, ys, label=name, color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)], lw=1.8, ms=6,
        )  # fmt: skip
        words.append(f"{name}: " + ", ".join(f"{x:g} {of} {y:.0f}" for x, y in line))
    return words


def whole_numbers(axis: Any, marks: Iterable[float] | None = None) -> None:
    """Label an axis in whole numbers, at `marks` if there are any."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if marks is not None:
        axis.set_major_locator(FixedLocator(sorted(set(marks))))
        axis.set_minor_locator(NullLocator())


def lanes_axis(ax: Any, series: Mapping[str, Sequence[Place]]) -> None:
    """Make x an axis of lanes, marked where there are points."""
    ax.set_xscale("log", base=2)
    whole_numbers(ax.xaxis, (x for places in series.values() for x, _ in places))
    ax.set_xlabel("lanes")


def plain_log(ax: Any, which: str) -> None:
    """Mark a logarithmic axis, x or y, at round figures, written out."""
    axis = getattr(ax, f"{which}axis")
    low, high = getattr(ax, f"get_{which}lim")()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    axis.set_major_locator(FixedLocator([d * 10.0**p for p in powers for d in (1, 2, 5)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())
