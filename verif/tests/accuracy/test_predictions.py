"""Losses, divergence from FP32 and agreement, against sums in FP64 one token at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import measures, predictions
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.model import final
from amxfp4.accuracy.quantized import FP32, Row
from amxfp4.verif.tests.accuracy import tiny

WINDOWS = tiny.windows(2, 150)  # more tokens than have logits at a time
NAMES = ("losses", "divergence", "agrees")
ROW = Row(label="x", format="mxfp4", mode="both")


def unused() -> Any:
    """Give tokens of calibration, for which no row here asks."""
    raise AssertionError


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make a model, states of FP32 and others."""
    model = load(tiny.write(tmp_path_factory.mktemp("tiny")))
    plain = final(model, WINDOWS[:, :-1])
    rng = np.random.default_rng(3)
    return model, plain, [x + rng.normal(0, 0.3, x.shape).astype(np.float32) for x in plain]


def _slowly(model: Any, x: Any, plain: Any, target: int) -> tuple[float, float, bool]:
    def logs(state: Any) -> list[float]:
        z = [float(np.dot(row.astype(np.float64), state)) for row in model.head]
        total = math.log(sum(math.exp(v) for v in z))
        return [v - total for v in z]

    p, q = logs(plain), logs(x)
    divergence = sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True))
    return -q[target], divergence, p.index(max(p)) == q.index(max(q))


def _wanted(given: Any) -> list[Any]:
    model, plain, states = given
    rows = zip(
        np.concatenate(states), np.concatenate(plain), WINDOWS[:, 1:].reshape(-1), strict=True
    )
    return [np.array(part) for part in zip(*(_slowly(model, *r) for r in rows), strict=True)]


def _far(given: Any) -> list[float]:
    model, plain, states = given
    got = predictions.predictions(model, states, list(WINDOWS[:, 1:]), model, plain)
    return [
        float(np.abs(getattr(got, name).astype(float) - wanted).max())
        for name, wanted in zip(NAMES, _wanted(given), strict=True)
    ]


def test_they_are_those_of_single_tokens(given: Any) -> None:
    assert _far(given) == pytest.approx([0, 0, 0], abs=1e-4)
    _, divergence, agrees = _wanted(given)
    assert divergence.mean() > 0.05
    assert 0.3 < agrees.mean() < 0.98


def test_fp32_is_where_it_is(given: Any) -> None:
    model, plain, _ = given
    got = predictions.predictions(model, plain, list(WINDOWS[:, 1:]), model, plain)
    assert not got.divergence.any()
    assert got.agrees.all()


@pytest.mark.parametrize(
    ("name", "which"), [("other way round", 1), ("unnormalized", 1), ("next token", 0)]
)
def test_planted_bug_is_found(
    name: str, which: int, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, log_sum = predictions._compared, predictions._log_sum
    planted: dict[str, tuple[str, Any]] = {
        "other way round": ("_compared", lambda z, t, p: compared(p, t, z)),
        "unnormalized": ("_log_sum", lambda z: (*log_sum(z)[:2], 0 * log_sum(z)[2])),
        "next token": ("_compared", lambda z, t, p: compared(z, np.roll(t, 1), p)),
    }
    monkeypatch.setattr(predictions, *planted[name])
    assert _far(given)[which] > 1e-2


def test_fp32_is_computed_once_for_all_rows(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, _ = given
    passes: list[str] = []

    def counted(*args: Any, **options: Any) -> Any:
        passes.append("pass")
        return final(*args, **options)

    monkeypatch.setattr(measures, "final", counted)
    monkeypatch.setattr(measures, "_kept", [])
    found = [measures.measure(model, WINDOWS, row, unused) for row in (ROW, FP32, ROW)]
    assert len(passes) == 3
    assert found[1].seconds >= measures._kept[0].seconds  # FP32's row takes its pass, too
    assert found[0].values["divergence"].mean() > 0.01
    assert not found[1].values["divergence"].any()
    measures.measure(model, WINDOWS[:1], ROW, unused)
    assert len(passes) == 5


def test_groups_and_fidelity(given: Any) -> None:
    model, _, _ = given
    found = {row.label: measures.measure(model, WINDOWS, row, unused) for row in (FP32, ROW)}
    groups = found["FP32"].more["groups"]
    ratios = [abs(math.log(max(g) / -min(g))) for g in groups.values()]
    assert [len(g) for g in groups.values()] == [32, 32]
    assert ratios[0] < ratios[1]
    sqnr = found["x"].more["sqnr"]
    assert set(sqnr) == {"weight", "input", "query", "key", "probability", "value"}
    assert all(10 < decibels < 30 for decibels in sqnr.values())


def test_groups_are_found_by_hand(tmp_path: Path) -> None:
    """Maxima 2^n to 1: of 21 groups the median is the 11th, and 95 % are below the 20th."""
    rows = np.zeros((21, 32), np.float32)
    rows[:, 0], rows[:, 1] = 2.0 ** np.arange(21)[::-1], -1
    found = measures._groups(rows)
    assert [max(group) for group in found.values()] == [2.0**10, 2.0**19]
    assert measures._groups(np.ones((3, 32), np.float32)) == {}
