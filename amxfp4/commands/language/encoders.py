"""``amxfp4 accuracy`` of an encoder: how far formats move its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amxfp4.accuracy import prepared
from amxfp4.accuracy.encoder import sentences
from amxfp4.accuracy.quantized import FORMATS_MEASURED, Row, described, rows_of
from amxfp4.accuracy.results.verdicts import verdicts
from amxfp4.commands.language import models, tables
from amxfp4.commands.language.measure import measured, texts_of
from amxfp4.params.checks import check_range
from amxfp4.util.errors import reading, writing

__all__ = ["measure", "rows"]

MODES = ("activations", "weights", "both")
MOST = 10_000
"""Sentences, each of which is compared with all others."""


def rows(formats: Sequence[str], modes: Sequence[str]) -> list[Row]:
    """Rows of an encoder: those of `rows_of`, by default without the ones that change a model.

    Raises
    ------
    TypeError, ValueError
        As `rows_of`, or a format is to change a model.
    """
    of_golden = [text for text in FORMATS_MEASURED if not _changing(text)]
    for text in formats:
        if options := _changing(text):
            raise ValueError(f"{options[0]} must not be given with an encoder, as in {text!r}")
    return rows_of(formats or of_golden, modes or MODES)


def _changing(text: str) -> list[str]:
    options = described(text)["options"]
    return [name for name in options if name not in prepared.of_golden(options)]


def measure(
    *,
    count: int,
    text: Path | None,
    model: Path,
    formats: Sequence[str],
    modes: Sequence[str],
    jobs: int,
    scheduler: str | None,
    again: bool,
    out: Path,
    build: Path,
    record: Path | None,
) -> None:
    """Measure what is not in `out` yet, and print a table of all that was asked for.

    Options are those of ``amxfp4 accuracy``.
    """
    wanted = rows(formats, modes)
    check_range("--jobs", jobs, 1, 64)
    check_range("--sentences", count, 2, MOST)
    path = models.place(model)
    with reading("--model", model, "a folder of a BERT model, with tokenizer.json"):
        made = sentences.tokenizer(path)
    texts = texts_of(text)
    subject = sentences.coded(made, texts, count)
    name = " and ".join(name for name, _ in texts)
    (results,) = measured(
        path, {name: subject}, wanted, out, jobs=jobs, scheduler=scheduler, again=again
    )
    tables.show_sentences(results)
    answered = verdicts(results)
    tables.show_verdicts(answered)
    about = results[0].about
    print(
        f"{about['model']} on {about['text']}: {about['sentences']:,} sentences\n"
        f"* more than noise and two standard errors; all figures: {out / 'sentences.csv'}"
    )
    if record is not None:
        with writing("--record", record, "a file that can be written"):
            from amxfp4.commands.language.record import write_sentences

            write_sentences(results, answered, build, record)
