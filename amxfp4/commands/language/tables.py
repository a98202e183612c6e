"""Tables and answers of ``amxfp4 accuracy``, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amxfp4.accuracy.results.summaries import Result, of_items, of_sentences, of_text
from amxfp4.accuracy.results.verdicts import Verdict
from amxfp4.util import console

__all__ = ["error_of", "show_items", "show_sentences", "show_text", "show_verdicts"]


def error_of(figures: dict[str, Any], name: str) -> float | None:
    """Return the larger of both standard errors of a figure."""
    errors = [figures[f"{name}_error_by_{kind}"] for kind in ("token", "block")]
    return max((error for error in errors if error is not None), default=None)


def show_text(results: Sequence[Result]) -> None:
    """Print losses beside those of FP32 and AMXFP4; of each difference the larger error."""
    table = console.Table(
        "quantized", "format", "perplexity", "nats over FP32", "+-", "", "over AMXFP4", "+-", "",
        "KL", "top-1 as FP32", "s",
    )  # fmt: skip
    for row in of_text(results):
        cells: list[str] = []
        for name in ("over_fp32", "over_amxfp4"):
            if row[name] is None:
                cells += ["-", "-", ""]
                continue
            error = error_of(row, name)
            cells += [
                f"{row[name]:.4f}", "-" if error is None else f"{error:.4f}",
                "*" if row[f"{name}_is_difference"] else "",
            ]  # fmt: skip
        table.add(
            row["mode"], row["label"], f"{row['perplexity']:.3f}", *cells,
            f"{row['divergence']:.4f}", f"{row['agreement']:.1%}", f"{row['seconds']:.0f}",
        )  # fmt: skip
    table.show()


def show_items(results: Sequence[Result]) -> None:
    """Print the share of items in which the right continuation is the likeliest."""
    table = console.Table(
        "quantized", "format", "right", "+-", "right by length", "+-", "items", "s"
    )
    for row in of_items(results):
        cells = []
        for name in ("accuracy_by_sum", "accuracy_by_length"):
            error = row[f"{name}_error"]
            cells += [f"{row[name]:.1%}", "-" if error is None else f"{error:.1%}"]
        table.add(row["mode"], row["label"], *cells, row["items"], f"{row['seconds']:.0f}")
    table.show()


def show_sentences(results: Sequence[Result]) -> None:
    """Print distances of embeddings from FP32's, and how many keep their nearest neighbour."""
    table = console.Table(
        "quantized", "format", "1 - cosine", "+-", "over AMXFP4", "+-", "", "neighbour as FP32",
        "+-", "over AMXFP4", "+-", "s",
    )  # fmt: skip
    for row in of_sentences(results):
        cells = []
        for name, form in (
            ("distance", ".4f"), ("over_amxfp4", ".4f"), ("agreement", ".1%"),
            ("agreement_over_amxfp4", ".1%"),
        ):  # fmt: skip
            error = error_of(row, name)
            for value in (row[name], error):
                cells.append("-" if value is None or row[name] is None else f"{value:{form}}")
            if name == "over_amxfp4":
                cells.append("*" if row["over_amxfp4_is_difference"] else "")
        table.add(row["mode"], row["label"], *cells, f"{row['seconds']:.0f}")
    table.show()


def show_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print the answers, and in one line what was not measured."""
    for verdict in verdicts:
        if verdict.difference is not None:
            print(verdict)
    missing = dict.fromkeys(
        verdict.answer.removeprefix("not measured: ")
        for verdict in verdicts if verdict.difference is None
    )  # fmt: skip
    if missing:
        print(f"not asked, for want of rows: {'; '.join(missing)}")
