"""Keys: every 16-bit word, and every FP32 word that a decision can be about."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4.golden.formats import element_thresholds, scale_thresholds
from amxfp4.params.formats import FORMATS, FP32, Ties
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.quantizer.key import KeyDecoder, KeyFormat
from amxfp4.verif.check import planted
from amxfp4.verif.tests.simulate import every_kind


def _bounds(table) -> npt.NDArray[np.int64]:
    """Bit patterns from which on golden decides otherwise, in blocks that such words can make."""
    row, patterns = table.format.config.row, table.patterns
    steps = scale_thresholds(row, table.ties)
    # Scales that words of this kind bring about; no element meets any other.
    met = patterns[table.is_finite & (table.words > 0)]
    reached = np.unique(np.searchsorted(steps, met, side="right"))
    on_elements = element_thresholds(row, table.ties)[:, reached].ravel()
    # Beside a rounded scale: zero has the scale 1.0 and nothing else has.
    zero = [] if row.power_of_two else [1]
    bounds = np.unique(np.concatenate([zero, steps, on_elements])).astype(np.int64)
    return bounds[bounds <= patterns[table.is_finite].max()]


def _assert_decided(table) -> None:
    """Assert that no two words that golden decides differently share a key, or are out of order."""
    patterns, keys = table.patterns[table.is_ordered], table.keys[table.is_ordered]
    kind = np.searchsorted(_bounds(table), patterns, side="right")
    first = np.flatnonzero(np.diff(kind, prepend=-1))
    assert len(first) > 50
    lowest, highest = (best.reduceat(keys, first) for best in (np.minimum, np.maximum))
    assert (highest[:-1] < lowest[1:]).all()


def _from(table) -> float:
    """Value from which on keys are exact."""
    return np.ldexp(1.0, table.format.small - table.format.bias)


def _to(table) -> float:
    """Value from which on keys saturate, if any does."""
    saturated = table.format.saturated
    return np.inf if saturated is None else np.ldexp(1.0, saturated - table.format.bias)


def _assert_ends(table) -> None:
    """Assert what keys promise of zero, of small and of saturated words, and of NaN."""
    keys, values, number = table.format, table.values, table.is_ordered
    assert (~table.is_finite).sum() > (table.words == keys.word.inf_magnitude).sum() == 1
    assert (table.nan == ~number).all()
    assert (table.exponent[number] <= keys.top).all()
    assert ((table.exponent < keys.small) == (values < _from(table)))[number].all()
    assert table.keys[table.words == 0] == 0
    bounds = _bounds(table).astype(np.uint32).view(np.float32).astype(np.float64)
    if not keys.infinity_is_nan:
        assert (table.keys[number & (table.words > 0)] > 0).all()
        assert ((table.exponent >= keys.saturated) == (values >= _to(table)))[number].all()
        assert table.exponent[table.words == keys.word.inf_magnitude] >= keys.saturated
    # Beyond either end golden decides nothing, but what tells zero from the smallest word.
    bounds = bounds[bounds > values[1]]
    assert bounds.min() >= _from(table)
    assert bounds.max() <= _to(table)


def _assert_values(table) -> None:
    """Assert that keys between the ends are the words' values, cut."""
    keys = table.format
    met = table.is_finite & (table.values >= _from(table)) & (table.values < _to(table))
    assert (np.diff(table.keys[met]) >= 0).all()
    fraction = np.ldexp(table.values[met], keys.bias - table.exponent[met]) - 1
    assert ((fraction >= 0) & (fraction < 1)).all()
    kept, rest = np.divmod(fraction * (1 << keys.kept_bits), 1)
    assert (table.fraction[met] >> keys.sticky == kept).all()
    if keys.sticky:
        assert (table.fraction[met] & 1 == (rest > 0)).all()
    # Subnormal words that decisions can see are among them.
    subnormal = table.words[met] < 1 << keys.word.mantissa_bits
    assert subnormal.any() == (keys.depth > 0)


@every_kind
def test_sim_key_order(tabulate, format, word, ties):
    """Keys are in the order of magnitudes, strictly, wherever golden decides anything."""
    _assert_decided(tabulate(format, word, ties))


@every_kind
def test_sim_key_ends(tabulate, format, word, ties):
    """Zero alone has key 0; the exponent shows small and saturated words, and `nan` NaN."""
    _assert_ends(tabulate(format, word, ties))


@every_kind
def test_sim_key_value(tabulate, format, word, ties):
    """Between the ends a key is its word's value cut to `kept_bits`, what is cut in sticky."""
    _assert_values(tabulate(format, word, ties))


@pytest.mark.parametrize(
    ("kind", "word", "bits"),
    [("amxfp4", "bf16", 6), ("amxfp4", "fp32", 6), ("amxfp4-e4m3", "bf16", 5),
     ("amxfp4-e4m3", "fp32", 5), ("amxfp4", "fp16", None), ("mxfp4", "fp32", None)],
)  # fmt: skip
def test_window(kind, word, bits):
    """Where scales have a smaller range than words, an exponent is as short as they allow."""
    keys = KeyFormat(QuantizerConfig(format=kind, input=word))
    assert keys.window == bits
    if bits:
        assert keys.exponent_bits == bits < keys.word.exponent_bits
        # Of the exponents of a shorter one, some decision would lie outside.
        half = 1 << (bits - 2)
        assert not 1 - half < keys.lowest_decision or keys.saturating[0] > half


