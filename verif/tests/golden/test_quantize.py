"""The quantizer against the definitions in fractions and the paper's reference code."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, reference, stimulus
from amxfp4.params.formats import FORMATS, FP32, UE5M3, Ties, block_format
from amxfp4.verif.tests.golden.oracle import DATA, TIES, check_quantize, check_reference

CASES = list(itertools.product(FORMATS, TIES))
OF_MAXIMA = [
    case for case in CASES
    if not FORMATS[case[0]].zero_point and not FORMATS[case[0]].compares_errors
]  # fmt: skip
"""Those whose scales follow from the maximum alone."""


@pytest.mark.by_day(5)
@pytest.mark.parametrize("word", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize(("format", "ties"), CASES)
def test_families(format: str, ties: str, word: str, rng: np.random.Generator) -> None:
    """Blocks of every family, in every word format, give the codes the definitions give."""
    words = stimulus.blocks(rng, 36, 32, word, formats=[format])
    assert check_quantize(words, word, format, ties) == 36


@pytest.mark.parametrize(("format", "ties"), CASES)
def test_bfloat16_arrays_are_their_values(format: str, ties: str, rng: np.random.Generator) -> None:
    """Words of 16 bits are decided as the FP32 values that they stand for, ties as well."""
    row = block_format(format)
    words = stimulus.blocks(rng, 400, row.block, "bf16", formats=[format])
    every = rng.permutation(1 << 16).astype(np.uint16).reshape(-1, row.block)
    # Two maxima and every word that is next to half of an element of that scale.
    halves = np.array([6, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5], np.float32)
    tied = np.resize(np.ldexp(np.concatenate([halves, -halves]), -3), (4, row.block))
    near = formats.words(tied.astype(np.float32), "bf16") + np.arange(-1, 3)[:, None]
    words = np.concatenate([words, every, near.astype(np.uint16)])
    narrow = golden.quantize(words.view(ml_dtypes.bfloat16), format, ties=ties)
    wide = golden.quantize(formats.values(words, "bf16"), format, ties=ties)
    assert np.array_equal(golden.pack(narrow), golden.pack(wide))


@pytest.mark.parametrize("block", [16, 64, 128])
@pytest.mark.parametrize("format", FORMATS)
def test_block_sizes(format: str, block: int, rng: np.random.Generator) -> None:
    """Other block sizes, the same definitions."""
    words = stimulus.blocks(rng, 16, block, "fp32", formats=[format])
    assert check_quantize(words, "fp32", format, "RNA") == 16


@pytest.mark.by_day(3)
@pytest.mark.parametrize(("format", "ties"), CASES)
def test_exhaustive_scale_boundaries(format: str, ties: str) -> None:
    """At every boundary between two scale codes, and one FP32 value beside it."""
    row = block_format(format, 16)
    keys = formats.scale_thresholds(row, Ties(ties))
    keys = keys[keys < formats.NEVER].astype(np.int64)
    maxima = np.concatenate([keys - 1, keys, keys + 1, [1, FP32.max_magnitude]])
    words = np.zeros((maxima.size, 16), np.uint32)
    words[:, 0] = maxima
    # The negative side crosses its boundaries in another order.
    words[:, 1] = np.roll(maxima, 7) | 1 << 31
    assert check_quantize(words, "fp32", format, ties) == len(maxima) > 20


@pytest.mark.by_day(3)
@pytest.mark.parametrize(("format", "ties"), OF_MAXIMA)
def test_exhaustive_element_boundaries(format: str, ties: str) -> None:
    """For every scale code, at every boundary between elements, and beside it."""
    row = block_format(format, 32)
    codes = np.arange(1, row.scale.max_magnitude + 1)
    with np.errstate(over="ignore"):
        largest = formats.element_values(row).max() * formats.decode(
            codes.astype(np.uint8), row.scale
        )
        largest = largest.astype(np.float32)
    codes, largest = codes[np.isfinite(largest)], largest[np.isfinite(largest)]
    words = np.zeros((len(codes), 32), np.uint32)
    # The maximum as it is and, after the elements, negated: both signs have this scale.
    words[:, 0] = largest.view(np.uint32)
    words[:, 1] = words[:, 0] | 1 << 31
    keys = formats.element_thresholds(row, Ties(ties))[:, codes].T.astype(np.int64)
    for i, beside in enumerate((-1, 0, 1)):
        words[:, 2 + 7 * i : 9 + 7 * i] = keys + beside
    words[:, 23:30] = keys | 1 << 31
    assert check_quantize(words, "fp32", format, ties) == len(codes) > 100
    found = golden.quantize(words.view(np.float32), format, ties=ties, block=32)
    assert np.array_equal(found.scale_pos[:, 0], codes)


def test_reference_vectors() -> None:
    """Every block of the paper's reference code where definitions agree, all of its cases."""
    with np.load(DATA / "vectors" / "reference_public.npz") as data:
        cases = [key.removesuffix("|y") for key in data.files if key.endswith("|y")]
        compared = {case: check_reference(data, case) for case in cases}
    assert len(compared) == 8 * 2 * 2
    assert min(compared.values()) > 400
    assert sum(compared.values()) > 19_000


