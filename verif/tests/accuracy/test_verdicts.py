"""Questions fixed in advance, and what figures answer."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import amxfp4
from amxfp4.accuracy.measures import Measured
from amxfp4.accuracy.quantized import FP32, NOISE, Row, described
from amxfp4.accuracy.results.summaries import Result
from amxfp4.accuracy.results.verdicts import QUESTIONS, Verdict, verdicts

PLAIN = np.random.default_rng(1).normal(3, 1, 480)


def _result(
    text: str, over: float, mode: str = "both", *, spread: float = 0.01, **more: Any
) -> Any:
    row = Row(label=text, mode=mode, **described(text), **more) if text else FP32
    drawn = np.random.default_rng(len(text)).normal(over, spread, PLAIN.size)
    values = {"losses": PLAIN + (drawn if text else 0)}
    return Result(row=row, about={"tokens": 480}, measured=Measured(values=values, seconds=1.0))


def _asked(results: Any, first: str, second: str, mode: str = "both") -> Verdict:
    question = f"Does {first} lose less than {second} ({mode})?"
    (found,) = [v for v in verdicts(results) if v.question == question]
    return found


@pytest.mark.parametrize(
    ("other", "spread", "answer"),
    [
        (0.5, 0.01, "yes"), (0.1, 0.01, "no"), (0.3, 0.01, "no difference seen"),
        (0.5, 3.0, "no difference seen"),
    ],
)  # fmt: skip
def test_answers(other: float, spread: float, answer: str) -> None:
    results = [
        _result("", 0), _result("amxfp4", 0.3), _result("mxfp4", other, spread=spread),
    ]  # fmt: skip
    verdict = _asked(results, "amxfp4", "mxfp4")
    assert verdict.answer == answer
    assert verdict.difference is not None
    if spread < 1:
        assert verdict.difference.mean == pytest.approx(0.3 - other, abs=0.003)
        told = f"{verdict.difference.mean:+.4f} +- {verdict.difference.error:.4f} nats: {answer}"
        assert str(verdict) == f"{verdict.question} {told}"


def test_nothing_below_the_floor_is_a_difference() -> None:
    """Sure to be 0.2 nats, which is less than what noise does to AMXFP4 in that mode."""
    results = [
        _result("", 0), _result("amxfp4", 0.3), _result("mxfp4", 0.5),
        _result("amxfp4", 0.55, perturbation=NOISE),
    ]  # fmt: skip
    assert _asked(results, "amxfp4", "mxfp4").answer == "no difference seen"
    assert _asked(results[:3], "amxfp4", "mxfp4").answer == "yes"
    elsewhere = _result("amxfp4", 0.9, mode="kv", perturbation=NOISE)
    assert _asked([*results[:3], elsewhere], "amxfp4", "mxfp4").answer == "yes"
    elsewhere = dataclasses.replace(results[3], about={"tokens": 480, "text": "another"})
    assert _asked([*results[:3], elsewhere], "amxfp4", "mxfp4").answer == "yes"


def test_what_is_missing() -> None:
    verdict = _asked([_result("", 0), _result("amxfp4", 0.3)], "amxfp4", "mxfp4")
    assert (verdict.difference, verdict.answer) == (None, "not measured: mxfp4")
    assert str(verdict).endswith("(both)? not measured: mxfp4")
    assert verdicts([_result("", 0), _result("amxfp4", 0.3, mode="kv")]) == []


def test_modes_are_not_mixed() -> None:
    results = [
        _result("", 0), _result("amxfp4", 0.3), _result("mxfp4", 0.5),
        _result("amxfp4", 0.3, "activations"), _result("mxfp4", 0.1, "activations"),
    ]  # fmt: skip
    assert _asked(results, "amxfp4", "mxfp4", "activations").answer == "no"
    assert _asked(results, "amxfp4", "mxfp4").answer == "yes"


def test_options_are_part_of_a_row() -> None:
    auto = "nvfp4 tensor_scale=auto"
    results = [
        _result("", 0), _result("nvfp4", 0.1), _result("amxfp4", 0.3), _result(auto, 0.5),
    ]  # fmt: skip
    assert _asked(results, "amxfp4", auto).answer == "yes"


def test_labels_do_not_decide_what_a_row_is() -> None:
    first = _result("amxfp4-ue5m3 search=[0,3]", 0.1)
    second = _result("nvfp4 search=[0,3] tensor_scale=auto", 0.2)
    asked = "amxfp4-ue5m3 search=[0,3]", "nvfp4 tensor_scale=auto search=[0,3]"
    assert _asked([_result("", 0), first, second], *asked).answer == "yes"


@pytest.mark.parametrize(("other", "answer"), [(0.3, "no difference seen"), (0.2, "yes")])
def test_accumulators_are_judged_by_fp32_sums(other: float, answer: str) -> None:
    results = [_result("", 0), _result("amxfp4", 0.3), _result("amxfp4 acc=fixed", other)]
    verdict = verdicts(results)[-1]
    assert verdict.question == "Does amxfp4 acc=fixed differ from FP32 sums (both)?"
    assert verdict.answer == answer


def test_questions() -> None:
    """Those of the table; what no version knows yet is asked once there is such a row."""
    asked = [(q.first, q.second) for q in QUESTIONS]
    assert ("amxfp4", "mxfp4-e4m3") in asked
    assert len(set(asked)) == len(asked)
    page = (Path(amxfp4.__file__).parents[1] / "docs" / "accuracy.md").read_text()
    told = re.findall(r"^\| `(.+?)` \| `(.+?)` \| (.+?) \|$", page, re.M)
    assert told == [(q.first, q.second, q.why) for q in QUESTIONS]
    for text in {text for pair in asked for text in pair}:
        if text not in ("int4-asym", "mxfp4 rotation=full"):
            described(text)
