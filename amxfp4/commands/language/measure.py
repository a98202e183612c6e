"""``amxfp4 accuracy``: what formats cost a small language model."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.accuracy import runs, tasks, tokens
from amxfp4.accuracy.measures import Subject, Windows
from amxfp4.accuracy.prepared import ends
from amxfp4.accuracy.quantized import FORMATS_MEASURED, MODES_MEASURED, Row, rows_of
from amxfp4.accuracy.results.store import Store
from amxfp4.accuracy.results.summaries import Result
from amxfp4.accuracy.results.verdicts import verdicts
from amxfp4.commands.language import models, tables
from amxfp4.params.checks import check_range
from amxfp4.util import console, extras
from amxfp4.util.errors import reading, writing

__all__ = ["OWN", "measure", "measured", "opened", "texts_of"]

OWN = "text"
"""What stands for items from the text itself, in the place of a file of them."""
_AT_ONCE = 2.0
"""Seconds within which a row was read, not measured; or is so quick that nobody waits for it."""
ITEMS = 64
"""Items from the text."""


def measure(
    *,
    count: int,
    window: int,
    text: Path | None,
    model: Path | None,
    formats: Sequence[str],
    modes: Sequence[str],
    pairs: str | None,
    jobs: int,
    scheduler: str | None,
    again: bool,
    out: Path,
    build: Path,
    report: Path | None,
    record: Path | None,
) -> None:
    """Measure what is not in `out` yet, print a table of all that was asked for, write the page.

    Options are those of ``amxfp4 accuracy``.
    """
    rows = rows_of(formats or FORMATS_MEASURED, modes or MODES_MEASURED)
    if terms := extras.TERMS.get(models.extra(model)):
        print(terms.strip("# "))
    check_range("--jobs", jobs, 1, 64)
    check_range("--window", window, 1, 8192)
    path, made = opened(model)
    texts = texts_of(text)
    whole = max(count - count % window, min(count, window))
    cut = tokens.windows(
        [(name, tokens.encode(made, t, whole + 1)) for name, t in texts], whole, window
    )
    name = " and ".join(name for name, _ in texts)
    subjects: dict[str, Subject] = {name: cut}
    held = None
    if any(row.options.get("calibration") == "text" for row in rows):
        held = ends(made, texts, -(-len(cut) // len(texts)) * window + 1)
    if pairs is not None:
        subjects |= _items(pairs, path, made, texts)
    results, *chosen = measured(
        path, subjects, rows, out, jobs=jobs, scheduler=scheduler, again=again, held=held
    )
    tables.show_text(results)
    for items in chosen:
        tables.show_items(items)
    answered = verdicts(results)
    tables.show_verdicts(answered)
    about = results[0].about
    print(
        f"{about['model']} on {about['text']}: {about['tokens']:,} tokens in contexts of "
        f"{about['window']}\n* more than noise and two standard errors; all figures: "
        f"{out / 'accuracy.csv'}"
    )
    _report(results, chosen, build, report)
    if record is not None:
        with writing("--record", record, "a file that can be written"):
            from amxfp4.commands.language.record import write

            write(results, answered, build, record)


def measured(
    path: Path,
    subjects: Mapping[str, Subject],
    rows: list[Row],
    out: Path,
    *,
    jobs: int,
    scheduler: str | None,
    again: bool,
    held: Windows | None = None,
) -> list[list[Result]]:
    """Measure rows on subjects, given by name, as far as `out` does not have them.

    `held` is of the text alone, as of `runs.run`.
    """
    with writing("--out", out, "a folder that can be written"):
        out.mkdir(parents=True, exist_ok=True)
    found = []
    with _submit(scheduler) as submit:
        for title, subject in subjects.items():
            with console.working(f"measuring {len(rows)} rows") as step:
                found.append(
                    runs.run(
                        path, subject, rows, Store(out), title, jobs=jobs, again=again,
                        submit=submit, held=held if isinstance(subject, np.ndarray) else None,
                        told=functools.partial(_tell, step, _Forecast()),
                    )
                )  # fmt: skip
    return found


def _tell(step: Callable[[str], None], left: _Forecast, _: Result, done: int, of: int) -> None:
    step(left(done, of))


class _Forecast:
    """Says how many rows are measured, and when the rest may be.

    Rows that were there before come at once, and say nothing of how long others take.
    """

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self._new = 0

    def __call__(self, done: int, of: int) -> str:
        now = time.monotonic()
        self._new += now - self._last > _AT_ONCE
        self._last = now
        told = f"measured {done} of {of} rows"
        if self._new and done < of:
            minutes = (now - self._start) / self._new * (of - done) / 60
            told += f", about {max(1, round(minutes))} min left"
        return told


def opened(model: Path | None) -> tuple[Path, Any]:
    """Path of the model to measure, and its tokenizer."""
    shown = model or tokens.installed_model()
    with reading("--model", shown, "a GGUF file of a model of the Llama or Gemma 3 architecture"):
        path = models.place(shown)
        return path, tokens.tokenizer(path)


def texts_of(file: Path | None) -> list[tokens.Text]:
    """Read the text to measure on, or those that need no file."""
    if file is None:
        return tokens.own_texts()
    with reading("--text", file, "a text in UTF-8"):
        return [(file.stem, file.read_text(encoding="utf-8"))]


def _items(
    pairs: str, model: Path, made: Any, texts: list[tokens.Text]
) -> dict[str, Sequence[tasks.Item]]:
    def encode(text: str, most: int | None = None) -> npt.NDArray[np.int64]:
        return tokens.encode(made, text, most)

    if pairs != OWN:
        file = Path(pairs)
        with reading("--pairs", file, "a file of items, a line of JSON each"):
            return {file.stem: tasks.read(file, encode, tokens.first(model))}
    each = ITEMS // len(texts)
    wanted = each * (tasks.CONTEXT + tasks.CONTINUATION)
    found = [item for _, t in texts for item in tasks.from_text(encode(t, wanted), each)]
    return {"continuations of " + " and ".join(name for name, _ in texts): found}


@contextlib.contextmanager
def _submit(scheduler: str | None) -> Iterator[runs.Submit | None]:
    """Give what hands work to the workers of a Dask scheduler, if there is one."""
    if scheduler is None:
        yield None
        return
    from amxfp4.synth.plan.workers import Workers

    client: Any  # Dask's executor has no types
    with Workers(scheduler=scheduler).client() as client:
        yield client.get_executor(pure=False).submit


def _report(
    results: list[Result], chosen: list[list[Result]], build: Path, path: Path | None
) -> None:
    """Write the page, where what draws it is installed."""
    missing = [m for m in extras.EXTRAS["synth"] if importlib.util.find_spec(m) is None]
    if missing and path is None:
        print(f"no report: {extras.missing(missing[0], 'synth')}")
        return
    from amxfp4.commands.language import report

    target = path or build / "reports" / "accuracy.html"
    with writing("--report", target, "a file that can be written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        report.write(results, chosen, build, target)
    print(f"wrote {target}")
