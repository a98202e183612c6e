"""The stimulus is what its names say: otherwise tests that use it would be empty."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, stimulus
from amxfp4.params.formats import FORMATS, INPUTS, block_format


@pytest.mark.parametrize("word", INPUTS)
def test_families(word: str, rng: np.random.Generator) -> None:
    """Each family has its own property, in each word format."""
    drawn = {f: stimulus.blocks(rng, 200, 32, word, f) for f in stimulus.FAMILIES}
    x = {f: formats.values(words, word) for f, words in drawn.items()}
    fmt = INPUTS[word]
    special = ("with_nan", "with_infinity", "random_words")
    for family, values in x.items():
        assert values.shape == (200, 32)
        assert family in special or np.isfinite(values).all(), family
    assert np.isnan(x["with_nan"]).any(axis=1).all()
    assert np.isinf(x["with_infinity"]).any(axis=1).all()
    assert not np.isnan(x["with_infinity"]).any()
    assert (x["positive_only"] >= 0).all()
    assert (x["negative_only"] <= 0).all()
    assert 0.4 < (x["half_zeros"] == 0).mean() < 0.6
    magnitude = drawn["subnormals"].astype(np.int64) & ((1 << (fmt.width - 1)) - 1)
    assert ((magnitude > 0) & (magnitude < 1 << fmt.mantissa_bits)).mean() > 0.2
    assert (np.signbit(x["negative_zeros"]) & (x["negative_zeros"] == 0)).mean() > 0.3
    assert (x["zero_blocks"] == 0).all(axis=1).sum() > 50
    scales = golden.quantize(x["wide_scale_range"])
    found = set(scales.scale_pos.ravel().tolist())
    # FP16 ends before E5M2 scales do.
    assert found >= ({0x00} if word == "fp16" else {0x00, 0x7B})
    assert len(found) > 40


@pytest.mark.parametrize("word", INPUTS)
@pytest.mark.parametrize("format", FORMATS)
def test_ties_are_hit(format: str, word: str, rng: np.random.Generator) -> None:
    """Exact ties tell the two rounding modes apart: in elements, and in rounded scales."""
    words = stimulus.blocks(rng, 300, 32, word, "exact_ties", formats=[format])
    x = formats.values(words, word)
    away = golden.quantize(x, format, ties="RNA", block=32)
    even = golden.quantize(x, format, ties="RNE", block=32)
    row = block_format(format)
    same_scale = (away.scale_pos == even.scale_pos)[..., None]
    if away.scale_neg is not None:
        same_scale = same_scale & (away.scale_neg == even.scale_neg)[..., None]
    # What is halfway under one scale has an error that speaks for another.
    share = 0.01 if row.compares_errors else 0.03
    assert ((away.codes != even.codes) & same_scale).mean() > share
    differ = (away.scale_pos != even.scale_pos).mean()
    assert differ > 0.02 if row.scale.name != "e8m0" else differ == 0


def test_mix_holds_every_family(rng: np.random.Generator) -> None:
    """Without a family, blocks of all of them, in any number; the seed repeats them."""
    for count in (0, 1, 5, len(stimulus.FAMILIES), 100):
        assert stimulus.blocks(rng, count, 16, "bf16").shape == (count, 16)
    mixed = formats.values(stimulus.blocks(rng, 340, 32, "fp32"), "fp32")
    assert np.isnan(mixed).any(axis=1).sum() >= 20
    assert np.isinf(mixed).any(axis=1).sum() >= 20
    one, two = (stimulus.blocks(np.random.default_rng(9), 50, 16, "fp16") for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("format", FORMATS)
def test_records(format: str, rng: np.random.Generator) -> None:
    """Records use every element code, many scales, NaN as often as asked, and stray sign bits."""
    row = block_format(format)
    codes, pos, other = stimulus.records(rng, 2000, row, nan=0.1)
    assert set(codes.ravel().tolist()) == set(range(16))
    assert (codes == 0).all(axis=1).any()
    assert (other is None) == (row.shared == 1)
    if row.zero_point:
        assert set(np.asarray(other).tolist()) == set(range(16))
    for scales in (pos, None if row.zero_point else other):
        if scales is not None:
            assert len(set(scales.tolist())) > 60
            if row.scale.signed_bit:
                assert (scales >= 128).any()
    share = np.isnan(formats.decode(pos, row.scale)).mean()
    assert 0.05 / row.scales < share < 0.2 / row.scales
    none = stimulus.records(rng, 2000, row, nan=0)
    assert not np.isnan(formats.decode(none[1], row.scale)).any()


def test_blocks_wrong_family(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"family must be one of normal, .*, not 'odd'"):
        stimulus.blocks(rng, 1, 16, "bf16", "odd")


def test_blocks_wrong_word(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="word must be one of bf16, fp16, fp32, not 'fp8'"):
        stimulus.blocks(rng, 1, 16, "fp8")


def test_blocks_wrong_formats(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"formats must be one of amxfp4, .*, not 'fp4'"):
        stimulus.blocks(rng, 1, 16, "bf16", formats=["fp4"])
