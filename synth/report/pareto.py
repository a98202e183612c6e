"""The Pareto picture: accuracy against area, and what nothing else beats in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from amxfp4.synth.report import drawing
from amxfp4.synth.report.drawing import COLOURS, MARKERS, Measured, Picture
from amxfp4.synth.report.figures import formats_of, work

__all__ = ["front", "pareto"]

NUMBERED = 20
"""Up to so many points have numbers, with names in the legend; beyond, only those of the front."""

GROUPS = 9
"""Most groups of points that colours and a legend tell apart."""


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that none beats in both, less x and more y: their indices, by growing x."""
    order = sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1]))
    kept: list[int] = []
    for n in order:
        if not kept or points[n][1] > points[kept[-1]][1]:
            kept.append(n)
    return kept


def pareto(
    title: str, measured: dict[str, list[Measured]], accuracy: Mapping[str, float]
) -> Picture | None:
    """Draw accuracy against area, with the front of what nothing else beats in both."""
    target, all_points = next(iter(measured.items()))
    points = [m for m in all_points if math.isfinite(accuracy.get(m.row.digest, math.nan))]
    if not points:
        return None
    places = [(m.area, accuracy[m.row.digest]) for m in points]
    best = front(places)
    figure = Figure(figsize=(8.6, 5.0), layout="constrained")
    ax = figure.subplots()
    groups = _groups(points)
    for number, (name, members) in enumerate(groups.items()):
        xs, ys = zip(*[places[n] for n in members], strict=True)
        ax.scatter(
            xs, ys, s=42, zorder=3, label=name or None,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
        )  # fmt: skip
    sizes = [x for x, _ in places]
    if max(sizes) > 6 * min(sizes):
        ax.set_xscale("log")
        drawing.plain_log(ax, "x")
    # From the bottom up to the smallest, then from step to step, and on at the best to the right.
    corners = [
        (places[best[0]][0], ax.get_ylim()[0]),
        *(places[n] for n in best),
        (ax.get_xlim()[1], places[best[-1]][1]),
    ]
    ax.step(
        *zip(*corners, strict=True),
        where="post", color="#888888", lw=1.2, zorder=1, scalex=False, scaley=False,
        label="front: nothing is smaller and as accurate",
    )  # fmt: skip
    ax.set_xlabel(f"{drawing.axis_label(target, points)}  (left: smaller)")
    of = "matrix products" if work(points[0].row) == "MAC" else "tensors"
    ax.set_ylabel(f"SQNR of real {of} in dB  (up: better)")
    if ax.get_xscale() == "linear":
        drawing.whole_numbers(ax.xaxis)
    names = [", ".join(str(value) for _, value in m.point.varied) or m.point.series for m in points]
    numbered = range(len(points)) if len(points) <= NUMBERED else best
    _numbers(ax, [places[n] for n in numbered], [names[n] for n in numbered])
    words = (f"{name}: {x:.0f}, {y:.1f} dB" for name, (x, y) in zip(names, places, strict=True))
    return Picture(title, figure, "; ".join(words))


def _groups(points: Sequence[Measured]) -> dict[str, list[int]]:
    """Gather indices of points that look alike: by series, by formats or by an option, or else all.

    The first of these with a few values; colours and markers tell no more of them apart.
    """
    ways = [[m.point.series for m in points], [formats_of(m.row) for m in points]]
    options = [dict(m.point.varied) for m in points]
    for option in options[0]:
        ways.append([f"{option} {varied.get(option, '')}".strip() for varied in options])
    # Points with a name each are distinguished by their numbers.
    names = next(
        (way for way in ways if 1 < len(set(way)) <= min(GROUPS, len(way) - 1)), [""] * len(points)
    )
    groups: dict[str, list[int]] = {}
    for n, name in enumerate(names):
        groups.setdefault(name, []).append(n)
    return groups


def _numbers(ax: Any, places: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Write numbers beside points, and right of the picture what they stand for."""
    groups, _ = ax.get_legend_handles_labels()
    listed = []
    for number, (place, name) in enumerate(zip(places, names, strict=True), 1):
        ax.annotate(
            str(number),
            place,
            xytext=(-6, 4),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            zorder=4,
        )
        listed.append(Line2D([], [], ls="", marker=f"${number}$", color="black", label=name))
    ax.legend(
        handles=[*groups, *listed], loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=9,
        labelspacing=0.35,
    )  # fmt: skip