# Values of the elements given, format, and what they become: codes, positive and negative scale.
INF, NAN = np.inf, np.nan
EDGES = [
    ([0.0, -0.0], "amxfp4", [0, 0], 0x3C, 0x3C),
    ([0.0, -0.0], "amxfp4-e4m3", [0, 0], 0x38, 0x38),
    ([0.0, -0.0], "amxfp4-pot", [0, 0], 0x00, 0x00),
    ([-0.0], "mxfp4", [0], 0x00, None),
    ([0.0], "nvfp4", [0], 0x38, None),
    ([6.0, 3.0], "amxfp4", [7, 5], 0x3C, 0x3C),
    ([-6.0, -3.0], "amxfp4", [15, 13], 0x3C, 0x3C),
    ([-6.0, 3.0], "mxfp4-e5m2", [15, 5], 0x3C, None),
    # A scale of 2^-17 or less: half of the smallest rounds away from zero, less to zero.
    ([6 * 2.0**-17, -5.9 * 2.0**-17], "amxfp4", [5, 0], 0x01, 0x00),
    ([2.0**-149, -1.0], "amxfp4", [0, 15], 0x00, 0x31),
    ([6 * 2.0**-10, 5.9 * 2.0**-10], "nvfp4", [5, 5], 0x01, None),
    ([5.9 * 2.0**-10], "nvfp4", [0], 0x00, None),
    # Saturating scales, saturating elements.
    ([3e38, -1.0], "amxfp4", [7, 15], 0x7B, 0x31),
    ([INF, 57344.0, 14000.0, 1.0], "amxfp4", [7, 2, 0, 0], 0x7B, 0x3C),
    ([-INF, 1e30], "amxfp4", [15, 7], 0x7B, 0x7B),
    ([INF, -448.0], "nvfp4", [7, 10], 0x7E, None),
    ([3e38], "nvfp4", [7], 0x7E, None),
    ([INF, 1.0], "mxfp4", [0, 0], 0xFF, None),
    ([-INF, 1.0], "amxfp4-pot", [0, 0], 0xFF, 0xFF),
    ([NAN, 1.0, -INF], "amxfp4", [0, 0, 0], 0x7F, 0x7F),
    ([-NAN, 1.0], "amxfp4-e4m3", [0, 0], 0x7F, 0x7F),
    ([1.0, NAN], "nvfp4", [0, 0], 0x7F, None),
    ([1.0, NAN], "mxfp4-roundup", [0, 0], 0xFF, None),
    # Power-of-two scales: 2^(floor(log2 m) - 2), and the exponent grown from 7/8 on.
    ([7.0, 6.9], "mxfp4", [7, 7], 127, None),
    ([7.0, 6.9], "mxfp4-roundup", [6, 5], 128, None),
    ([6.99, -7.0], "amxfp4-pot-roundup", [7, 14], 127, 128),
    ([2.0**-149], "mxfp4", [0], 0x00, None),
    ([2.0**-127], "mxfp4", [2], 0x00, None),
    ([3.4e38], "mxfp4", [7], 252, None),
    ([3.4e38], "mxfp4-roundup", [6], 253, None),
]


