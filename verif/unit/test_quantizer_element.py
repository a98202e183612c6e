"""An element under its scale: FP16 exhaustively, every input around every decision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4.golden.formats import element_thresholds, scale_thresholds
from amxfp4.rtl import quantizer_element
from amxfp4.rtl.formats import floor_log2, magnitude_value, significand
from amxfp4.rtl.quantizer_element import ElementQuantizer

SIGN = 1 << 3


def _scale_input(table, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Write finite scales above zero as the element stage takes them."""
    keys, fmt = table.format, table.format.scale
    words = {}
    for code in np.unique(codes):
        value = magnitude_value(fmt, int(code))
        fraction = int((significand(value) - 1) * (1 << fmt.mantissa_bits))
        words[code] = (floor_log2(value) + keys.bias) << fmt.mantissa_bits | fraction
    return np.array([words[code] for code in codes])


def _reached(table) -> npt.NDArray[np.int64]:
    """Scale codes above zero that finite maxima bring about."""
    steps = scale_thresholds(table.format.config.row, table.ties)
    met = np.searchsorted(steps, table.patterns[table.is_finite][1:], side="right")
    codes = np.unique(met)
    return codes[codes > 0] if table.format.scale.subnormals else codes


def _assert_golden(evaluate, table, index: npt.NDArray, codes: npt.NDArray) -> None:
    """Assert that words of either sign under scales have the codes that golden gives them."""
    steps = element_thresholds(table.format.config.row, table.ties)
    expected = (table.patterns[index] >= steps[:, codes]).sum(axis=0)
    assert set(expected) == set(range(8))
    sign = 1 << table.format.magnitude_layout.size
    keys, scales = table.keys[index], _scale_input(table, codes)
    found = evaluate(
        lambda: ElementQuantizer(table.format),
        key=np.concatenate([keys, keys + sign]),
        scale=np.concatenate([scales, scales]),
    )["code"]
    assert (found == np.concatenate([expected, expected + SIGN * (expected > 0)])).all()


def _near_decisions(table, rng):
    """Words on both sides of each decision, zero, small, random and large ones, by scale code."""
    steps = element_thresholds(table.format.config.row, table.ties)
    last = int(table.is_finite.sum()) - 1
    index, codes = [], []
    for code in _reached(table):
        first = np.searchsorted(table.patterns[: last + 1], steps[:, code])
        places = [*first, *(first - 1), 0, last, *rng.integers(0, last, 2)]
        places = np.unique(np.clip(places, 0, last))
        index.append(places)
        codes.append(np.full(len(places), code))
    return np.concatenate(index), np.concatenate(codes)


def test_sim_element_near_decisions(evaluate, tabulate, rng, format, word, ties):
    """Words on both sides of every decision of every scale, and some others, have golden's codes.

    That no two words with one key are decided differently is the business of the keys' own test.
    """
    table = tabulate(format, word, ties)
    index, codes = _near_decisions(table, rng)
    _assert_golden(evaluate, table, index, codes)


@pytest.mark.parametrize("kind", ["amxfp4-pot-roundup", "mxfp4"])
def test_exhaustive_element_fp16(evaluate, tabulate, kind):
    """Every FP16 key under every scale has golden's code."""
    table = tabulate(kind, "fp16", "RNE")
    distinct = np.unique(table.keys[table.is_finite], return_index=True)[1]
    index, codes = (grid.ravel() for grid in np.meshgrid(distinct, _reached(table)))
    assert len(index) > 10_000
    _assert_golden(evaluate, table, index, codes)


def test_sim_element_infinity(evaluate, tabulate, format, word, ties):
    """An infinity is the largest element under the largest scale it brings about."""
    table = tabulate(format, word, ties)
    keys = table.format
    if keys.infinity_is_nan:
        return  # the block is NaN, and its elements are killed
    place = np.flatnonzero(table.words == keys.word.inf_magnitude)
    scale = _scale_input(table, np.array([keys.scale.max_magnitude]))
    found = evaluate(lambda: ElementQuantizer(keys), key=table.keys[place], scale=scale)["code"]
    assert found == 7


def test_sim_element_killed(evaluate, tabulate, format, word, ties):
    """Under a killed scale every word of either sign, infinities and NaN included, is 0x0."""
    table = tabulate(format, word, ties)
    keys = table.format
    distinct = np.unique(table.keys)
    distinct = np.concatenate([distinct[:50], distinct[::37], distinct[-50:]])
    killed = keys.scale_exponent_kill << keys.scale.mantissa_bits
    sign = 1 << keys.magnitude_layout.size
    found = evaluate(
        lambda: ElementQuantizer(keys),
        key=np.concatenate([distinct, distinct + sign]),
        scale=np.full(2 * len(distinct), killed),
    )["code"]
    assert (found == 0).all()


def test_checks_find_faults(evaluate, tabulate, rng, monkeypatch):
    """A comparison that forgets strictness, or is off by one step, is found."""
    right = quantizer_element.at_least
    faults = (
        lambda f, bits, bound, strict: right(f, bits, bound, strict=False),
        lambda f, bits, bound, strict: right(f, bits, bound + bound.__class__(1, 1 << bits)),
    )
    for fault in faults:
        monkeypatch.setattr(quantizer_element, "at_least", fault)
        table = tabulate("amxfp4", "bf16", "RNE")
        index, codes = _near_decisions(table, rng)
        with pytest.raises(AssertionError):
            _assert_golden(evaluate, table, index, codes)
