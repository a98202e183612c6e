"""The page of ``amxfp4 info --stats --html``: tables and pictures in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from amxfp4.commands.files.stats import Row, Table, share
from amxfp4.golden.inspection.statistics import BlockStatistics
from amxfp4.synth.report.drawing import COLOURS, STYLE, Picture
from amxfp4.synth.report.template import rendered
from amxfp4.util import files
from amxfp4.util.errors import writing

__all__ = ["MOST", "Shown", "by_format", "chosen", "draw", "shown", "write"]

MOST = 12
"""Tensors drawn one by one: a model has hundreds, and a page should open at once."""
POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
_STEPS = 4
"""Bars of ratios to a factor of two."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a row of panels shows: counts, of one tensor or of several.

    Parameters
    ----------
    label
        Of the row.
    codes, values
        int64 [n]: elements by code, and the value of each.
    exponents
        Scales by exponent, for each side.
    ratios
        Blocks by the integer nearest to 4 log2(s+/s-); ``None`` when symmetric.
    """

    label: str
    codes: Counts
    values: npt.NDArray[np.float64]
    exponents: tuple[Mapping[int, int], ...]
    ratios: Mapping[int, int] | None


def shown(label: str, figures: Sequence[BlockStatistics]) -> Shown:
    """Add up tensors of one format."""
    sides: list[dict[int, int]] = [{} for _ in figures[0].exponents]
    ratios: dict[int, int] = {}
    for f in figures:
        for into, found in zip(sides, f.exponents, strict=True):
            _add(into, found.items())
        if f.ratios is not None:
            places = np.rint(np.log2(f.ratios.values) * _STEPS).astype(int).tolist()
            _add(ratios, zip(places, f.ratios.counts.tolist(), strict=True))
    return Shown(
        label=label, codes=np.sum([f.codes for f in figures], axis=0), values=figures[0].values,
        exponents=tuple(sides), ratios=None if figures[0].ratios is None else ratios,
    )  # fmt: skip


def _add(into: dict[int, int], found: Any) -> None:
    for key, count in found:
        into[key] = into.get(key, 0) + count


def by_format(rows: Sequence[Row]) -> list[Shown]:
    """All tensors of each format together."""
    found: dict[str, list[BlockStatistics]] = {}
    for row in rows:
        if isinstance(row.figures, BlockStatistics):
            found.setdefault(row.kind, []).append(row.figures)
    return [
        shown(f"{kind}: {len(f)} tensor{'s' if len(f) > 1 else ''}, "
              f"{sum(one.elements for one in f):,} elements", f)
        for kind, f in found.items()
    ]  # fmt: skip


def chosen(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Choose the tensors that are drawn one by one; say which they are."""
    blocks = [row for row in rows if isinstance(row.figures, BlockStatistics)]
    if len(blocks) <= MOST:
        return blocks, "Every tensor of blocks, in the order of the file."
    if any(not math.isnan(row.sqnr) for row in blocks):
        last = sorted(blocks, key=lambda row: (math.isnan(row.sqnr), row.sqnr))
        return last[:MOST], f"The {MOST} tensors of {len(blocks):,} with the lowest SQNR."
    last = sorted(blocks, key=_zeros, reverse=True)
    return last[:MOST], f"The {MOST} tensors of {len(blocks):,} with the largest share of zeros."


def _zeros(row: Row) -> float:
    assert isinstance(row.figures, BlockStatistics)
    return row.figures.zeros / row.figures.elements


def draw(title: str, rows: Sequence[Shown]) -> Picture:
    """Draw a row of panels for each: element codes, exponents of scales, ratios of the two scales.

    The last is left out if no row has two scales.
    """
    two = any(row.ratios is not None for row in rows)
    columns = 3 if two else 2
    one_axis = len({len(row.values) for row in rows}) == 1
    with matplotlib.rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(11.5, 0.7 + 1.75 * len(rows)), layout="constrained")
        panels = figure.subplots(
            len(rows), columns, sharex="col" if one_axis else "none", squeeze=False,
            width_ratios=(5, 4, 4)[:columns],
        )  # fmt: skip
        for row, axes in zip(rows, panels, strict=True):
            axes[0].set_title(row.label, loc="left", fontsize=9.5, fontweight="bold")
            _codes(axes[0], row.codes, row.values)
            _exponents(axes[1], row.exponents)
            if two:
                _ratios(axes[2], row.ratios)
        names = ("element code, by its value", "exponent of the scale: floor(log2 s)",
                 "ratio of the two scales: log2(s+/s-)")  # fmt: skip
        for ax, name in zip(panels[-1], names, strict=False):
            ax.set_xlabel(name)
        for ax in panels[0][1:2]:
            if any(len(row.exponents) == 2 for row in rows):
                ax.plot([], [], "s", color=POSITIVE, label="positive")
                ax.plot([], [], "s", color=NEGATIVE, label="negative")
                ax.legend(loc="upper left", bbox_to_anchor=(0, 1.28), ncols=2, fontsize=8.5,
                          borderpad=0, handletextpad=0)  # fmt: skip
    words = (f"{row.label}: {share(int(row.codes[row.values == 0].sum()), int(row.codes.sum()))} "
             "zeros" for row in rows)  # fmt: skip
    return Picture(title, figure, "; ".join(words))


