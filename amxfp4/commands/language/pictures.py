"""The pictures of the page of ``amxfp4 accuracy``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from amxfp4 import golden
from amxfp4.golden.formats import decode
from amxfp4.params.formats import E2M1
from amxfp4.synth.report.drawing import COLOURS, MARKERS, Picture
from amxfp4.synth.report.pareto import front

__all__ = ["Mark", "dominated", "fidelity", "groups", "losses", "shares"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A format in a picture of losses: what it costs, and its loss over FP32.

    Parameters
    ----------
    error
        Standard error of `loss`, nats; 0 where there is none.
    """

    name: str
    cost: float
    loss: float
    error: float


def dominated(marks: Sequence[Mark]) -> set[str]:
    """Names of what another format beats in cost and loss, be it by less than the errors."""
    best = front([(mark.cost, -mark.loss) for mark in marks])
    return {mark.name for mark in marks} - {marks[n].name for n in best}


def losses(
    title: str, axis: str, panels: Mapping[str, Sequence[Mark]], names: Sequence[str]
) -> Picture | None:
    """Draw losses against a cost, a panel for each mode; what is dominated is hollow.

    Parameters
    ----------
    axis
        Says what the cost is.
    panels
        By mode.
    names
        All formats: each has the same colour and marker in every picture.
    """
    panels = {mode: marks for mode, marks in panels.items() if marks}
    if not panels:
        return None
    figure = Figure(figsize=(6.2 * len(panels) + 2.6, 5.0), layout="constrained")
    words, handles = [], {}
    for ax, (mode, marks) in zip(
        np.atleast_1d(figure.subplots(1, len(panels), sharey=False)), panels.items(), strict=True
    ):
        beaten = dominated(marks)
        for mark, x in zip(marks, _beside(marks), strict=True):
            number = names.index(mark.name)
            colour = COLOURS[number % len(COLOURS)]
            marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
            ax.errorbar(
                x, mark.loss, 2 * mark.error, ls="", color=colour, capsize=2, lw=1.0, ms=6.5,
                marker=marker, markerfacecolor="white" if mark.name in beaten else colour, zorder=3,
            )  # fmt: skip
            handles[mark.name] = Line2D([], [], ls="", ms=6.5, marker=marker, color=colour)
            words.append(
                f"{mark.name} {mode}: {mark.cost:g}, {mark.loss:.3f} +- {mark.error:.3f} nats"
            )
        steps = sorted((m.cost, m.loss) for m in marks if m.name not in beaten)
        ax.step(
            [*(x for x, _ in steps), ax.get_xlim()[1]], [*(y for _, y in steps), steps[-1][1]],
            where="post", color="#888888", lw=1.2, zorder=1, scalex=False, scaley=False,
        )  # fmt: skip
        ax.set_ylim(bottom=0)
        ax.set_title(mode, loc="left", fontsize=11)
    figure.supxlabel(f"{axis}  (left: cheaper)", fontsize=11)
    figure.supylabel("nats over FP32, +- 2 errors  (down: better)", fontsize=11)
    order = [name for name in names if name in handles]
    figure.legend(
        [handles[name] for name in order], order, loc="outside right upper", fontsize=9,
        labelspacing=0.35,
    )  # fmt: skip
    return Picture(title, figure, "; ".join(words))


def _beside(marks: Sequence[Mark]) -> list[float]:
    """Places in x: marks of one cost stand beside one another, so that their errors are seen."""
    costs = [mark.cost for mark in marks]
    gap = (max(costs) - min(costs) or 1.0) / 45
    places = []
    for n, cost in enumerate(costs):
        alike = [k for k, other in enumerate(costs) if abs(other - cost) < gap / 2]
        places.append(cost + gap * (alike.index(n) - (len(alike) - 1) / 2))
    return places


