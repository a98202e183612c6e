"""Figures of results: what the table, its files and the report show."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.accuracy.measures import Measured
from amxfp4.accuracy.quantized import BASELINE, FP32, MODES, Row

from .statistics import Difference, difference, is_difference

__all__ = ["Result", "Results", "of_items", "of_sentences", "of_text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A row, and what was measured of it.

    Parameters
    ----------
    row
    about
        What it was measured on: model, text, window and tokens, items or sentences; version.
    measured
    """

    row: Row
    about: Mapping[str, Any]
    measured: Measured

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """Nats, float64 [tokens], or 1 - cosine, float64 [sentences], in the order of the text."""
        values = self.measured.values
        return values["losses"] if "losses" in values else values["distance"]

    @property
    def unit(self) -> str:
        """What `losses` are counted in."""
        return "nats" if "losses" in self.measured.values else "of 1 - cosine"


class Results:
    """Results to compare; those of choices are left aside.

    Parameters
    ----------
    results
        Of one text or of several.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.all = [r for r in results if "by_sum" not in r.measured.values]
        self._known = {_key(r.about, r.row): r for r in self.all}

    def like(self, result: Result, row: Row) -> Result | None:
        """Find a row on the text of a result."""
        return self._known.get(_key(result.about, row))

    def floor(self, result: Result) -> float:
        """Nats that noise in the embedding does, to FP32 or to `BASELINE` in the result's mode.

        The larger of both effects, each of one draw of noise; 0 where none was measured.
        """
        found = [0.0]
        for mode in {"", result.row.mode}:
            of = self.like(result, FP32 if not mode else _base(mode))
            noisy = [r for r in self.all if _is_noise(r, mode) and r.about == result.about]
            if of is not None:
                found += [abs(difference(r.losses, of.losses).mean) for r in noisy]
        return max(found)


def _key(about: Mapping[str, Any], row: Row) -> str:
    return json.dumps([dict(about), row.measured], sort_keys=True)


def _base(mode: str) -> Row:
    return Row(label="", format=BASELINE, mode=mode)


def _is_noise(candidate: Result, mode: str) -> bool:
    """Whether a result shows the noise of a mode."""
    row = candidate.row
    base = _base(mode) if mode else FP32
    plain = {**row.measured, "perturbation": 0.0}
    return row.perturbation != 0 and plain == base.measured


def of_text(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Figures of results on text, each beside FP32 and `BASELINE` of the same text.

    Returns
    -------
    Of every result, by name: ``nats`` a token and ``perplexity``; ``divergence``, the mean of
    KL(FP32 || row), and ``agreement``, the share of tokens whose most probable prediction is
    FP32's, with both standard errors; then the paired differences ``over_fp32`` and ``over_amxfp4``
    (of the same mode) with both standard errors, and whether they are called differences
    (`is_difference`); ``None`` where there is nothing to compare with. ``floor``: `Results.floor`.
    ``sqnr_...`` in dB of every kind of operand.
    """
    known = Results(results)
    figures = []
    for r in known.all:
        if "losses" not in r.measured.values:
            continue
        plain = known.like(r, FP32)
        base = known.like(r, _base(r.row.mode)) if r.row.mode else None
        floor = known.floor(r)
        mean = float(r.losses.mean())
        values = r.measured.values
        fidelity = r.measured.more.get("sqnr", {})
        figures.append(
            {
                **_of_row(r), "nats": mean, "perplexity": math.exp(min(mean, 700)),
                **_mean("divergence", values["divergence"]), **_mean("agreement", values["agrees"]),
                **_compared("fp32", r, plain, floor), **_compared("amxfp4", r, base, floor),
                "floor": floor, "seconds": r.measured.seconds,
                **{f"sqnr_{name}": fidelity.get(name) for name in sorted(MODES["both"])},
            }
        )  # fmt: skip
    return figures


def of_items(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Figures of results on items.

    Returns
    -------
    Of every result, by name: ``accuracy_by_sum`` and ``accuracy_by_length``, shares of items, and
    their standard errors.
    """
    figures = []
    for r in results:
        values = r.measured.values
        if "by_sum" in values:
            shares = {
                f"accuracy_{name}{what}": value
                for name in ("by_sum", "by_length")
                for what, value in zip(
                    ("", "_error"), _share(values[name]), strict=True
                )
            }  # fmt: skip
            figures.append({**_of_row(r), **shares, "seconds": r.measured.seconds})
    return figures


def of_sentences(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Figures of encoders, each beside `BASELINE` on the same sentences.

    Returns
    -------
    Of every result, by name: ``distance``, the mean of 1 - cos(embedding, FP32's), and
    ``agreement``, the share of sentences whose nearest other one is FP32's; the paired differences
    ``over_amxfp4`` in distance, and ``agreement_over_amxfp4``; each with both standard errors.
    Otherwise as `of_text`.
    """
    known = Results(results)
    figures = []
    for r in known.all:
        values, fidelity = r.measured.values, r.measured.more.get("sqnr", {})
        if "distance" not in values:
            continue
        base = known.like(r, _base(r.row.mode)) if r.row.mode else None
        floor = known.floor(r)
        apart = values["agrees"] - (base.measured.values["agrees"] * 1.0 if base else np.nan)
        figures.append(
            {
                **_of_row(r), **_mean("distance", values["distance"]),
                **_mean("agreement", values["agrees"]), **_compared("amxfp4", r, base, floor),
                **_mean("agreement_over_amxfp4", apart), "floor": floor,
                "seconds": r.measured.seconds,
                **{f"sqnr_{name}": fidelity.get(name) for name in sorted(MODES["both"])},
            }
        )  # fmt: skip
    return figures


def _share(right: npt.NDArray[np.bool_]) -> tuple[float, float | None]:
    d = difference(right, np.zeros(len(right)))
    return d.mean, _known(d.by_token)


def _of_row(r: Result) -> dict[str, Any]:
    fields = r.row.measured | {
        "options": json.dumps(dict(r.row.options), sort_keys=True), "mode": r.row.mode or "none"
    }  # fmt: skip
    return {"label": r.row.label, **fields, **r.about}


def _mean(name: str, values: npt.NDArray[Any]) -> dict[str, float | None]:
    d = difference(values, np.zeros(len(values)))
    return {
        name: _known(d.mean), f"{name}_error_by_token": _known(d.by_token),
        f"{name}_error_by_block": _known(d.by_block),
    }  # fmt: skip


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
