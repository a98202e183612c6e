"""Scales that are searched: against fractions, at ties, at the ends of the codes."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, reference, stimulus
from amxfp4.golden.coding import search
from amxfp4.golden.stimulus.errors import error_ties
from amxfp4.params.formats import FORMATS, INPUTS, Ties, block_format
from amxfp4.verif.tests.golden.oracle import DATA, NEAREST, TIES, exact_blocks

PAIRS = [(0, 3), (-1, 1), (-2, 5), (1, 2), (0, 0)]


def check(words: Any, word: str, format: str, ties: str, pair: tuple[int, int]) -> int:
    """Compare every code and scale of blocks [count, K] with fractions; return what moved."""
    row = block_format(format, words.shape[1])
    x = formats.values(words, word)
    b = golden.quantize(x, format, ties=ties, block=row.block, search=pair)
    for given, found in zip(words.tolist(), exact_blocks(b), strict=True):
        values = [reference.word_value(w, INPUTS[word]) for w in given]
        expected = reference.quantize_block(values, row, ties, pair)
        assert found == expected, f"{format} {ties} {word} {pair} {given}"
    plain = golden.quantize(x, format, ties=ties, block=row.block)
    return int((plain.scale_pos != b.scale_pos).sum())


@pytest.mark.by_day(3)
@pytest.mark.parametrize("word", INPUTS)
@pytest.mark.parametrize("format", NEAREST)
def test_random_blocks(rng: np.random.Generator, format: str, word: str) -> None:
    """Every family of blocks: codes and scales are those of the fractions, and some scales move."""
    moved = 0
    for number, family in enumerate(stimulus.FAMILIES):
        words = stimulus.blocks(rng, 4, 16, word, family)
        pair, ties = PAIRS[number % len(PAIRS)], TIES[number % len(TIES)]
        moved += check(words, word, format, ties, pair)
    assert moved > 10


@pytest.mark.parametrize("format", ["amxfp4", "nvfp4", "amxfp4-ue5m3"])
def test_exact_ties(rng: np.random.Generator, format: str) -> None:
    """Errors that are equal, or differ by less than FP64 sees, are decided exactly."""
    equal = np.zeros((40, 16), np.float32)
    equal[:, :3] = rng.choice([1, 2, 3, 4, 6, -5, -1.5], (40, 3)) * 2.0 ** rng.integers(
        -6, 7, (40, 1)
    )
    near = equal.copy()
    near[:, 4] = 2.0**-40
    huge = equal * np.float32(2.0**100)
    # Between two scales, of which few have a reciprocal in FP32.
    scales = formats.decode(np.arange(0x20, 0x61, dtype=np.uint8), FORMATS[format].scale)
    between = np.zeros((64, 16), np.float32)
    between[:, 0] = 3 * (scales[:-1] + scales[1:])
    for x in (equal, near, huge, -huge, between):
        check(x.view(np.uint32), "fp32", format, "RNA", (-2, 5))


def test_exact_sums_are_needed(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the exact decision the same blocks fail."""
    monkeypatch.setattr(search, "_CLOSE", -1.0)
    with pytest.raises(AssertionError, match="amxfp4"):
        test_exact_ties(rng, "amxfp4")


