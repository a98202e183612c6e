"""Exact sums rounded once, against fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxfp4.golden import reference, rounding
from amxfp4.params.formats import BF16, FP32, FloatFormat

# A significand of a few bits at any exponent: far apart, touching, or cancelling.
TERM = st.tuples(st.integers(-(2**16), 2**16), st.integers(-230, 230))
NEAR = st.tuples(st.integers(-(2**9), 2**9), st.integers(-40, 40))
LOW = st.tuples(st.integers(-(2**9), 2**9), st.integers(-160, -110))
HIGH = st.tuples(st.integers(-(2**9), 2**9), st.integers(90, 126))


def _check(terms: list[tuple[int, int]], target: FloatFormat) -> None:
    arrays = [np.array([m * 2.0**e]) for m, e in terms]
    found = rounding.round_sum(arrays, target).view(np.uint32)[0] >> (FP32.width - target.width)
    total = sum((Fraction(m) * Fraction(2) ** e for m, e in terms), Fraction(0))
    assert found == reference.round_to_word(total, target)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    terms=st.one_of(*(st.lists(t, min_size=1, max_size=6) for t in (TERM, NEAR, LOW, HIGH))),
    target=st.sampled_from([FP32, BF16]),
)
def test_round_sum(terms: list[tuple[int, int]], target: FloatFormat) -> None:
    """Any few terms: equal to the rounded sum of fractions, in FP32 and BF16."""
    _check(terms, target)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    significand=st.integers(2**23, 2**24 - 1),
    exponent=st.integers(-150, 100),
    off=st.sampled_from([-1, 0, 1]),
    far=st.integers(30, 200),
    target=st.sampled_from([FP32, BF16]),
    cancel=st.integers(-200, 200),
)
def test_ties_with_a_distant_term(
    significand: int, exponent: int, off: int, far: int, target: FloatFormat, cancel: int
) -> None:
    """A tie, or one that a term beyond FP64's reach breaks, behind terms that cancel."""
    half = 0 if target is FP32 else 15
    tie = (significand >> (half + 1) << (half + 1)) * 2 + (1 << half)
    terms = [(tie, exponent), (off, max(exponent - far, -230)), (7, cancel), (-7, cancel)]
    _check(terms, target)
    _check(terms[::-1], target)


def test_round_to_fp32(rng: np.random.Generator) -> None:
    """FP64 to FP32 as the processor does it; ties, subnormals and overflow included."""
    x = rng.standard_normal(200_000) * 2.0 ** rng.integers(-155, 130, 200_000)
    bits = x.view(np.int64)
    ends = np.array([np.inf, -np.inf, 3.4028235677973366e38, 1e39])
    ties = (bits >> 29 << 29 | 1 << 28).view(np.float64)
    cases: list[Any] = [x, ties, np.arange(-999, 999) * 2.0**-151, ends]
    with np.errstate(over="ignore", under="ignore"):
        for values in cases:
            expected = values.astype(np.float32).astype(np.float64)
            assert np.array_equal(rounding.round_to_fp32(values), expected)
    assert np.isnan(rounding.round_to_fp32(np.array([np.nan])))


def test_zero_is_positive() -> None:
    """Exact zeros are +0; a sum that underflows keeps its sign (IEEE 754)."""
    x, tiny = np.array([1.5, -0.0]), np.array([-(2.0**-200)])
    assert rounding.round_sum([x, -x], FP32).view(np.uint32).tolist() == [0, 0]
    assert rounding.round_sum([np.array([-0.0])], FP32).view(np.uint32).tolist() == [0]
    assert rounding.round_sum([tiny], FP32).view(np.uint32).tolist() == [0x80000000]


def test_round_to_odd_many(rng: np.random.Generator) -> None:
    """Many sums at once: every inexact result is odd and beside the exact sum."""
    terms = [rng.standard_normal(2000) * 2.0 ** rng.integers(-90, 90, 2000) for _ in range(4)]
    found = rounding.round_to_odd(terms)
    inexact = 0
    for i, value in enumerate(found.tolist()):
        total = sum((Fraction(float(t[i])) for t in terms), Fraction(0))
        if Fraction(value) != total:
            inexact += 1
            assert found[i : i + 1].view(np.int64)[0] & 1
            beside = np.nextafter(value, np.inf if total > value else -np.inf)
            low, high = sorted((Fraction(value), Fraction(float(beside))))
            assert low < total < high
    assert inexact > 500


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_round_to_odd_wrong_terms(value: float) -> None:
    with pytest.raises(ValueError, match="terms must be finite, not NaN or infinity"):
        rounding.round_to_odd([np.array([1.0]), np.array([value])])


@pytest.mark.parametrize("target", [FP32, BF16])
def test_overflow_boundary(target: FloatFormat) -> None:
    """Half a unit above the largest finite value is the first sum to become infinite."""
    p = target.mantissa_bits + 1
    for low in (-1, 0, 1):
        _check([(2**p - 1, 128 - p), (1, 127 - p), (low, 60)], target)
        _check([(-(2**p) + 1, 128 - p), (-1, 127 - p), (low, 60)], target)
