"""Matrix and dot products in three modes against fractions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, stimulus
from amxfp4.golden.products import accumulators, limbs, multiply
from amxfp4.params.dot import ACCUMULATIONS
from amxfp4.params.formats import FORMATS, block_format
from amxfp4.verif.tests.golden.oracle import (
    DATA,
    NEAREST,
    blocks_of,
    check_matmul,
    exact_blocks,
    exact_result,
    powers,
)

MODES = [
    ("exact", None), ("fp32", None), ("fixed", (6, 4)), ("fixed", (20, 8)), ("fixed", (34, 40)),
    ("fixed", (0, 0)),
]  # fmt: skip


def _records(rng: np.random.Generator, format: str, rows: int, blocks: int, nan: float) -> Any:
    row = block_format(format, 16)
    return blocks_of(stimulus.records(rng, rows * blocks, row, nan=nan), format, rows)


@pytest.mark.parametrize("out", ["fp32", "bf16"])
@pytest.mark.parametrize(("acc", "bits"), MODES)
@pytest.mark.parametrize(("a", "b"), list(itertools.product(NEAREST[:4], repeat=2)))
def test_pairs(a: str, b: str, acc: str, bits: Any, out: str, rng: np.random.Generator) -> None:
    """Any pair of formats, records of every kind, some of them NaN, in every mode."""
    left, right = _records(rng, a, 4, 3, 0.05), _records(rng, b, 3, 3, 0.05)
    assert check_matmul(left, right, acc, out, bits) == 12


@pytest.mark.parametrize("out", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("amxfp4-pot", "amxfp4-pot"), ("amxfp4-pot", "mxfp4"), ("mxfp4", "mxfp4"),
        ("amxfp4", "amxfp4-pot-roundup"), ("mxfp4-roundup", "nvfp4"),
    ],
)  # fmt: skip
def test_power_of_two_scales(a: str, b: str, out: str, rng: np.random.Generator) -> None:
    """E8M0 scales put terms up to 500 binades apart, into underflow and overflow."""
    assert check_matmul(_records(rng, a, 8, 4, 0.02), _records(rng, b, 8, 4, 0.02), "fp32", out)
    # A single block: nothing but the rounding of D.
    assert check_matmul(_records(rng, a, 10, 1, 0), _records(rng, b, 10, 1, 0), "fp32", out)


def test_fp32_specials_are_reached(rng: np.random.Generator) -> None:
    """Infinity, infinity - infinity and subnormal results occur, and follow IEEE 754."""
    a = powers([127, 127, -127], [1, -1, 1], "mxfp4")
    b = powers([127, 127, -127], [1, 1, 1], "mxfp4")
    assert np.isnan(golden.matmul(a, b, "fp32"))[0, 0]
    assert golden.matmul(a, b, "fp32").view(np.uint32)[0, 0] == 0x7FC00000
    assert check_matmul(a, b, "fp32") == 1
    for exponents, word in (([127, 5], 0x7F800000), ([-70, -75], 16), ([-127, -127], 0)):
        x = powers([exponents[0]], [1], "mxfp4")
        y = powers([exponents[1]], [1], "mxfp4")
        assert golden.matmul(x, y, "fp32").view(np.uint32)[0, 0] == word
        assert check_matmul(x, y, "fp32", "bf16") == 1


@pytest.mark.parametrize("acc", ["exact", "fixed", "fp32"])
@pytest.mark.parametrize("out", ["fp32", "bf16"])
def test_ties_of_the_result(acc: str, out: str) -> None:
    """Sums on and beside the rounding boundaries of the output, broken by the last block."""
    low = -8 if out == "bf16" else -24
    for k, last, sign in itertools.product((1, 2, 3), (0, -25, -32), (1, -1)):
        exponents = [*([0] if k % 2 else [0, low + 1]), low, *([last] if last else [])]
        signs = [*[1] * (len(exponents) - 1), sign]
        # Half of each exponent on either side: E5M2 scales reach 2^-16.
        a = powers([e // 2 for e in exponents], [1] * len(exponents), "amxfp4")
        b = powers([e - e // 2 for e in exponents], signs, "amxfp4")
        assert check_matmul(a, b, acc, out, (34, 12) if acc == "fixed" else None) == 1


@pytest.mark.parametrize("out", ["fp32", "bf16"])
def test_cancellation(out: str, rng: np.random.Generator) -> None:
    """The largest sums cancel to the last bit; one small block survives."""
    a = _records(rng, "amxfp4", 3, 4, 0)
    order = [0, 1, 2, 3, 0, 1, 2, 3, 0]
    flip = np.array([0, 0, 0, 0, 8, 8, 8, 8, 0], np.uint8)[None, :, None]
    assert a.scale_neg is not None
    swap = flip[..., 0] > 0
    pos, neg = a.scale_pos[:, order], a.scale_neg[:, order]
    codes = a.codes[:, order] ^ flip
    left = golden.Blocks(codes, np.where(swap, neg, pos), np.where(swap, pos, neg), "amxfp4",
                         (3, 9 * 16))  # fmt: skip
    right = np.resize(_records(rng, "amxfp4", 1, 4, 0).codes, (2, 9, 16))
    scale = np.full((2, 9), 0x7B, np.uint8)
    scale[:, 8] = 0x01
    # The four blocks come twice with opposite signs, and the ninth with the smallest scale.
    right[:, 4:8], right[:, 8] = right[:, :4], right[:, 0]
    b = golden.Blocks(right, scale, scale.copy(), "amxfp4", (2, 9 * 16))
    assert check_matmul(left, b, "exact", out) == 6
    assert check_matmul(left, b, "fixed", out, (34, 45)) == 6
    assert check_matmul(left, b, "fixed", out, (40, 60)) == 6  # wider than int64
    assert check_matmul(left, b, "fp32", out) == 6


def test_fixed_wraps() -> None:
    """The accumulator wraps modulo 2^(I+1), and says so; -2^I is still in range."""
    b = powers([0] * 4, [1] * 4, "amxfp4")
    for exponents, signs, value, overflow in (
        ([2, 1], [1, 1], 6, False),
        ([2, 2], [1, 1], -8, True),
        ([2, 2], [-1, -1], -8, False),
        ([3], [1], -8, True),
        ([3], [-1], -8, False),
        ([3, 3], [-1, -1], 0, True),
        ([2, 2, 2, 2], [1, 1, -1, -1], 0, True),
        ([5], [1], 0, True),
    ):
        a = powers(exponents, signs, "amxfp4")
        n = len(exponents)
        right = golden.Blocks(b.codes[:, :n], b.scale_pos[:, :n], b.scale_pos[:, :n], "amxfp4",
                              (1, 32 * n))  # fmt: skip
        result, flags = golden.matmul(a, right, "fixed", frac_bits=0, int_bits=3)
        assert (result[0, 0], flags[0, 0].tolist()) == (value, [False, overflow])
        assert check_matmul(a, right, "fixed", bits=(0, 3)) == 1


def test_fixed_without_flags_is_exact(rng: np.random.Generator) -> None:
    """Both flags clear means: equal to exact mode, bit for bit; and both outcomes occur."""
    x = formats.values(stimulus.blocks(rng, 64, 96, "fp32", "normal"), "fp32")
    for a, b in itertools.product(NEAREST[:4], repeat=2):
        left, right = golden.quantize(x[:32], a), golden.quantize(x[32:], b)
        expected = golden.matmul(left, right)
        result, flags = golden.matmul(left, right, "fixed", frac_bits=16, int_bits=8)
        clear = ~flags.any(axis=-1)
        assert 0 < clear.sum() < clear.size
        assert np.array_equal(result[clear], expected[clear])


@pytest.mark.by_day(3)
@pytest.mark.parametrize("a", NEAREST)
@pytest.mark.parametrize("b", NEAREST)
def test_real_tensors_raise_no_flag(a: str, b: str) -> None:
    """Default accumulator bits hold every product of the real tensors, and one beside."""
    with np.load(DATA / "tensors" / "smollm2_layer9.npz") as data:
        t = {key.split(".")[-1]: data[key].astype(np.float32) for key in data.files}
    pairs = [(t[x], t["w_attn_v"]) for x in ("attn_in", "ffn_in", "o_in")]
    pairs += [(q, t["k"][0]) for q in t["q"]] + [(t["p"], t["vT"][0])]
    pairs += [(t["down_in"], t["down_in"]), (t["ffn_in"], t["ffn_in"])]
    for x, y in pairs:
        if a != b and block_format(a).block != block_format(b).block:
            left, right = golden.quantize(x, a, block=32), golden.quantize(y, b, block=32)
        else:
            left, right = golden.quantize(x, a), golden.quantize(y, b)
        result, flags = golden.matmul(left, right, "fixed")
        assert not flags.any()
        assert np.array_equal(result, golden.matmul(left, right))


@pytest.mark.parametrize(("format", "out"), [("amxfp4", "fp32"), ("nvfp4", "bf16")])
def test_long_reductions(format: str, out: str, rng: np.random.Generator) -> None:
    """Reductions longer than one exact float64 product; extreme scales among them."""
    row = block_format(format, 128)
    blocks = 200
    a = blocks_of(stimulus.records(rng, 2 * blocks, row, nan=0), format, 2)
    b = blocks_of(stimulus.records(rng, blocks, row, nan=0), format, 1)
    assert a.codes.size // 2 > 4 * limbs._CHUNK
    assert check_matmul(a, b, "exact", out) == 2


def test_worst_case_sum() -> None:
    """The largest values of one sign, longer than one product: nothing overflows."""
    row = block_format("amxfp4", 128)
    codes = np.full((1, 4096, row.block), 7, np.uint8)
    scale = np.full((1, 4096), row.scale.max_magnitude, np.uint8)
    a = golden.Blocks(codes, scale, scale, "amxfp4", (1, codes.size))
    expected = 6.0**2 * 57344**2 * codes.size
    assert golden.matmul(a, a)[0, 0] == np.float32(expected)
    result, flags = golden.matmul(a, a, "fixed", frac_bits=0, int_bits=60)
    assert result[0, 0] == np.float32(expected)
    assert not flags.any()


@pytest.mark.parametrize("acc", ["exact", "fixed", "fp32"])
def test_tiles(acc: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a product is cut changes nothing."""
    a, b = _records(rng, "amxfp4", 13, 3, 0.05), _records(rng, "amxfp4-e4m3", 11, 3, 0.05)
    whole: list[Any] = [golden.matmul(a, b, acc), golden.dot(a, a, acc)]
    monkeypatch.setattr(accumulators.ACCUMULATORS[acc], "tile", 4)
    monkeypatch.setattr(multiply, "_ROWS", 4)
    cut: list[Any] = [golden.matmul(a, b, acc), golden.dot(a, a, acc)]
    for found, expected in zip(cut, whole, strict=True):
        for x, y in zip(*([v] if acc != "fixed" else v for v in (found, expected)), strict=True):
            assert np.array_equal(x, y, equal_nan=x.dtype == np.float32)