def _percent(counts: Any) -> npt.NDArray[np.float64]:
    held = np.asarray(counts, np.float64)
    scaled: npt.NDArray[np.float64] = held * (100 / max(held.sum(), 1))
    return scaled


def _codes(ax: Any, codes: Counts, values: npt.NDArray[np.float64]) -> None:
    """Draw a bar for each value, of two zeros the code of the negative one first."""
    order = sorted(range(len(values)), key=lambda code: (values[code], -code))
    zero = int(np.flatnonzero(values == 0)[0])
    colours = [NEGATIVE if values[code] < 0 or (values[code] == 0 and code > zero) else POSITIVE
               for code in order]  # fmt: skip
    ax.bar(range(len(order)), _percent(codes[order]), 0.85, color=colours)
    labels = ["-0" if values[code] == 0 and code > zero else f"{values[code]:g}".replace("0.", ".")
              for code in order]  # fmt: skip
    step = -(-len(order) // 16)
    ax.set_xticks(range(0, len(order), step), labels[::step], fontsize=8)
    ax.grid(visible=False, axis="x")
    ax.set_ylabel("% of elements")


def _exponents(ax: Any, sides: Sequence[Mapping[int, int]]) -> None:
    """Draw positive scales upwards and negative ones downwards; all upwards if there is one."""
    total = sum(sum(side.values()) for side in sides)
    for side, colour, sign in zip(sides, (POSITIVE, NEGATIVE), (1, -1), strict=False):
        heights = [sign * 100 * n / max(total, 1) for n in side.values()]
        ax.bar(list(side), heights, 0.85, color=colour if len(sides) == 2 else "#444444")
    if len(sides) == 2:
        most = max(map(abs, ax.get_ylim()))
        ax.set_ylim(-most, most)
        ax.axhline(0, color="#444444", linewidth=0.8)
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(visible=False, axis="x")
    ax.set_ylabel("% of scales")


def _ratios(ax: Any, ratios: Mapping[int, int] | None) -> None:
    if not ratios:
        text = "one scale a block" if ratios is None else "no block with both signs"
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", color="#777777")
        ax.set_yticks([])
        return
    places = [n / _STEPS for n in ratios]
    ax.bar(places, _percent(list(ratios.values())), 1 / _STEPS, color="#444444")
    ax.axvline(0, color=COLOURS[3], linewidth=1)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel("% of blocks")


def write(
    path: Path, source: Path, against: Path | None, rows: Sequence[Row], tables: Sequence[Table]
) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    ValueError
        The file cannot be written.
    """
    pictures = []
    formats = by_format(rows)
    if formats:
        pictures.append((draw("All tensors", formats), _CAPTION))
        some, which = chosen(rows)
        single = [shown(f"{row.name} ({row.kind})", [f]) for row in some
                  if isinstance(f := row.figures, BlockStatistics)]  # fmt: skip
        pictures.append((draw("Tensor by tensor", single), which))
    text = rendered(
        Path(__file__).with_name("stats_page.html"),
        title=f"Tensors of {source.name}",
        summary=f"{len(rows):,} tensors with values."
        + (f" SQNR against {against.name}." if against is not None else ""),
        pictures=pictures,
        tables=tables,
    )
    with writing("--html", path, "a file that can be written"):
        files.write(path, text)


_CAPTION = (
    "Left: elements by code. Middle: scales by exponent, of positive elements upwards and of "
    "negative ones downwards; without those that are zero or NaN, and without those of a side that "
    "has no nonzero element. Right: scales of positive over scales of negative elements, of blocks "
    "with nonzero elements of both signs."
)
