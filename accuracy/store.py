"""Results by row: a file for each, which another run finds, and all of them as JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.util import files

from .quantized import BASELINE, FP32, Row
from .statistics import Difference, difference, is_difference

__all__ = ["Result", "Store", "summary"]

_FORMAT = 1
"""Of the files; of another number they are measured anew."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Losses of a row.

    Parameters
    ----------
    row
    about
        What it was measured on: model, text, window, tokens, version.
    losses
        Nats, float64 [tokens], in the order of the text.
    seconds
        Of one core.
    """

    row: Row
    about: Mapping[str, Any]
    losses: npt.NDArray[np.float64]
    seconds: float


class Store:
    """A folder of results.

    Parameters
    ----------
    folder
        Is made when there is something to keep: ``rows/`` with a file for each row, and
        ``accuracy.json`` and ``accuracy.csv`` with the figures of all of them.
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
            "seconds": round(result.seconds, 2), "losses": result.losses.tolist(),
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
        """Write the figures of all results: ``accuracy.json`` and ``accuracy.csv``."""
        rows = summary(self.all())
        text = io.StringIO()
        if rows:
            writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {name: "" if value is None else value for name, value in row.items()}
                for row in rows
            )
        files.write_all(
            {
                self.folder / "accuracy.json": json.dumps(rows, indent=1) + "\n",
                self.folder / "accuracy.csv": text.getvalue(),
            }
        )


def _read(path: Path) -> Result | None:
    """Read a result; ``None`` if there is none, or one of a format that is not there any more."""
    try:
        fields = json.loads(path.read_text())
        names = ("label", "format", "options", "mode", "perturbation")
        row = Row(**{name: fields[name] for name in names})
        losses = np.array(fields["losses"], np.float64)
        return Result(row=row, about=fields["about"], losses=losses, seconds=fields["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summary(results: list[Result]) -> list[dict[str, Any]]:
    """Figures of results, each beside FP32 and `BASELINE` of the same text.

    Returns
    -------
    Of every result, by name: ``nats`` a token and ``perplexity``; then the paired differences
    ``over_fp32`` and ``over_amxfp4`` (of the same mode) with both standard errors, and whether they
    are called differences (`is_difference`); ``None`` where there is nothing to compare with. The
    floor is the largest effect of the perturbed rows: of FP32, and of `BASELINE` in that mode.
    """
    known = {
        (json.dumps(dict(r.about), sort_keys=True), json.dumps(r.row.measured, sort_keys=True)): r
        for r in results
    }

    def like(result: Result, row: Row) -> Result | None:
        about = json.dumps(dict(result.about), sort_keys=True)
        return known.get((about, json.dumps(row.measured, sort_keys=True)))

    figures = []
    for r in results:
        plain = like(r, FP32)
        base = like(r, Row(label="", format=BASELINE, mode=r.row.mode)) if r.row.mode else None
        noise = [(x, plain) for x in results if _is_noise(x, r, "")]
        noise += [(x, base) for x in results if base and _is_noise(x, r, r.row.mode)]
        found = [abs(difference(x.losses, of.losses).mean) for x, of in noise if of]
        floor = max(found, default=0.0)
        mean = float(r.losses.mean())
        figures.append(
            {
                "label": r.row.label, "format": r.row.format,
                "options": json.dumps(dict(r.row.options), sort_keys=True),
                "mode": r.row.mode or "none", "perturbation": r.row.perturbation, **r.about,
                "nats": mean, "perplexity": math.exp(min(mean, 700)),
                **_compared("fp32", r, plain, floor),
                **_compared("amxfp4", r, base, floor), "floor": floor, "seconds": r.seconds,
            }
        )  # fmt: skip
    return figures


def _is_noise(candidate: Result, of: Result, mode: str) -> bool:
    """Whether a result shows the noise of a mode, on the same text."""
    row = candidate.row
    wanted = BASELINE if mode else ""
    same = row.mode == mode and row.format == wanted and not row.options
    return same and row.perturbation != 0 and candidate.about == of.about


def _compared(name: str, a: Result, b: Result | None, floor: float) -> dict[str, Any]:
    d: Difference | None = None
    if b is not None and b.row.measured != a.row.measured:
        d = difference(a.losses, b.losses)
    return {
        f"over_{name}": d.mean if d else None,
        f"over_{name}_error_by_token": _known(d.by_token) if d else None,
        f"over_{name}_error_by_block": _known(d.by_block) if d else None,
        f"over_{name}_is_difference": is_difference(d, floor) if d else None,
    }


def _known(x: float) -> float | None:
    """JSON has no NaN."""
    return x if math.isfinite(x) else None
