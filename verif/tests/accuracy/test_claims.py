"""Claims, and what results say of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy.measures import Measured
from amxfp4.accuracy.quantized import FP32, Row, described
from amxfp4.accuracy.results.claims import CLAIMS, judged, shares
from amxfp4.accuracy.results.summaries import Result

PLAIN = np.random.default_rng(1).normal(3, 1, 480)


def _result(text: str, over: float, mode: str = "both") -> Any:
    row = Row(label=text, mode=mode, **described(text)) if text else FP32
    drawn = np.random.default_rng(len(text)).normal(over, 0.01, PLAIN.size)
    values = {"losses": PLAIN + (drawn if text else 0)}
    return Result(row=row, about={"tokens": 480}, measured=Measured(values=values, seconds=1.0))


def _verdict(first: str, second: str, a: float, b: float) -> str:
    found = judged([_result("", 0), _result(first, a), _result(second, b)])
    (verdict,) = (j for j in found if (j.claim.first, j.claim.second) == (first, second))
    assert float(verdict.figure.split()[0]) == pytest.approx(a - b, abs=0.002)
    return verdict.verdict


@pytest.mark.parametrize(
    ("gained", "gain", "nothing"),
    [(0.2, "holds", "does not hold"), (-0.2, "does not hold", "holds"),
     (0.0, "not shown", "not refuted")],
)  # fmt: skip
def test_verdicts(gained: float, gain: str, nothing: str) -> None:
    """That the first gains, and that it gains nothing, are judged the other way round."""
    assert _verdict("amxfp4", "mxfp4-e5m2", 0.4 - gained, 0.4) == gain
    assert _verdict("amxfp4-pot", "mxfp4", 0.4 - gained, 0.4) == nothing


def test_claims_without_rows_are_left_out() -> None:
    found = judged([_result("", 0), _result("amxfp4", 0.4), _result("mxfp4-e5m2", 0.6, "kv")])
    assert found == judged([]) == []
    for claim in CLAIMS:
        for text in (claim.first, claim.second):
            described(text)


def test_shares() -> None:
    """Of a gain of 0.8 nats three quarters, with the error of a ratio of two means."""
    steps = (("mxfp4", 1.0), ("mxfp4-e5m2", 0.4), ("amxfp4", 0.2))
    results = [_result("", 0), *(_result(text, over) for text, over in steps)]
    ((mode, (share, error)),) = shares(results).items()
    assert mode == "both"
    assert share == pytest.approx(0.75, abs=0.005)
    a, b, c = (r.losses for r in results[1:])
    part, whole = a - b, a - c
    drawn = []
    for block in (1, 24):  # tokens, and neighbours together
        x, y = (v.reshape(-1, block).mean(axis=1) for v in (part, whole))
        at = np.random.default_rng(3).integers(0, len(x), (2000, len(x)))
        drawn.append(float(np.std(x[at].mean(axis=1) / y[at].mean(axis=1))))
    assert error == pytest.approx(max(drawn), rel=0.15)
    assert shares(results[:3]) == {}
    lost = [_result("", 0), *(_result(text, 1 - over) for text, over in steps)]
    assert shares(lost) == {}
