"""What an element says about a second scale: every place, and golden's weight for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amxfp4.golden.coding import second as golden_second
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.second import BINADES, fraction_bits
from amxfp4.rtl.quantizer import key as quantizer_key
from amxfp4.rtl.quantizer import second as quantizer_second
from amxfp4.verif.check import planted

CASES = [("amxfp4", 2), ("nvfp4", 5), ("amxfp4-ue5m3", 5), ("mxfp4-e5m2", 7)]


def _assert_golden(evaluate: Any, config: QuantizerConfig) -> None:
    """Compare the weights of every leading fraction, in a few binades, under every scale."""
    keys, row = quantizer_key.KeyFormat(config), config.row
    bits, scale_bits = fraction_bits(row), row.scale.mantissa_bits
    below = 3
    binade, leading, rest, fraction = (
        grid.ravel()
        for grid in np.meshgrid(
            np.arange(-below, BINADES[-1] + 1), np.arange(1 << bits),
            np.arange(1 << keys.fraction_bits - bits), np.arange(1 << scale_bits),
            indexing="ij",
        )
    )  # fmt: skip
    first = keys.element_steps[0].exponent
    for base in (keys.bias - below, keys.bias + 5):
        exponent = base + below + 1
        key = (
            leading << keys.fraction_bits - bits | rest | (exponent + binade) << keys.fraction_bits
        )
        scale = fraction | (exponent + first) << scale_bits
        found = evaluate(lambda: quantizer_second.ElementWeight(keys), key=key, scale=scale)
        table = golden_second._weights(row, config.second)
        place = 1 + ((binade - BINADES[0]) << bits) + leading
        expected = table[fraction, np.maximum(place, 0)] * (binade >= BINADES[0])
        weight = found["weight"].astype(np.int8)
        weight = np.where(weight >= 2, weight - 4, weight)
        assert (weight == expected).all()
        assert set(np.unique(weight)) == {-2, -1, 0, 1}


@pytest.mark.by_day(2)
@pytest.mark.parametrize(("format", "second"), CASES)
def test_weights(evaluate: Any, format: str, second: int) -> None:
    """The weight is golden's wherever it counts, and 0 below."""
    _assert_golden(evaluate, QuantizerConfig(format=format, second=second))


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ceil(squares[1] - squares[0] - Fraction(1, 2))", "round(squares[1] - squares[0])"),
        ("Fraction(2 * leading + 1,", "Fraction(2 * leading,"),
        ("binade >= 0", "binade >= -1"),
        ("a - b + keys", "a - b + 1 + keys"),
        ("max(WEIGHTS[0], ", "max(-1, "),
    ],
)
def test_checks_find_planted_bugs(
    evaluate: Any, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    """Rounding, the middle of an interval, the binade and the ends: each is checked."""
    config = QuantizerConfig(format="nvfp4", second=5)
    _assert_golden(evaluate, config)
    planted.bug(monkeypatch, "quantizer.second", old, new)
    with pytest.raises(AssertionError):
        _assert_golden(evaluate, config)
