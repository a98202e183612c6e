"""Losses, costs and answers as data, which documents show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amxfp4.accuracy.results.claims import judged, shares
from amxfp4.accuracy.results.summaries import Result, of_sentences, of_text
from amxfp4.accuracy.results.verdicts import Verdict
from amxfp4.commands.language.costs import Costs
from amxfp4.commands.language.tables import error_of
from amxfp4.util import files

__all__ = ["write", "write_sentences"]


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def write(results: Sequence[Result], verdicts: Sequence[Verdict], build: Path, path: Path) -> None:
    """Write what documents show: losses beside costs, and answers; rows of noise are left out."""
    costs, by_label = Costs(build), {(r.row.mode or "none", r.row.label): r.row for r in results}
    header = [
        "quantized", "format", "bits", "nats over FP32", "+-", "KL", "top-1 as FP32",
        "dot, T per MAC", "quantizer, T per element",
    ]  # fmt: skip
    rows = []
    for figures in of_text(results):
        row = by_label[figures["mode"], figures["label"]]
        if figures["over_fp32"] is None or row.perturbation:
            continue
        error, cost = error_of(figures, "over_fp32"), costs.of(row)
        rows.append([
            figures["mode"], f"`{figures['label']}`", _figure(cost.bits, "g"),
            f"{figures['over_fp32']:.3f}", _figure(error, ".3f"),
            f"{figures['divergence']:.3f}", f"{figures['agreement']:.1%}",
            _figure(cost.dot, ",.0f"), _figure(cost.quantizer, ",.0f"),
        ])  # fmt: skip
    _write(results, verdicts, {"losses": {"header": header, "rows": rows}}, costs, path)


def write_sentences(
    results: Sequence[Result], verdicts: Sequence[Verdict], build: Path, path: Path
) -> None:
    """Write what documents show of an encoder, as `write`."""
    costs, by_label = Costs(build), {(r.row.mode, r.row.label): r.row for r in results}
    header = [
        "quantized", "format", "bits", "1 - cosine", "+-", "over `amxfp4`", "+- of it",
        "neighbour as FP32", "+- of share",
    ]  # fmt: skip
    rows = []
    for figures in of_sentences(results):
        row = by_label.get((figures["mode"], figures["label"]))
        if row is None or row.perturbation:
            continue
        rows.append([
            figures["mode"], f"`{figures['label']}`", _figure(costs.of(row).bits, "g"),
            *(
                _figure(value, form)
                for name, form in (
                    ("distance", ".4f"), ("over_amxfp4", "+.4f"), ("agreement", ".1%")
                )
                for value in (figures[name], error_of(figures, name))
            ),
        ])  # fmt: skip
    _write(results, verdicts, {"similarities": {"header": header, "rows": rows}}, costs, path)


def _claims(results: Sequence[Result], costs: Costs) -> list[list[str]]:
    rows = []
    for j in judged(results):
        areas = [_figure(costs.of(row).quantizer, ",.0f") for row in (j.first, j.second)]
        rows.append([j.mode, j.claim.text, j.figure, " against ".join(areas), j.verdict])
    for mode, (share, error) in shares(results).items():
        sure = abs(share - 0.5) > 2 * error
        verdict = ("holds" if share > 0.5 else "does not hold") if sure else "not shown"
        text = "Most of AMXFP4's gain on MXFP4 is the significand of its scales"
        rows.append([mode, text, f"{share:.0%} +- {error:.0%} of it", "-", verdict])
    return rows


def _write(
    results: Sequence[Result],
    verdicts: Sequence[Verdict],
    tables: dict[str, Any],
    costs: Costs,
    path: Path,
) -> None:
    tables["claims"] = {
        "header": ["quantized", "claim", "figure", "quantizers, T", "verdict"],
        "rows": _claims(results, costs),
    }
    answers = [[str(v)] for v in verdicts if v.difference is not None]
    tables["answers"] = {"header": ["answers"], "rows": answers}
    text = json.dumps({"about": dict(results[0].about), "tables": tables}, indent=1)
    files.write(path, text + "\n")
