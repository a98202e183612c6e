"""What elements add to the comparison of two scales, and what of it the widths rest on."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from amxfp4.params.formats import Ties, block_format
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.lib.formats import floor_log2, magnitude_value, scale_thresholds
from amxfp4.rtl.quantizer.error import ElementProduct
from amxfp4.rtl.quantizer.key import KeyFormat

ROW = block_format("nvfp4-46")
HALVES = np.array([0, 1, 2, 3, 4, 6, 8, 12])
"""Magnitudes of E2M1 in units of 1/2."""


@pytest.mark.parametrize("ties", Ties)
def test_binades(ties):
    """The second scale's binade is the first's or the next; no element reaches 16 times either."""
    six, four = (scale_thresholds(ROW, ties, held) for held in (6, 4))
    met = sorted({t.value for t in six + four})
    apart = set()
    for low, high in pairwise(met):
        # On a decision, where a tie may not pass it, and above it; the largest m is below `high`.
        for m, end in ((low, low), ((low + high) / 2, high)):
            codes = [sum(t.value < m or (t.value == m and not t.strict) for t in steps)
                     for steps in (six, four)]  # fmt: skip
            binades = [floor_log2(s) for c in codes if (s := magnitude_value(ROW.scale, c))]
            assert all(end < 16 * Fraction(2) ** b for b in binades)
            assert len(binades) or m == low
            apart |= {binades[-1] - binades[0]} if len(binades) == 2 else set()
    assert apart == {0, 1}


def test_products(evaluate):
    """Every BF16 fraction, in every binade that an element not zero can have, under every scale."""
    keys = KeyFormat(QuantizerConfig(format="nvfp4-46"))
    distance, fraction, scale = (
        grid.ravel() for grid in np.meshgrid(np.arange(6), np.arange(128), np.arange(8))
    )
    # In units of 2^-9 of the scale's binade.
    x, s = (128 + fraction) << distance, (8 + scale) << 6
    q = np.abs(2 * x[:, None] - HALVES * s[:, None]).argmin(axis=1)
    place = 9
    found = evaluate(
        lambda: ElementProduct(keys),
        key=fraction | (place + distance) << 7, scale=scale | place << 3, code=q | 8,
    )  # fmt: skip
    assert set(q) == set(range(8))
    assert (found["product"] == HALVES[q] * x).all()
    assert (found["square"] == HALVES[q] ** 2).all()
