"""The thresholds of rounding: against ml_dtypes, and against rounding by looking at neighbours."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from amxfp4.params.formats import (
    BF16,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    FORMATS,
    FP16,
    FP32,
    FloatFormat,
    ScaleRule,
    Ties,
)
from amxfp4.rtl.lib.formats import (
    Threshold,
    element_thresholds,
    floor_log2,
    magnitude_value,
    scale_thresholds,
    significand,
)

DTYPES = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e8m0": ml_dtypes.float8_e8m0fnu,
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
    "fp32": np.float32,
}
NEAREST = [
    f for f, row in FORMATS.items() if row.scale_rule in (ScaleRule.NEAREST, ScaleRule.RANGE)
]
FACTORS = {"e2m1": 6, "int4": 7, "uint4": 15}
"""The largest elements."""
POWERS = [f for f, row in FORMATS.items() if row.power_of_two]


def _passed(steps: list[Threshold], x: Fraction) -> int:
    return sum(x > t.value if t.strict else x >= t.value for t in steps)


def _nearest(fmt: FloatFormat, x: Fraction, ties: Ties) -> int:
    """Code nearest to x, saturating: the smallest distance, ties to the larger or the even code."""
    codes = range(fmt.max_magnitude + 1)
    distances = [abs(magnitude_value(fmt, code) - x) for code in codes]
    tied = [code for code in codes if distances[code] == min(distances)]
    return max(tied) if ties is Ties.RNA else min(tied, key=lambda code: code % 2)


def _samples(fmt: FloatFormat) -> list[np.float32]:
    """Every value, every midpoint, their FP32 neighbours, and values past the largest."""
    values = [float(magnitude_value(fmt, code)) for code in range(fmt.max_magnitude + 1)]
    places = values + [(a + b) / 2 for a, b in itertools.pairwise(values)]
    centre = np.array([*places, values[-1] * 1.2, values[-1] * 100], np.float32)
    around = [np.nextafter(centre, np.float32(to)) for to in (0, np.inf)]
    return list(np.unique(np.concatenate([centre, *around])))


@pytest.mark.parametrize("fmt", [E2M1, E5M2, E4M3, E8M0, BF16, FP16, FP32], ids=lambda f: f.name)
def test_magnitude_value_against_ml_dtypes(rng, fmt):
    """Finite magnitudes, all of the small formats, have the values ml_dtypes gives them."""
    codes = np.arange(fmt.max_magnitude + 1) if fmt.width <= 8 else None
    if codes is None:
        ends = [0, 1, (1 << fmt.mantissa_bits) - 1, 1 << fmt.mantissa_bits, fmt.max_magnitude]
        codes = np.concatenate([ends, rng.integers(0, fmt.max_magnitude, 500)])
    raw = codes.astype(np.uint8 if fmt.width <= 8 else f"u{fmt.width // 8}")
    values = raw.view(DTYPES[fmt.name]).astype(np.float64)
    assert [magnitude_value(fmt, int(c)) for c in codes] == [Fraction(float(v)) for v in values]


def test_floor_log2_and_significand():
    """Exponent and significand multiply back, with the significand in [1, 2)."""
    for numerator in range(1, 70):
        for denominator in range(1, 20):
            x = Fraction(numerator, denominator)
            assert 1 <= significand(x) < 2
            assert significand(x) * Fraction(2) ** floor_log2(x) == x


def test_threshold_fields():
    """A threshold's exponent and fraction make up its value, in just so many bits."""
    for value in (Fraction(1, 4), Fraction(49, 16), Fraction(6), Fraction(7, 2)):
        step = Threshold(value)
        assert (1 + step.fraction) * Fraction(2) ** step.exponent == value
        assert (step.fraction * (1 << step.fraction_bits)).denominator == 1
        if step.fraction_bits:
            assert (step.fraction * (1 << (step.fraction_bits - 1))).denominator == 2
    doubled = Threshold(Fraction(3), strict=True) * Fraction(2)
    assert doubled == Threshold(Fraction(6), strict=True)


@pytest.mark.parametrize("ties", Ties)
@pytest.mark.parametrize("format", FORMATS)
def test_element_thresholds(format, ties):
    """Elements round to nearest with the ties of the mode, and saturate."""
    fmt = FORMATS[format].element
    steps = element_thresholds(FORMATS[format], ties)
    assert len(steps) == fmt.max_magnitude
    for x in _samples(fmt):
        expected = _nearest(fmt, Fraction(float(x)), ties)
        assert _passed(steps, Fraction(float(x))) == expected
        if fmt is not E2M1:
            whole = math.floor(x + np.float64(0.5)) if ties is Ties.RNA else round(float(x))
            assert expected == min(whole, fmt.max_magnitude)
        elif ties is Ties.RNE and x <= 6:
            assert expected == int(np.array(x).astype(DTYPES["e2m1"]).view(np.uint8))


@pytest.mark.parametrize("format", [f for f in NEAREST if FORMATS[f].scale.name in DTYPES])
def test_scale_thresholds_even_against_ml_dtypes(format):
    """With ties to even, the scale of m = 6x is the cast of x by ml_dtypes, up to the largest.

    Of integers it is that of 7x, and with a zero point of a range 15x.
    """
    fmt = FORMATS[format].scale
    steps = scale_thresholds(FORMATS[format], Ties.RNE)
    assert len(steps) == fmt.max_magnitude
    largest = float(magnitude_value(fmt, fmt.max_magnitude))
    factor = FACTORS[FORMATS[format].element.name]
    for x in _samples(fmt):
        code = int(np.array(min(x, np.float32(largest))).astype(DTYPES[fmt.name]).view(np.uint8))
        assert _passed(steps, factor * Fraction(float(x))) == code


@pytest.mark.parametrize("format", NEAREST)
def test_scale_thresholds_ties_away(format):
    """Ties away differ from ties to even at every other midpoint and nowhere else."""
    fmt, factor = FORMATS[format].scale, FACTORS[FORMATS[format].element.name]
    away, even = (scale_thresholds(FORMATS[format], ties) for ties in (Ties.RNA, Ties.RNE))
    assert not any(t.strict for t in away)
    differing = 0
    for code in range(fmt.max_magnitude):
        low, high = magnitude_value(fmt, code), magnitude_value(fmt, code + 1)
        tie = (low + high) / 2
        for x in (low, tie, (low + tie) / 2, (tie + high) / 2):
            assert _passed(away, factor * x) == code + (x >= tie)
        differing += _passed(away, factor * tie) != _passed(even, factor * tie)
    assert differing == -(-fmt.max_magnitude // 2)


@pytest.mark.by_day(2)
@pytest.mark.parametrize("ties", Ties)
@pytest.mark.parametrize("format", POWERS)
def test_scale_thresholds_powers_of_two(format, ties):
    """The exponent is that of m less two, one more by the significand, clamped."""
    row = FORMATS[format]
    steps = scale_thresholds(row, ties)
    grows = {
        ScaleRule.FLOOR: lambda _: False,
        ScaleRule.ROUND_UP: lambda sig: sig >= 1.75,
        ScaleRule.CEILING: lambda sig: sig > 1.5,
    }[row.scale_rule]
    above = math.nextafter(1.5, 2)
    for exponent in range(-149, 140):
        for sig in (1.0, 1.5, above, math.nextafter(1.75, 0), 1.75, math.nextafter(2, 0)):
            m = Fraction(sig) * Fraction(2) ** exponent
            expected = min(max(exponent - 2 + grows(sig) + 127, 0), 254)
            assert _passed(steps, m) == expected, (sig, exponent)
