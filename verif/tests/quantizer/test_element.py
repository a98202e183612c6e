"""An element under its scale: FP16 exhaustively, every input around every decision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4.golden.formats import element_thresholds, scale_thresholds
from amxfp4.rtl.lib.formats import floor_log2, magnitude_value, significand
from amxfp4.rtl.quantizer import element as quantizer_element
from amxfp4.verif.check import planted
from amxfp4.verif.tests.simulate import every_kind

SIGN = 1 << 3


def _first(table) -> int:
    """Exponent of the first decision: at a quarter of the scale, of integers at a half."""
    return -1 if table.format.config.format == "int4" else -2


def _signed(table, magnitudes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Codes of magnitudes below zero."""
    if table.format.config.format == "int4":
        return -magnitudes & 15
    return magnitudes + SIGN * (magnitudes > 0)


def _scale_input(table, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Write finite scales above zero as the element stage takes them."""
    keys, fmt = table.format, table.format.scale
    words = {}
    for code in np.unique(codes):
        value = magnitude_value(fmt, int(code))
        fraction = int((significand(value) - 1) * (1 << fmt.mantissa_bits))
        words[code] = (
            floor_log2(value) + keys.bias + _first(table)
        ) << fmt.mantissa_bits | fraction
    return np.array([words[code] for code in codes])


def _reached(table) -> npt.NDArray[np.int64]:
    """Scale codes above zero that finite maxima bring about."""
    steps = scale_thresholds(table.format.config.row, table.ties)
    met = np.searchsorted(steps, table.patterns[table.is_finite][1:], side="right")
    codes = np.unique(met)
    return codes[codes > 0] if table.format.scale.subnormals else codes


def _tops(table, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Index of the largest word that has a scale: no element under it is larger."""
    steps = scale_thresholds(table.format.config.row, table.ties)
    ordered = table.patterns[table.is_ordered]
    bounds = np.append(steps, ordered[-1] + 1)[np.minimum(codes, len(steps))]
    return np.searchsorted(ordered, bounds) - 1


def _elements(evaluate, table, key, scale, nan) -> npt.NDArray[np.uint32]:
    """Codes of keys of either sign under scales, first all positive ones, then all negative."""
    sign = 1 << table.format.magnitude_layout.size
    return evaluate(
        lambda: quantizer_element.ElementQuantizer(table.format),
        key=np.concatenate([key, key + sign]),
        scale=np.broadcast_to(scale, (2, len(key))).ravel(),
        nan=np.full(2 * len(key), nan),
    )["code"]


def _assert_golden(evaluate, table, index: npt.NDArray, codes: npt.NDArray) -> None:
    """Assert that words of either sign under scales have the codes that golden gives them."""
    steps = element_thresholds(table.format.config.row, table.ties)
    expected = (table.patterns[index] >= steps[:, codes]).sum(axis=0)
    assert set(expected) == set(range(8))
    found = _elements(evaluate, table, table.keys[index], _scale_input(table, codes), 0)
    assert (found == np.concatenate([expected, _signed(table, expected)])).all()


def _near_decisions(table, rng, *, most: int = 256):
    """Words on both sides of each decision and of the ends of keys, random ones, by scale code.

    Of more than `most` scale codes the first, the last, and about `most` of the others are there. A
    word above the largest that has a scale is never under it: it would be the block's maximum.
    """
    keys, patterns = table.format, table.patterns[table.is_ordered]
    steps = element_thresholds(keys.config.row, table.ties)
    binades = [keys.small]
    if keys.saturated is not None:  # the binades in which the exponent of a ratio would wrap too
        binades += range(keys.saturated - 2, keys.saturated + 8)
    ends = np.ldexp(1.0, np.array(binades) - keys.bias)
    ends = np.searchsorted(table.values[table.is_ordered], ends)
    index, codes = [], []
    reached = _reached(table)
    reached = np.unique(
        np.concatenate([reached[:16], reached[:: -(-len(reached) // most)], reached[-16:]])
    )
    for code, top in zip(reached, _tops(table, reached), strict=True):
        first = np.concatenate([np.searchsorted(patterns, steps[:, code]), ends])
        near = [*first, *(first - 1), 0, 1, top, *rng.integers(0, top + 1, 3)]
        places = np.unique(np.clip(near, 0, top))
        index.append(places)
        codes.append(np.full(len(places), code))
    return np.concatenate(index), np.concatenate(codes)


def _assert_near(evaluate, table) -> None:
    """Assert golden's codes near decisions, and of words drawn alike in every run."""
    _assert_golden(evaluate, table, *_near_decisions(table, np.random.default_rng(1)))


@pytest.mark.by_day(5)
@every_kind
def test_sim_element_near_decisions(evaluate, tabulate, rng, at_night, format, word, ties):
    """Words on both sides of every decision of every scale, and some others, have golden's codes.

    By day of some sixty scales, with every mantissa: Verilator's tests have all of them. That no
    two words with one key are decided differently is the business of the keys' own test.
    """
    table = tabulate(format, word, ties)
    index, codes = _near_decisions(table, rng, most=256 if at_night else 30)
    _assert_golden(evaluate, table, index, codes)


@pytest.mark.parametrize(
    "kind",
    [
        # Seconds of simulation; by day its words in BF16 are exhausted in Verilog.
        pytest.param("amxfp4", marks=pytest.mark.nightly),
        "amxfp4-pot-roundup",
        "mxfp4",
    ],
)
def test_exhaustive_element_fp16(evaluate, tabulate, kind):
    """Every FP16 key under every scale that its block can have, has golden's code."""
    table = tabulate(kind, "fp16", "RNE")
    distinct = np.unique(table.keys[table.is_ordered], return_index=True)[1]
    index, codes = (grid.ravel() for grid in np.meshgrid(distinct, _reached(table)))
    met = index <= _tops(table, codes)
    assert met.sum() > 5_000
    _assert_golden(evaluate, table, index[met], codes[met])


def _some_keys(table) -> npt.NDArray[np.int64]:
    distinct = np.unique(table.keys)
    return np.unique(np.concatenate([distinct[:50], distinct[::37], distinct[-50:]]))


def _assert_saturated(evaluate, table) -> None:
    """Assert that saturated keys are the largest element, whatever the scale."""
    keys = table.format
    some = np.unique(table.keys[table.is_ordered & (table.exponent >= keys.saturated)])
    assert len(some) > 0
    largest = _scale_input(table, np.array([keys.scale.max_magnitude]))
    for scale in (largest, keys.kill << keys.scale.mantissa_bits):
        found = _elements(evaluate, table, some, scale, 0)
        ends = np.array([7, _signed(table, np.array(7))])
        assert (found == np.repeat(ends, len(some))).all()


def _assert_killed(evaluate, table) -> None:
    """Assert that a killed scale leaves nothing but saturated keys, and none of a NaN block."""
    keys, some = table.format, _some_keys(table)
    killed = keys.kill << keys.scale.mantissa_bits
    assert (_elements(evaluate, table, some, killed, 1) == 0).all()
    if keys.saturated is not None:
        some = some[some >> keys.fraction_bits < keys.saturated]
    assert len(some) > 50
    assert (_elements(evaluate, table, some, killed, 0) == 0).all()


@every_kind
def test_sim_element_saturated(evaluate, tabulate, format, word, ties):
    """Saturated words of either sign, infinity included, are the largest element."""
    table = tabulate(format, word, ties)
    if table.format.infinity_is_nan:
        return  # the block is NaN, and its elements are killed
    assert table.exponent[table.words == table.format.word.inf_magnitude] >= table.format.saturated
    _assert_saturated(evaluate, table)


@pytest.mark.by_day(5)
@every_kind
def test_sim_element_killed(evaluate, tabulate, format, word, ties):
    """A word of a NaN block is 0x0; so is, under a killed scale, one that does not saturate."""
    _assert_killed(evaluate, tabulate(format, word, ties))


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


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [(_assert_near, "saturates.eq(a >= keys.saturated)", "saturates.eq(a > keys.saturated + 4)"),
     (_assert_near, "sign & kept & exceeds", "sign & kept"),
     (_assert_near, "(a + ~b + normal)", "(a + ~b + 1)"),
     (_assert_near, "kept.eq(reached)", "kept.eq(1)"),
     (_assert_saturated, "a >= keys.saturated", "a > keys.saturated"),
     (_assert_saturated, "q.eq(Mux(saturates, largest, q_inside))", "q.eq(q_inside)"),
     (_assert_saturated, "passes) | saturates", "passes)"),
     (_assert_killed, "kept.eq(~self.nan)", "kept.eq(1)"),
     (_assert_killed, "kept.eq(reached)", "kept.eq(1)")],
)  # fmt: skip
def test_checks_find_planted_bugs(evaluate, tabulate, monkeypatch, check, old, new):
    """Saturation, the kill, the sign of -0 and the normalisation of ratios: each is checked."""
    table = tabulate("amxfp4", "bf16", "RNE")
    check(evaluate, table)
    planted.bug(monkeypatch, "quantizer.element", old, new)
    with pytest.raises(AssertionError):
        check(evaluate, table)
