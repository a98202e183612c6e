"""Keys: every 16-bit word, and every FP32 word that a decision can be about."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pytest

from amxfp4.gen.config import FORMATS, FP32, QuantizerConfig, Ties
from amxfp4.golden.formats import element_thresholds, scale_thresholds
from amxfp4.rtl.quantizer_key import KeyDecoder, KeyFormat


def _assert_decided(table) -> None:
    """Assert that no two words that golden decides differently share a key."""
    row, patterns, finite = table.format.config.row, table.patterns, table.is_finite
    steps = scale_thresholds(row, table.ties)
    # Scales that words of this kind bring about; no element meets any other.
    reached = np.unique(np.searchsorted(steps, patterns[finite & (table.words > 0)], side="right"))
    on_elements = element_thresholds(row, table.ties)[:, reached].ravel()
    first = np.searchsorted(patterns[finite], np.unique(np.concatenate([steps, on_elements])))
    first = first[(first > 0) & (first < finite.sum())]
    assert len(first) > 50
    assert (table.keys[first] > table.keys[first - 1]).all()


def test_sim_key_order(tabulate, format, word, ties):
    """Keys are in the order of magnitudes, strictly wherever golden decides anything."""
    table = tabulate(format, word, ties)
    ordered = table.is_finite | (table.words == table.format.word.inf_magnitude)
    assert (np.diff(table.keys[ordered]) >= 0).all()
    _assert_decided(table)


def test_sim_key_ends(tabulate, format, word, ties):
    """Zero has the key 0; infinity and NaN have the top exponent, which no finite word has."""
    table = tabulate(format, word, ties)
    keys, finite = table.format, table.is_finite
    infinite = table.words == keys.word.inf_magnitude
    assert (~finite).sum() > infinite.sum() == 1
    assert (table.exponent[finite] <= keys.highest_finite).all()
    assert (table.exponent[~finite] == keys.top).all()
    assert table.keys[table.words == 0] == 0
    if not keys.infinity_is_nan:
        # An infinity saturates and a NaN does not; zero has the scale 1.0 and nothing else has.
        assert table.fraction[infinite] == 0
        assert (table.fraction[~finite & ~infinite] != 0).all()
        assert (table.keys[table.words > 0] > 0).all()


def test_sim_key_value(tabulate, format, word, ties):
    """A key of exponent e > 0 is its word's value cut to `kept_bits`, what is cut in sticky."""
    table = tabulate(format, word, ties)
    keys = table.format
    met = table.is_finite & (table.exponent > 0)
    values = table.patterns[met].astype(np.uint32).view(np.float32).astype(np.float64)
    fraction = np.ldexp(values, keys.bias - table.exponent[met]) - 1
    assert ((fraction >= 0) & (fraction < 1)).all()
    kept, rest = np.divmod(fraction * (1 << keys.kept_bits), 1)
    assert (table.fraction[met] >> keys.sticky == kept).all()
    if keys.sticky:
        assert (table.fraction[met] & 1 == (rest > 0)).all()
    # Subnormal words that decisions can see are among them.
    subnormal = table.words[met] < 1 << keys.word.mantissa_bits
    assert subnormal.any() == (keys.depth > 0)


@pytest.mark.parametrize("word", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("ties", Ties)
def test_sim_key_sign(evaluate, rng, word, ties):
    """The sign bit is the key's, and changes nothing else."""
    keys = KeyFormat(QuantizerConfig(input=word, ties=ties))
    sign = 1 << (keys.word.width - 1)
    special = [0, 1, keys.word.max_magnitude, keys.word.inf_magnitude, sign - 1]
    words = np.concatenate([special, rng.integers(0, sign, 1000)])
    decoded = evaluate(lambda: KeyDecoder(keys), word=np.concatenate([words, words + sign]))["key"]
    positive, negative = np.split(decoded, 2)
    assert (negative - positive == 1 << keys.magnitude_layout.size).all()
    assert (positive >> keys.magnitude_layout.size == 0).all()


def test_key_format_depends_on_the_scale_alone(tabulate):
    """Formats of one kind of scale have equal keys: testing one of them tests all."""
    names = [n for n, p in vars(KeyFormat).items() if isinstance(p, property | cached_property)]
    assert len(names) > 15
    kinds: dict[tuple, list] = {}
    for format, row in FORMATS.items():
        for ties in Ties:
            keys = KeyFormat(QuantizerConfig(format=format, ties=ties))
            fields = [getattr(keys, name) for name in names]
            same = kinds.setdefault((row.scale.name, row.scale_rule, ties), fields)
            assert fields == same, format
    assert len(kinds) == 8


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


def test_fp32_words_stand_on_every_decision(tabulate, decisions):
    """The FP32 words tested are those on either side of all decisions."""
    table = tabulate("amxfp4", "fp32", "RNE")
    steps = decisions(table.format.config)
    assert len(steps) > 500
    assert np.isin(np.concatenate([steps, steps - 1]), table.words).all()
    assert table.words.max() <= FP32.inf_magnitude | ((1 << FP32.mantissa_bits) - 1)
