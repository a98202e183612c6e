"""``amxfp4 accuracy``: what formats cost a small language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amxfp4.accuracy import runs, tokens
from amxfp4.accuracy.quantized import FORMATS_MEASURED, MODES, rows_of
from amxfp4.accuracy.store import Result, Store, summary
from amxfp4.params.checks import check_range
from amxfp4.util import console
from amxfp4.util.errors import reading, writing

__all__ = ["measure"]


def measure(
    *,
    count: int,
    window: int,
    text: Path | None,
    model: Path | None,
    formats: Sequence[str],
    modes: Sequence[str],
    jobs: int,
    again: bool,
    out: Path,
) -> None:
    """Measure what is not in `out` yet, and print a table of all that was asked for."""
    rows = rows_of(formats or FORMATS_MEASURED, modes or tuple(MODES))
    check_range("--jobs", jobs, 1, 64)
    check_range("--window", window, 1, 8192)
    path = model or tokens.installed_model()
    with reading("--model", path, "a GGUF file of a model of the Llama architecture"):
        made = tokens.tokenizer(path)
    if text is None:
        texts = tokens.own_texts()
    else:
        with reading("--text", text, "a text in UTF-8"):
            texts = [(text.stem, text.read_text(encoding="utf-8"))]
    cut = tokens.windows(
        [(name, tokens.encode(made, t, count + 1)) for name, t in texts], count, window
    )
    name = " and ".join(name for name, _ in texts)
    begun = f"measuring {len(rows)} rows"
    with writing("--out", out, "a folder that can be written"):
        out.mkdir(parents=True, exist_ok=True)
    with console.working(begun) as step:
        results = runs.run(
            path, cut, rows, Store(out), name, jobs=jobs, again=again,
            told=lambda _, done, of: step(f"measured {done} of {of} rows"),
        )  # fmt: skip
    _show(results)
    about = results[0].about
    print(
        f"{about['model']} on {about['text']}: {about['tokens']:,} tokens in contexts of "
        f"{about['window']}\n* more than noise and two standard errors; all figures: "
        f"{out / 'accuracy.csv'}"
    )


def _show(results: list[Result]) -> None:
    """Print a table; of each difference the larger standard error."""
    table = console.Table(
        "quantized", "format", "perplexity", "nats over FP32", "+-", "", "over AMXFP4", "+-", "",
        "s",
    )  # fmt: skip
    for row in summary(results):
        cells: list[str] = []
        for name in ("over_fp32", "over_amxfp4"):
            if row[name] is None:
                cells += ["-", "-", ""]
                continue
            errors = [row[f"{name}_error_by_{kind}"] for kind in ("token", "block")]
            known = [error for error in errors if error is not None]
            cells += [
                f"{row[name]:.4f}", f"{max(known):.4f}" if known else "-",
                "*" if row[f"{name}_is_difference"] else "",
            ]  # fmt: skip
        table.add(row["mode"], row["label"], f"{row['perplexity']:.3f}", *cells,
                  f"{row['seconds']:.0f}")  # fmt: skip
    table.show()
