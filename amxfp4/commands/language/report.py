"""The web page of ``amxfp4 accuracy``: one file, with its tables, pictures and script inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from amxfp4.accuracy.model import OPERANDS
from amxfp4.accuracy.quantized import FP32, Row
from amxfp4.accuracy.results.statistics import difference
from amxfp4.accuracy.results.summaries import Result, Results, of_items, of_text
from amxfp4.accuracy.results.verdicts import verdicts
from amxfp4.commands.language import pictures
from amxfp4.commands.language.costs import PLAN, Cost, Costs
from amxfp4.commands.language.pictures import Mark
from amxfp4.commands.language.tables import error_of
from amxfp4.synth.report.drawing import STYLE, Picture
from amxfp4.synth.report.template import rendered
from amxfp4.util import files

__all__ = ["write"]

UNKNOWN = "not measured"
STEPS = {
    "mxfp4 to mxfp4-e5m2: a significand, and rounding to nearest": ("mxfp4", "mxfp4-e5m2"),
    "mxfp4-e5m2 to amxfp4: a scale for each sign": ("mxfp4-e5m2", "amxfp4"),
}
DRAWN = (
    "mxfp4", "mxfp4-e5m2", "amxfp4", "nvfp4 tensor_scale=auto", "amxfp4-ue5m3",
    "nvfp4-46 tensor_scale=auto", "amxfp4-ue5m3 search=[0,3]",
)  # fmt: skip
"""Formats whose operands are drawn, as far as they were measured; or else the first seven."""
AXES = {
    "bits": ("Loss against memory", "bits an element"),
    "dot": ("Loss against the dot product", "estimated transistors per MAC, whole dot product"),
    "array": ("Loss against the array", "estimated transistors per MAC, 8 x 8 dot products"),
    "quantizer": ("Loss against the quantizer", "estimated transistors per element, quantizer"),
    "energy": ("Loss against energy", "fJ per MAC, dot product, mapped to the library at hand"),
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the page, of which the first `words` columns are words."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    note: str = ""
    sorted: bool = False


def write(
    results: Sequence[Result], chosen: Sequence[Sequence[Result]], build: Path, path: Path
) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    results
        Of one text.
    chosen
        Of items, if there are any.
    build
        Folder of builds, for the costs of circuits.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    costs = Costs(build)
    rows = [r for r in results if r.row.format and not r.row.perturbation]
    cost = {id(r): costs.of(r.row) for r in rows}
    about = results[0].about
    tables = [_answers(results), _figures(results, rows, cost), *map(_items, chosen)]
    with matplotlib.rc_context(STYLE):
        drawn = [(p, caption) for p, caption in _pictures(results) if p]
        choices = _choices(results, rows, cost)
    text = rendered(
        Path(__file__).with_name("page.html"),
        title="What 4-bit formats cost a language model",
        summary=(
            f"{about['model']} on {about['text']}: {about['tokens']:,} tokens in contexts of "
            f"{about['window']}; amxfp4 {about['version']}. Losses are nats a token over FP32 on "
            "the same tokens; docs/accuracy.md says how they are measured."
        ),
        tables=tables,
        choices=choices,
        pictures=drawn,
    )
    files.write(path, text)


def _number(value: float | None, digits: int, *, none: str = "-") -> str:
    return none if value is None else f"{value:,.{digits}f}"


def _answers(results: Sequence[Result]) -> Table:
    rows = []
    for v in verdicts(results):
        d = v.difference
        figures = (d.mean, d.error, v.floor) if d else (None, None, None)
        rows.append((v.question, v.why, v.answer, *(_number(x, 4) for x in figures)))
    return Table(
        title="Questions fixed in advance", rows=rows, words=3,
        header=("question", "what it is about", "answer", "difference, nats", "error", "noise"),
        note=(
            "A difference is called one when it exceeds the noise and two standard errors. About "
            "one question in twenty is answered so by chance."
        ),
    )  # fmt: skip


def _figures(results: Sequence[Result], rows: Sequence[Result], cost: Mapping[int, Cost]) -> Table:
    beaten = {
        axis: {mode: pictures.dominated(marks) for mode, marks in found.items()}
        for axis in AXES
        if (found := _marks(results, rows, cost, axis))
    }
    lines = []
    known = {(f["mode"], f["label"]): f for f in of_text(results)}
    for r in rows:
        f, c = known[r.row.mode, r.row.label], cost[id(r)]
        names = [axis for axis in AXES if r.row.label in beaten.get(axis, {}).get(r.row.mode, ())]
        lines.append(
            (
                r.row.label, r.row.mode, ", ".join(names), _number(f["perplexity"], 3),
                _number(f["over_fp32"], 4), _number(error_of(f, "over_fp32"), 4),
                _number(c.bits, 3), _number(c.dot, 0, none=UNKNOWN),
                _number(c.array, 0, none=UNKNOWN), _number(c.quantizer, 0, none=UNKNOWN),
                _number(c.energy, 1, none=UNKNOWN),
                _number(f["over_amxfp4"], 4), _number(error_of(f, "over_amxfp4"), 4),
                _number(f["divergence"], 4), f"{f['agreement']:.1%}",
                *(_number(f[f"sqnr_{kind}"], 1) for kind in OPERANDS),
            )
        )  # fmt: skip
    return Table(
        title="All formats", rows=lines, words=3, sorted=True,
        header=(
            "format", "quantized", "dominated in", "perplexity", "nats over FP32", "error",
            "bits an element", "T per MAC", "array, T per MAC", "quantizer, T per element",
            "fJ per MAC", "over AMXFP4", "error",
            "KL from FP32", "top-1 as FP32", *(f"SQNR of {kind}, dB" for kind in OPERANDS),
        ),
        note=(
            "A click on a heading sorts. Dominated: another format costs as little and loses less, "
            "be it by less than the errors. T: estimated transistors of whole units with 32 lanes, "
            f"or a block's 16, mapped for area (amxfp4 synth plan {PLAN.name} measures them); an "
            "array is 64 elements and a sequencer; fJ: amxfp4 synth energy dot; "
            "formats that differ in the scale's rule alone share a dot product. No quantizer in "
            "hardware searches scales or finds a tensor's factor."
        ),
    )  # fmt: skip


def _items(results: Sequence[Result]) -> Table:
    rows = [
        (
            f["label"], f["mode"],
            *(
                "-" if f[name] is None else f"{f[name]:.1%}"
                for kind in ("sum", "length")
                for name in (f"accuracy_by_{kind}", f"accuracy_by_{kind}_error")
            ),
        )
        for f in of_items(results)
    ]  # fmt: skip
    about = results[0].about
    return Table(
        title=f"Choices: {about['text']}", rows=rows, words=2, sorted=True,
        header=("format", "quantized", "right", "error", "right by length", "error"),
        note=f"{about['items']} items; the right continuation must be the likeliest.",
    )  # fmt: skip


def _marks(
    results: Sequence[Result], rows: Sequence[Result], cost: Mapping[int, Cost], axis: str
) -> dict[str, list[Mark]]:
    """Make marks of rows whose cost is known, by mode."""
    known = Results(results)
    found: dict[str, list[Mark]] = {}
    for r in rows:
        value, plain = getattr(cost[id(r)], axis), known.like(r, FP32)
        if value is not None and plain is not None:
            d = difference(r.losses, plain.losses)
            error = d.error if d.error == d.error else 0.0
            found.setdefault(r.row.mode, []).append(
                Mark(name=r.row.label, cost=value, loss=d.mean, error=error)
            )
    return found


def _choices(
    results: Sequence[Result], rows: Sequence[Result], cost: Mapping[int, Cost]
) -> list[tuple[str, Picture | None, str]]:
    """Pictures of losses against each cost, of which a reader chooses one: title and caption."""
    names = list(dict.fromkeys(r.row.label for r in rows))
    drawn: list[tuple[str, Picture | None, str]] = []
    for axis, (title, label) in AXES.items():
        panels = _marks(results, rows, cost, axis)
        have = {mark.name for marks in panels.values() for mark in marks}
        missing = [name for name in names if name not in have]
        caption = (
            "Hollow: dominated. Formats of one cost stand beside one another. " if have else ""
        )
        if missing:
            caption += f"Not measured: {', '.join(missing)}."
        drawn.append((title, pictures.losses(title, label, panels, names), caption))
    return drawn


def _pictures(results: Sequence[Result]) -> list[tuple[Picture | None, str]]:
    rows = [r for r in results if r.row.format and not r.row.perturbation]
    drawn: list[tuple[Picture | None, str]] = []
    caption = (
        "The difference of losses in each step. The first also changes the rule: the scale is "
        "rounded to nearest instead of down."
    )
    drawn.append((pictures.shares(_steps(results)), caption))
    groups: Mapping[str, Any] = next(
        (r.measured.more.get("groups", {}) for r in results if not r.row.format), {}
    )
    caption = (
        "Inputs of the attention of a middle layer, in FP32. Grey: all values that FP4 has under "
        "the group's scales. Groups are in order of how different their largest values of either "
        "sign are."
    )
    drawn.append((pictures.groups(groups), caption))
    for mode in dict.fromkeys(r.row.mode for r in rows):
        sqnr = {
            r.row.label: r.measured.more.get("sqnr", {}) for r in rows if r.row.mode == mode
        }  # fmt: skip
        shown = [name for name in DRAWN if name in sqnr] or list(sqnr)[:7]
        picture = pictures.fidelity(mode, {name: sqnr[name] for name in shown}, OPERANDS)
        caption = "Operands of the whole forward pass, as they come in that row."
        drawn.append((picture, caption))
    return drawn


def _steps(results: Sequence[Result]) -> dict[str, list[tuple[str, float, float]]]:
    known = Results(results)
    found: dict[str, list[tuple[str, float, float]]] = {}
    for mode in dict.fromkeys(r.row.mode for r in results if r.row.mode):
        for what, formats in STEPS.items():
            pair: list[Any] = [
                known.like(results[0], Row(label="", format=format, mode=mode))
                for format in formats
            ]
            if all(pair):
                d = difference(pair[0].losses, pair[1].losses)
                error = d.error if d.error == d.error else 0.0
                found.setdefault(mode, []).append((what, d.mean, error))
    return {mode: steps for mode, steps in found.items() if len(steps) == len(STEPS)}
