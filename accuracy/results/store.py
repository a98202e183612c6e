"""Results by row: a file for each, which another run finds, and all of them as JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amxfp4.accuracy.measures import Measured
from amxfp4.accuracy.quantized import Row
from amxfp4.util import files

from .summaries import Result, of_items, of_sentences, of_text

__all__ = ["Store"]

_FORMAT = 2
"""Of the files; of another number they are measured anew."""


class Store:
    """A folder of results.

    Parameters
    ----------
    folder
        Is made when there is something to keep: ``rows/`` with a file for each row, and the
        figures of all of them in ``accuracy.json`` and ``accuracy.csv``, of choices in
        ``pairs.json`` and ``pairs.csv``, of encoders in ``sentences.json`` and ``sentences.csv``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, row: Row, about: Mapping[str, Any]) -> Path:
        key = json.dumps([_FORMAT, row.measured, dict(about)], sort_keys=True)
        return self.folder / "rows" / f"{files.digest(key)}.json"

    def find(self, row: Row, about: Mapping[str, Any]) -> Result | None:
        """Return what was measured before, under whatever label."""
        found = _read(self._path(row, about))
        return dataclasses.replace(found, row=row) if found else None

    def keep(self, result: Result) -> None:
        """Write a result, whole or not at all."""
        fields = {
            "label": result.row.label, **result.row.measured, "about": dict(result.about),
            "seconds": round(result.measured.seconds, 2), "more": dict(result.measured.more),
            "values": {
                name: values.astype(int if values.dtype == bool else float).tolist()
                for name, values in result.measured.values.items()
            },
        }  # fmt: skip
        files.write(self._path(result.row, result.about), json.dumps(fields) + "\n")

    def all(self) -> list[Result]:
        """Return every result, in an order that does not depend on when it was measured."""
        found = (_read(path) for path in sorted((self.folder / "rows").glob("*.json")))
        return sorted(
            (result for result in found if result),
            key=lambda r: (json.dumps(dict(r.about)), r.row.mode, r.row.label),
        )

    def summarize(self) -> None:
        """Write the figures of all results."""
        results = self.all()
        texts = {}
        for name, rows in (
            ("accuracy", of_text(results)), ("pairs", of_items(results)),
            ("sentences", of_sentences(results)),
        ):  # fmt: skip
            if rows or name == "accuracy":
                texts[self.folder / f"{name}.json"] = json.dumps(rows, indent=1) + "\n"
                texts[self.folder / f"{name}.csv"] = _csv(rows)
        files.write_all(texts)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in row.items()} for row in rows
        )
    return text.getvalue()


_NAMES = tuple(f.name for f in dataclasses.fields(Row))
_BOOLEAN = ("agrees", "by_sum", "by_length")


def _read(path: Path) -> Result | None:
    """Read a result; ``None`` if there is none, or one of a format that is not there any more."""
    try:
        fields = json.loads(path.read_text())
        row = Row(**{name: fields[name] for name in _NAMES})
        values = {
            name: np.array(value, np.bool_ if name in _BOOLEAN else np.float64)
            for name, value in fields["values"].items()
        }
        found = Measured(values=values, more=fields["more"], seconds=fields["seconds"])
        return Result(row=row, about=fields["about"], measured=found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