def test_every_mode_has_an_accumulator() -> None:
    """The modes are those of hardware and `fused`; these two have parameters of their own."""
    assert tuple(accumulators.ACCUMULATORS) == (*ACCUMULATIONS, "fused")
    own = {mode: kind.parameters() for mode, kind in accumulators.ACCUMULATORS.items()}
    assert [mode for mode in own if own[mode]] == ["fixed", "fused"]


def test_nan_block(rng: np.random.Generator) -> None:
    """A NaN scale of either sign makes the block's results NaN, and raises no flag."""
    for format in FORMATS:
        nan: Any = FORMATS[format].scale.nan_magnitude
        acc: Any = "exact" if format in NEAREST else "fp32"
        x = golden.quantize(rng.standard_normal((3, 64)).astype(np.float32), format)
        for side in [s for s in (x.scale_pos, x.scale_neg) if s is not None]:
            kept = side[1].copy()
            side[1, 1] = nan
            c = golden.matmul(x, x, acc)
            assert np.array_equal(np.isnan(c), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
            assert set(c.view(np.uint32)[np.isnan(c)].tolist()) == {0x7FC00000}
            if acc == "exact":
                side[1] = nan
                _, flags = golden.matmul(x, x, "fixed", frac_bits=0, int_bits=0)
                assert not flags[1].any()
                assert flags[0, 0].any()
            side[1] = kept


def test_whole_chain(rng: np.random.Generator) -> None:
    """From floats: A along rows, B along columns, an odd reduction, against fractions."""
    x = rng.standard_normal((5, 50)).astype(np.float32)
    w = rng.standard_normal((50, 4)).astype(np.float32)
    a, b = golden.quantize(x), golden.quantize(w, axis=0)
    c = golden.matmul(a, b)
    left, right = exact_blocks(a), exact_blocks(b)
    for i, j in np.ndindex(5, 4):
        word, _, _ = exact_result(left[2 * i : 2 * i + 2], right[2 * j : 2 * j + 2],
                                  (a.row, b.row), "exact", "fp32")  # fmt: skip
        assert c.view(np.uint32)[i, j] == word
    assert np.abs(c - golden.dequantize(a) @ golden.dequantize(b)).max() < 1e-5


def test_dot_keeps_leading_axes(rng: np.random.Generator) -> None:
    """Batches of any shape, in every mode."""
    x = golden.quantize(rng.standard_normal((2, 3, 70)).astype(np.float32))
    y = golden.quantize(rng.standard_normal((2, 3, 70)).astype(np.float32), "mxfp4-e5m2")
    c = golden.dot(x, y)
    assert c.shape == (2, 3)
    fixed, flags = golden.dot(x, y, "fixed")
    assert np.array_equal(fixed, c)
    assert flags.shape == (2, 3, 2)
    six = golden.quantize(np.full(3, 6, np.float32))
    assert golden.dot(six, six) == 108