def groups(found: Mapping[str, Sequence[float]]) -> Picture | None:
    """Draw groups of activations, and the values that FP4 has for them under one scale and two."""
    if not found:
        return None
    formats = {"mxfp4-e5m2": "one scale", "amxfp4": "two scales"}
    figure = Figure(figsize=(11.5, 2.5 * len(found) + 0.4), layout="constrained")
    words = []
    for ax, (name, values) in zip(
        np.atleast_1d(figure.subplots(len(found), 1)), found.items(), strict=True
    ):
        x = np.array([values], np.float32)
        ax.plot(x[0], np.full(x.size, 2.0), "|", color="#222222", ms=16)
        for y, format in zip((1.0, 0.0), formats, strict=True):
            q = golden.quantize(x, format, block=x.size)
            grid = _grid(q)
            ax.plot(grid, np.full(len(grid), y), "|", color="#AAAAAA", ms=22)
            taken = golden.dequantize(q)[0]
            colour = COLOURS[1 if y else 0]
            ax.plot(taken, np.full(x.size, y), "os"[int(y)], color=colour, ms=6, alpha=0.75)
            noise = float(np.square(taken - x[0], dtype=np.float64).sum())
            words.append(f"{name}, {format}: squared error {noise:.4g}")
            ax.annotate(
                f"squared error {noise:.3g}", (1.01, y), xycoords=("axes fraction", "data"),
                va="center", fontsize=9,
            )  # fmt: skip
        ax.axvline(0, color="#BBBBBB", lw=0.8, zorder=0)
        labels = [f"{format}: {what}" for format, what in formats.items()]
        ax.set_yticks([2, 1, 0], ["activations", *labels])
        ax.set_ylim(-0.6, 2.6)
        ax.grid(visible=False)
        ax.set_title(name, loc="left", fontsize=11)
    return Picture("A group of activations before and after", figure, "; ".join(words))


def _grid(q: Any) -> Any:
    """All values that elements of a block can have."""
    positive, negative = (float(decode(side, q.row.scale)[0, 0]) for side in q.scales)
    points = decode(np.arange(8, dtype=np.uint8), E2M1)
    return np.concatenate([-points[::-1] * negative, points * positive])


def fidelity(
    mode: str, rows: Mapping[str, Mapping[str, float]], kinds: Sequence[str]
) -> Picture | None:
    """Draw SQNR in dB by kind of operand, a marker for each format."""
    rows = {name: found for name, found in rows.items() if found}
    if not rows:
        return None
    figure = Figure(figsize=(9.6, 0.5 * len(kinds) + 1.6), layout="constrained")
    ax = figure.subplots()
    words = []
    kinds = [kind for kind in kinds if any(kind in found for found in rows.values())]
    places = {kind: y for y, kind in enumerate(reversed(kinds))}
    for number, (name, found) in enumerate(rows.items()):
        held = [kind for kind in kinds if kind in found]
        above = 0.3 - 0.6 * (number + 0.5) / len(rows)  # many are nearly equal
        ax.plot(
            [found[kind] for kind in held], [places[kind] + above for kind in held], ls="", ms=7,
            marker=MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)],
            label=name, alpha=0.85,
        )  # fmt: skip
        words += [f"{name} {kind}: {found[kind]:.1f} dB" for kind in held]
    ax.set_yticks(list(places.values()), list(places))
    ax.set_xlabel("SQNR in dB  (right: better)")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
    return Picture(f"How much of the operands survives, {mode}", figure, "; ".join(words))


def shares(steps: Mapping[str, Sequence[tuple[str, float, float]]]) -> Picture | None:
    """Draw what each step from one format to the next gains, a group of bars for each mode.

    Parameters
    ----------
    steps
        By mode: what a step is, nats gained and their standard error.
    """
    if not steps:
        return None
    figure = Figure(figsize=(11.5, 0.9 * len(steps) + 1.4), layout="constrained")
    ax = figure.subplots()
    words, height = [], 0.36
    for place, (mode, found) in enumerate(steps.items()):
        for n, (what, gain, error) in enumerate(found):
            ax.barh(
                -place - (n - 0.5) * height, gain, height, xerr=2 * error, color=COLOURS[n],
                label=what if place == 0 else None, error_kw={"lw": 1.0, "capsize": 3},
            )  # fmt: skip
            share = (
                f"{gain / total:.0%}" if (total := sum(gain for _, gain, _ in found)) > 0 else ""
            )
            ax.annotate(
                share, (max(gain, 0) + 2 * error, -place - (n - 0.5) * height), xytext=(5, 0),
                textcoords="offset points", va="center", fontsize=9,
            )  # fmt: skip
            words.append(f"{mode}, {what}: {gain:.3f} +- {error:.3f} nats {share}".rstrip())
    ax.axvline(0, color="#888888", lw=0.8)
    ax.set_yticks([-n for n in range(len(steps))], list(steps))
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("nats gained, +- 2 errors; share of both steps")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)
    return Picture("What AMXFP4 gains over MXFP4, and where", figure, "; ".join(words))