@pytest.mark.parametrize(("values", "format", "codes", "pos", "neg"), EDGES)
def test_edges(values: list[float], format: str, codes: list[int], pos: int, neg: Any) -> None:
    """Edges by hand: zeros, one sign, underflow, saturation, infinities, NaN."""
    with np.errstate(invalid="ignore"):
        b = golden.quantize(np.array(values, np.float32), format)
    assert b.codes[0, : len(codes)].tolist() == codes
    assert not b.codes[0, len(codes) :].any()
    assert b.scale_pos.tolist() == [pos]
    assert (b.scale_neg is None) == (neg is None)
    if b.scale_neg is not None:
        assert b.scale_neg.tolist() == [neg]


def test_edges_are_the_definitions() -> None:
    """The oracle agrees with the edges above, so both are held by a third hand."""
    for values, format, codes, pos, neg in EDGES:
        row = block_format(format)
        words = np.array(values, np.float32).view(np.uint32).tolist()
        found = reference.quantize_block([reference.word_value(w, FP32) for w in words], row)
        assert found.codes[: len(codes)] == tuple(codes)
        assert (found.scale_pos, found.scale_neg) == (pos, neg)


def test_nan_payloads() -> None:
    """NaN of any payload and sign; none is mistaken for a threshold that is never reached."""
    for bits in (0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF):
        x = np.array([1, 0], np.float32)
        x.view(np.uint32)[1] = bits
        for format, row in FORMATS.items():
            b = golden.quantize(x, format)
            assert b.scale_pos.tolist() == [row.scale.nan_magnitude]
            assert not b.codes.any()


@pytest.mark.parametrize("word", ["bf16", "fp32"])
def test_ceiling_is_torchaos(word: str) -> None:
    """Scales of all maxima, and codes of blocks, are those that torchao's RCEIL chooses."""
    data = np.load(DATA / "vectors" / "rceil_torchao.npz")
    maxima = data[f"max_{word}"]
    alone = np.zeros((len(maxima), 32), maxima.dtype)
    alone[:, 0] = maxima
    found = golden.quantize(formats.values(alone, word), "mxfp4-rceil", ties="RNE").scale_pos[:, 0]
    due = data[f"max_{word}|scale"]
    # One maximum just above 6 * 2^-127 has scale code 0 there.
    good = data[f"max_{word}|ok"] & ((due > 0) | (maxima <= 0x01400000))
    assert good.sum() == {"bf16": 32_640, "fp32": 15_163}[word]
    assert np.array_equal(found[good], due[good])
    x = data[f"x_{word}"]
    b = golden.quantize(formats.values(x, word) if word == "bf16" else x, "mxfp4-rceil", ties="RNE")
    good = data[f"x_{word}|ok"]
    assert good.sum() == 770
    assert np.array_equal(b.scale_pos[good, 0], data[f"x_{word}|scale"][good])
    codes = data[f"x_{word}|codes"]
    assert np.array_equal(b.codes[good, 0], np.where(codes == 8, 0, codes)[good])


def test_ue5m3_is_auto_rounds() -> None:
    """Values of codes, scales and values of blocks are auto-round's, but scales of zero blocks."""
    data = np.load(DATA / "vectors" / "ue5m3_autoround.npz")
    table = formats.decode(np.arange(256, dtype=np.uint8), UE5M3)
    assert np.array_equal(table, data["table"], equal_nan=True)
    compared = 0
    for name in (key[:-2] for key in data if key.endswith("|x")):
        x = data[f"{name}|x"]
        values = formats.values(x, "bf16") if x.dtype == np.uint16 else x
        b = golden.quantize(values, "nvfp4-ue5m3", ties="RNE")
        assert np.array_equal(golden.dequantize(b), data[f"{name}|y"]), name
        some = values.reshape(32, -1, 16).any(axis=-1)
        assert np.array_equal(b.scale_pos[some], data[f"{name}|scale"][some]), name
        compared += values.size
    assert compared == 114_688