@pytest.mark.parametrize("word", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("ties", Ties)
def test_sim_key_sign(evaluate, rng, word, ties):
    """The sign bit is the key's, and changes nothing else."""
    keys = KeyFormat(QuantizerConfig(input=word, ties=ties))
    sign = 1 << (keys.word.width - 1)
    special = [0, 1, keys.word.max_magnitude, keys.word.inf_magnitude, sign - 1]
    words = np.concatenate([special, rng.integers(0, sign, 1000)])
    decoded = evaluate(lambda: KeyDecoder(keys), word=np.concatenate([words, words + sign]))
    positive, negative = np.split(decoded["key"], 2)
    assert (negative - positive == 1 << keys.magnitude_layout.size).all()
    assert (positive >> keys.magnitude_layout.size == 0).all()
    nan = np.split(decoded["nan"], 2)
    assert (nan[0] == nan[1]).all()
    assert set(nan[0]) == {0, 1}


def test_key_format_depends_on_the_scale_alone(tabulate):
    """Formats of one kind of scale and element have equal keys: testing one tests all."""
    names = [n for n, p in vars(KeyFormat).items() if isinstance(p, property | cached_property)]
    names.remove("ends")  # of a window only
    names.remove("sides")  # of both signs or one
    names.remove("maxima_layout")
    assert len(names) > 15
    kinds: dict[tuple, list] = {}
    for format, row in FORMATS.items():
        for ties in Ties:
            keys = KeyFormat(QuantizerConfig(format=format, ties=ties))
            fields = [*(getattr(keys, name) for name in names), keys.window and keys.ends]
            kind = (row.scale.name, row.scale_rule, row.element.name, ties)
            same = kinds.setdefault(kind, fields)
            assert fields == same, format
    assert len(kinds) == 12 + 8 + 2


@pytest.mark.parametrize(
    ("name", "change"),
    [("kept_bits", lambda kept: kept - 1), ("sticky", lambda sticky: False),
     ("depth", lambda depth: depth - 1)],
)  # fmt: skip
def test_checks_find_faults(tabulate, monkeypatch, name, change):
    """With a bit fewer, no sticky bit or a binade less, the check of decisions fails."""
    whole = getattr(KeyFormat(QuantizerConfig(input="fp16", ties="RNE")), name)
    monkeypatch.setattr(KeyFormat, name, property(lambda keys: change(whole)))
    table = tabulate.__wrapped__("amxfp4", "fp16", "RNE")
    with pytest.raises(AssertionError):
        _assert_decided(table)


FAULTS = {
    "low end one bit short": (
        "amxfp4", _assert_decided, "self.window - 1 - rest", "self.window - 2 - rest",
    ),
    "words below the window stay in it": (
        "amxfp4", _assert_decided, "If(~above & ~beyond.all())", "If(C(0, 1))",
    ),
    "words above the window stay in it": (
        "amxfp4", _assert_decided, "If(above & beyond.any())", "If(C(0, 1))",
    ),
    "words above the window go to its low end": (
        "amxfp4", _assert_decided, "eq(~C(0, low - end))", "eq(C(0, low - end))",
    ),
    "exponent bits moved are not gathered": (
        "amxfp4", _assert_decided, "return is_small, field[end:-1]", "return is_small, C(0, 0)",
    ),
    "fraction bits dropped are not gathered": (
        "amxfp4", _assert_decided, "Cat(dropped, moved).any()", "moved.any()",
    ),
    "the window's own small words are not gathered": (
        "amxfp4", _assert_decided, "~(beyond.all() & field[end:low].any())", "~beyond.all()",
    ),
    "words that are not small are gathered": (
        "amxfp4", _assert_values, "is_small & Cat(", "Cat(",
    ),
    "subnormal words have no exponent of their own": (
        "mxfp4", _assert_decided, "exponent.eq(keys.offset - n)", "exponent.eq(keys.offset)",
    ),
    "saturates too early": (
        "amxfp4", _assert_ends, "* largest).exponent) + 1", "* largest).exponent) - 3",
    ),
    "infinity is NaN": (
        "amxfp4", _assert_ends, "(keys.infinity_is_nan | (man != 0))", "1",
    ),
    "infinity is not NaN": (
        "mxfp4", _assert_ends, "(keys.infinity_is_nan | (man != 0))", "(man != 0)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_checks_find_planted_bugs(tabulate, monkeypatch, fault):
    """What is wrong at the ends of the range is found, in BF16 with ties away, by its check."""
    kind, check, old, new = FAULTS[fault]
    check(tabulate(kind, "bf16", "RNA"))
    planted.bug(monkeypatch, "quantizer.key", old, new)
    table = tabulate.__wrapped__(kind, "bf16", "RNA")
    with pytest.raises(AssertionError):
        check(table)


def test_fp32_words_stand_on_every_decision(tabulate, decisions):
    """The FP32 words tested are those on either side of all decisions."""
    table = tabulate("amxfp4", "fp32", "RNE")
    steps = decisions(table.format.config)
    assert len(steps) > 500
    assert np.isin(np.concatenate([steps, steps - 1]), table.words).all()
    assert table.words.max() <= FP32.inf_magnitude | ((1 << FP32.mantissa_bits) - 1)