def test_doubt_is_needed(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FP32 is trusted alone the same blocks fail."""
    screen = search.LeastError._screen
    monkeypatch.setattr(search.LeastError, "_screen", lambda *given: screen(*given) & False)
    with pytest.raises(AssertionError, match="amxfp4"):
        test_exact_ties(rng, "amxfp4")


@pytest.mark.parametrize("format", NEAREST)
def test_no_search_is_plain(rng: np.random.Generator, format: str) -> None:
    """The pair (0, 0) changes only scales that are 0, to which nothing below is nearer."""
    x = rng.standard_normal((64, 128)).astype(np.float32)
    plain, same = golden.quantize(x, format), golden.quantize(x, format, search=(0, 0))
    assert np.array_equal(plain.codes, same.codes)
    for one, other in zip(plain.scales, same.scales, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("format", NEAREST)
def test_error_never_grows(rng: np.random.Generator, format: str) -> None:
    """Where 0 is among the candidates, no block's error is larger; over all it is much smaller."""
    x = rng.standard_normal((64, 256)).astype(np.float32)
    errors = [
        np.square(x - golden.dequantize(golden.quantize(x, format, search=pair)), dtype=np.float64)
        for pair in (None, (0, 3), (-2, 5))
    ]
    size = FORMATS[format].block
    plain, few, many = (e.reshape(-1, size).sum(axis=1) for e in errors)
    assert (few <= plain).all()
    assert (many <= few).all()
    # Integers are dense at their top: larger scales seldom help there, smaller ones do.
    assert min(few.sum(), many.sum()) < 0.95 * plain.sum()


def test_special_blocks() -> None:
    """No element, NaN and infinity as without a search; so are scales that no candidate is for."""
    x = np.zeros((5, 32), np.float32)
    x[1, :2] = np.nan, 1
    x[2, :3] = np.inf, -1.3, -0.2
    x[3, :2] = 1e30, -2.0
    x[4, 0] = 2.0**-30
    plain, b = golden.quantize(x), golden.quantize(x, search=(-1, 3))
    for row in (0, 1):
        assert np.array_equal(plain.codes[row], b.codes[row])
    assert np.array_equal(plain.scale_pos[:3], b.scale_pos[:3])
    assert plain.scale_neg is not None
    assert b.scale_neg is not None
    assert np.array_equal(plain.scale_neg[:2], b.scale_neg[:2])
    assert b.scale_pos[3, 0] == 0x7B
    # S(m) is 0 there, and the smallest scale has no smaller error: the least of the candidates.
    assert (plain.scale_pos[4, 0], b.scale_pos[4, 0]) == (0, 1)
    assert golden.quantize(x[4:], search=(-2, -1)).scale_pos[0, 0] == 0


def test_axes_and_padding(rng: np.random.Generator) -> None:
    """Any axis, odd sizes, BF16: the blocks of the last axis."""
    x = rng.standard_normal((45, 7)).astype(np.float32)
    across = golden.quantize(x, "nvfp4", axis=0, search=(-1, 2))
    along = golden.quantize(np.ascontiguousarray(x.T), "nvfp4", search=(-1, 2))
    assert np.array_equal(across.codes, along.codes)
    assert np.array_equal(across.scale_pos, along.scale_pos)


PAIR = "search must be a pair of integers (lo, hi), not "
RANGE = "search must be (lo, hi) with -16 <= lo <= hi <= 16, not "
OUT = "search must be left out "
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"search": 3}, PAIR + "3"),
    "float": ({"search": (0, 1.5)}, PAIR + "(0, 1.5)"),
    "order": ({"search": (1, 0)}, RANGE + "(1, 0)"),
    "range": ({"search": (0, 17)}, RANGE + "(0, 17)"),
    "power": ({"format": "mxfp4", "search": (0, 1)}, OUT + "for the scales of mxfp4"),
    "rule": ({"format": "nvfp4", "rule": "modelopt", "search": (0, 1)}, OUT + "with rule 'mod"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_search(case: str) -> None:
    options, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        golden.quantize(np.ones(32, np.float32), **options)


def test_fractions_decide_alone() -> None:
    """The oracle's own example: 5 and 1 under scales 1 and 1.25."""
    row = block_format("amxfp4", 16)
    values = [Fraction(5), Fraction(1)]
    assert reference.quantize_block(values, row).scale_pos == 0x3B
    assert reference.quantize_block(values, row, search=(0, 3)).scale_pos == 0x3D


def _error(x: Any, codes: Any, scale: int) -> Fraction:
    row = block_format("nvfp4-46")
    block = reference.ExactBlock(tuple(codes.tolist()), scale, None)
    values = reference.dequantize_block(block, row)
    return sum(
        ((Fraction(float(v)) - Fraction(y)) ** 2 for v, y in zip(x, values, strict=True)),
        Fraction(0),
    )


def test_four_over_six() -> None:
    """Codes and scales are fouroversix's, but where its errors in FP32 tie and ours do not."""
    data = np.load(DATA / "vectors" / "fouroversix_mse.npz")
    compared = 0
    for name in (key[:-2] for key in data if key.endswith("|x")):
        words, t = data[f"{name}|x"], data[f"{name}|amax"] / np.float32(1536)
        x = formats.values(words, "bf16") if words.dtype == np.uint16 else words
        b = golden.quantize(x, "nvfp4-46", ties="RNE", tensor_scale="auto")
        if not x.any():
            continue  # its scales of a zero tensor are 0
        assert b.tensor_scale == t
        codes = data[f"{name}|mse|codes"].reshape(b.codes.shape)
        codes = np.where(codes == 8, 0, codes)
        scale = data[f"{name}|mse|scale"]
        same = (codes == b.codes).all(axis=-1) & (scale == b.scale_pos)
        blocks = (x / t).astype(np.float32).reshape(b.codes.shape)
        some = blocks.any(axis=-1) & data[f"{name}|mse|ok"]
        compared += int(some.sum())
        for at in zip(*np.nonzero(~same & some), strict=True):
            ours = _error(blocks[at], b.codes[at], int(b.scale_pos[at]))
            theirs = _error(blocks[at], codes[at], int(scale[at]))
            assert ours <= theirs <= ours * (1 + Fraction(1, 1 << 20))
    assert compared > 9_000


def test_four_over_six_in_fractions(rng: np.random.Generator) -> None:
    """Scales and codes are those of the fractions, and either scale is chosen."""
    chosen = []
    for word in INPUTS:
        for family in stimulus.FAMILIES:
            words = stimulus.blocks(rng, 6, 16, word, family, formats=["nvfp4-46"])
            x, row = formats.values(words, word), block_format("nvfp4-46")
            b, plain = golden.quantize(x, row.name), golden.quantize(x, "nvfp4")
            for given, found in zip(words.tolist(), exact_blocks(b), strict=True):
                values = [reference.word_value(w, INPUTS[word]) for w in given]
                assert found == reference.quantize_block(values, row)
            chosen += (b.scale_pos != plain.scale_pos).ravel().tolist()
    assert 0.1 < np.mean(chosen) < 0.9


@pytest.mark.parametrize("word", INPUTS)
def test_errors_are_equal(rng: np.random.Generator, word: str) -> None:
    """Blocks of equal errors under two scales are: half of them, some with subnormal scales."""
    row, equal, subnormal = block_format("nvfp4-46"), 0, 0
    words = error_ties(rng, (40, 16), word, row)
    x = formats.values(words, word)
    m = np.abs(x).max(axis=1).view(np.int32)
    six, four = (np.searchsorted(formats.scale_thresholds(row, Ties.RNA, h), m, side="right")
                 for h in (None, 4))  # fmt: skip
    for values, *codes in zip(x, six, four, strict=True):
        errors = []
        for code in codes:
            s = Fraction(float(formats.magnitude_value(row.scale, int(code))))
            near = [
                [(abs(Fraction(float(v))) - q * s / 2) ** 2 for q in (0, 1, 2, 3, 4, 6, 8, 12)]
                for v in values
            ]
            errors.append(sum(map(min, near)))
        equal += codes[0] != codes[1] and errors[0] == errors[1]
        subnormal += codes[0] < 8
    assert 10 < equal < 30
    assert subnormal > 0


SECOND = tuple(f for f in NEAREST if not f.startswith("int"))


@pytest.mark.by_day(3)
@pytest.mark.parametrize("word", INPUTS)
@pytest.mark.parametrize("format", SECOND)
def test_second_scale(rng: np.random.Generator, format: str, word: str) -> None:
    """Codes and scales are those of the fractions, and some scales are the second."""
    moved = 0
    for number, family in enumerate(stimulus.FAMILIES):
        words, second = stimulus.blocks(rng, 4, 16, word, family), 1 + number % 7
        row, ties = block_format(format, 16), TIES[number % len(TIES)]
        x = formats.values(words, word)
        b, plain = (golden.quantize(x, format, ties=ties, block=16, second=s) for s in (second, 0))
        for given, found in zip(words.tolist(), exact_blocks(b), strict=True):
            values = [reference.word_value(w, INPUTS[word]) for w in given]
            assert found == reference.quantize_block(values, row, ties, second=second)
        moved += int((plain.scale_pos != b.scale_pos).sum())
    assert moved > 0


def test_second_scale_at_the_ends(rng: np.random.Generator) -> None:
    """Under subnormal scales, and where the second would be above the largest, the first stays."""
    x = rng.standard_normal((2000, 16)).astype(np.float32)
    x *= 2.0 ** rng.integers(-24, 20, (2000, 1)).astype(np.float32)
    plain = golden.quantize(x, "mxfp4-e5m2", block=16)
    b = golden.quantize(x, "mxfp4-e5m2", block=16, second=2)
    moved = (b.scale_pos != plain.scale_pos).ravel()
    code = plain.scale_pos.ravel()
    assert (b.scale_pos.ravel()[moved] == code[moved] + 2).all()
    assert moved.any()
    assert not moved[(code < 4) | (code > 0x79)].any()
    for end in (4, 0x79):
        assert moved[(code >= end - 3) & (code <= end + 3)].any()


def test_second_scale_lowers_errors(rng: np.random.Generator) -> None:
    """Over many blocks the error falls, though not in each."""
    x = rng.standard_normal((64, 256)).astype(np.float32)
    for format, second in (("amxfp4", 2), ("amxfp4-ue5m3", 5), ("nvfp4", 5)):
        plain, b = (
            np.square(x - golden.dequantize(golden.quantize(x, format, second=s))).sum()
            for s in (0, second)
        )
        assert b < 0.96 * plain


BAD_SECOND: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"second": 1.5}, "second must be an integer, not 1.5"),
    "range": ({"second": 8}, "second must be from 0 to 7, not 8"),
    "power": ({"format": "mxfp4", "second": 1}, "not 1 for mxfp4"),
    "integers": ({"format": "int4", "second": 1}, "not 1 for int4"),
    "search": ({"second": 1, "search": (0, 1)}, "second must be 0 with"),
    "weights": ({"format": "afpq-nf4", "second": 1}, "second must be 0 for afpq-nf4, not 1"),
}


@pytest.mark.parametrize("case", BAD_SECOND)
def test_bad_second(case: str) -> None:
    options, message = BAD_SECOND[case]
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        golden.quantize(np.ones(128, np.float32), **options)
