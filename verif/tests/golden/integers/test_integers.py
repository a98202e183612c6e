"""INT4 with and without a zero point, where it is not as E2M1 is."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, reference, stimulus
from amxfp4.params.formats import E5M2, FP32, INPUTS, block_format
from amxfp4.verif.tests.golden.oracle import (
    DATA,
    TIES,
    blocks_of,
    check_matmul,
    check_quantize,
    exact_blocks,
)

INF, NAN = np.inf, np.nan
ASYM = ("int4-asym", "int4-asym-e4m3")
# Elements, format, and what they become: codes, scale, zero point.
EDGES: list[tuple[list[float], str, list[int], int, int | None]] = [
    ([0.0, -0.0], "int4", [0, 0], 0x3C, None),
    ([0.0, -0.0], "int4-asym", [0, 0], 0x3C, 0),
    ([0.0], "int4-asym-e4m3", [0], 0x38, 0),
    ([7.0, -7.0, 0.5, -0.5, -2.4], "int4", [7, 9, 1, 15, 14], 0x3C, None),
    ([7.0, -8.0, 0.5, -0.5, -2.4], "int4-asym", [15, 0, 9, 7, 6], 0x3C, 8),
    # Ties of the zero point and of elements: away from zero, then clamped.
    ([7.5, -7.5, 2.5, -2.5], "int4-asym", [15, 0, 11, 5], 0x3C, 8),
    # Ranges beside 0 still include it.
    ([15.0, 14.0], "int4-asym", [15, 14], 0x3C, 0),
    ([-15.0, -14.0], "int4-asym", [0, 1, 15], 0x3C, 15),
    # Below half of the smallest scale, 2^-17, and at it.
    ([15 * 2.0**-17], "int4-asym", [8], 0x01, 0),
    ([7 * 2.0**-17, -7.9 * 2.0**-17], "int4-asym", [0, 0], 0x00, 0),
    ([7 * 2.0**-17, -6.9 * 2.0**-17], "int4", [4, 13], 0x01, None),
    ([6.9 * 2.0**-17], "int4", [0], 0x00, None),
    # The exact sum decides: p alone is just below a boundary.
    ([15 * 1.125 - 2.0**-19, -(2.0**-19)], "int4-asym", [13], 0x3D, 0),
    ([15 * 1.125 - 2.0**-19, -(2.0**-20)], "int4-asym", [15], 0x3C, 0),
    ([3e38, -1.0], "int4-asym", [15, 0], 0x7B, 0),
    ([3e38, -3e38], "int4-asym", [15, 0, 15], 0x7B, 15),
    ([INF, 57344.0], "int4-asym", [15, 1, 0], 0x7B, 0),
    ([-INF, INF, 57344.0, -57344.0], "int4-asym", [0, 15, 15, 14, 15], 0x7B, 15),
    ([INF, -448.0], "int4-e4m3", [7, 15], 0x7E, None),
    ([NAN, -INF], "int4-asym", [0, 0], 0x7F, 0),
    ([NAN], "int4", [0], 0x7F, None),
]  # fmt: skip


@pytest.mark.parametrize(("values", "format", "codes", "scale", "zero"), EDGES)
def test_edges(
    values: list[float], format: str, codes: list[int], scale: int, zero: int | None
) -> None:
    """Edges by hand, of the model and of its oracle; what pads a block is 0, the zero point."""
    x, row = np.array(values, np.float32), block_format(format)
    b = golden.quantize(x, format)
    expected = [*codes, *[codes[-1] if len(codes) > x.size else zero or 0] * (32 - len(codes))]
    assert b.codes[0].tolist() == expected
    assert b.scale_pos.tolist() == [scale]
    assert (b.zero_point is None) == (zero is None)
    assert b.zero_point is None or b.zero_point.tolist() == [zero]
    exact = [reference.word_value(w, FP32) for w in x.view(np.uint32).tolist()]
    assert reference.quantize_block(exact, row) == exact_blocks(b)[0]


def test_zero_point_and_code_8() -> None:
    """Values (q - z) s; code 8 of INT4 is -8; NaN and zero scales hold for all of the block."""
    codes = np.arange(16, dtype=np.uint8).reshape(1, 1, 16)
    for scale, zero, step in ((0x3C, 5, 1.0), (0x40, 15, 2.0), (0x00, 3, 0.0), (0x7F, 3, NAN)):
        shared = np.full((1, 1), scale, np.uint8), np.full((1, 1), zero, np.uint8)
        b = golden.Blocks(codes, shared[0], None, "int4-asym", (1, 16), zero_point=shared[1])
        y = golden.dequantize(b)[0]
        assert np.array_equal(y, (np.arange(16) - zero) * step, equal_nan=True)
        assert not np.signbit(y[y == 0]).any()
    signed = golden.Blocks(codes, np.full((1, 1), 0x3C, np.uint8), None, "int4", (1, 16))
    assert golden.dequantize(signed)[0].tolist() == [*range(8), *range(-8, 0)]


@pytest.mark.by_day(4)
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("format", ASYM)
def test_exhaustive_scale_boundaries(format: str, ties: str, rng: np.random.Generator) -> None:
    """At every boundary of p + n, one FP32 value beside it, and by less than FP64 holds."""
    row = block_format(format, 16)
    ends = formats.decode(np.arange(row.scale.max_magnitude + 1, dtype=np.uint8), row.scale)
    total = 15 * (ends[:-1] + ends[1:]) / 2
    n = total * rng.integers(0, 9, total.size) / 8
    p = (total - n).astype(np.float32)
    words = np.zeros((4 * total.size, 16), np.uint32)
    words[:, 0] = np.tile(p.view(np.uint32), 4) + np.repeat([0, 1, -1, 0], total.size)
    words[:, 1] = np.tile(n.astype(np.float32).view(np.uint32), 4) | 1 << 31
    tiny = np.flatnonzero(words[-total.size :, 1] == 1 << 31) + 3 * total.size
    words[tiny, 1] = 1 << 31 | 1
    words[words[:, 0] >= 1 << 31, 0] = 0
    assert check_quantize(words, "fp32", format, ties) == len(words) > 480


@pytest.mark.by_day(2)
@pytest.mark.parametrize("ties", TIES)
def test_exhaustive_elements(ties: str) -> None:
    """Under scale 1 with every zero point, at every boundary of an element and beside it."""
    one = np.array([15, *(k + 0.5 for k in range(15))], np.float32)
    for zero in range(16):
        x = np.zeros((6, 64), np.float32)
        x[:, 0], x[:, 1] = 15 - zero, -zero
        for i, beside in enumerate((-1, 0, 1)):
            near = (one.view(np.int32) + np.int32(beside)).view(np.float32)
            x[2 * i, 2:18], x[2 * i + 1, 2:18] = near, -near
        # What is beyond the range would change it.
        x = np.clip(x, -zero, 15 - zero)
        assert check_quantize(x.view(np.uint32), "fp32", "int4-asym", ties) == 6
        b = golden.quantize(x, "int4-asym", ties=ties, block=64)
        assert b.zero_point is not None
        assert set(b.zero_point.ravel().tolist()) == {zero}
        assert set(b.scale_pos.ravel().tolist()) == {0x3C}


PAIRS = [
    ("int4", "int4"), ("int4-asym", "int4-asym"), ("int4-asym", "int4-e4m3"), ("int4", "amxfp4"),
    ("nvfp4", "int4-asym-e4m3"), ("mxfp4", "int4-asym"), ("int4", "mxfp4"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_products(a: str, b: str, rng: np.random.Generator) -> None:
    """Records of every kind, NaN and code 8 among them, in every mode that the scales have."""
    left, right = (
        blocks_of(stimulus.records(rng, rows * 3, block_format(f, 16), nan=0.05), f, rows)
        for f, rows in ((a, 3), (b, 4))
    )
    modes: list[tuple[str, Any]] = [("fp32", None)]
    if "mxfp4" not in (a, b):
        modes += [("exact", None), ("fixed", (6, 4)), ("fixed", (34, 40))]
    for acc, bits in modes:
        assert check_matmul(left, right, acc, "fp32", bits) == 12
    assert check_matmul(left, right, "fp32", "bf16") == 12


def test_product_with_factors(rng: np.random.Generator) -> None:
    """R(R(sum) R(t_A t_B)), and values R((q - z) R(s t))."""
    x = rng.standard_normal((2, 32)).astype(np.float32)
    a = golden.quantize(x, "int4-asym", tensor_scale=0.375)
    b = golden.quantize(x, "int4", tensor_scale=0.8125)
    plain = golden.matmul(a.plain, b.plain)
    assert np.array_equal(golden.matmul(a, b), plain * (np.float32(0.375) * np.float32(0.8125)))
    assert a.zero_point is not None
    scale = formats.decode(a.scale_pos, E5M2).astype(np.float32) * np.float32(0.375)
    offset = a.codes.astype(np.float32) - a.zero_point[..., None]
    assert np.array_equal(golden.dequantize(a), (offset * scale[..., None]).reshape(2, 32))


def test_largest_limbs() -> None:
    """The longest sums of the largest products are exact: -8 times -8, and 15 times 15."""
    n = 128
    for format, code, zero in (("int4", 8, None), ("int4-asym", 0, 15)):
        codes, scale = np.full((1, 4, n), code, np.uint8), np.full((1, 4), 0x7B, np.uint8)
        z = None if zero is None else np.full((1, 4), zero, np.uint8)
        b = golden.Blocks(codes, scale, None, format, (1, 4 * n), zero_point=z)
        assert check_matmul(b, b) == check_matmul(b, b, "fixed", "fp32", (34, 60)) == 1


@pytest.mark.parametrize("format", ["int4", "int4-asym"])
def test_files_and_records(format: str, rng: np.random.Generator, tmp_path: Path) -> None:
    """Zero points travel in records and in files, with a factor and along any axis."""
    x = (rng.standard_normal((40, 50)) + 1).astype(np.float32)
    b = golden.quantize(x, format, axis=0, tensor_scale=0.5)
    golden.save_blocks(tmp_path / "x.safetensors", {"x": b})
    for back in (
        golden.load_blocks(tmp_path / "x.safetensors")["x"],
        golden.unpack(golden.pack(b), format, b.shape, axis=0),
    ):
        assert np.array_equal(back.codes, b.codes)
        assert all(map(np.array_equal, back.shared, b.shared))
    assert len(b.shared) == 1 + format.endswith("asym")


def test_damaged_zero_point(tmp_path: Path) -> None:
    """A file whose zero point is above 15 is refused in a line that names it."""
    path = tmp_path / "x.safetensors"
    golden.save_blocks(path, {"x": golden.quantize(np.ones((1, 32), np.float32), "int4-asym")})
    raw = bytearray(path.read_bytes())
    raw[-1] = 16
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"x\.safetensors .*zero_point must be at most 15, not 16"):
        golden.load_blocks(path)


ONE = np.zeros((1, 1), np.uint8)
CODES = np.zeros((1, 1, 16), np.uint8)
BAD: dict[str, tuple[Any, str]] = {
    "none": (lambda: golden.Blocks(CODES, ONE, None, "int4-asym", (1, 16)),
             "zero_point must be given for int4-asym, not None"),
    "one": (lambda: golden.Blocks(CODES, ONE, None, "int4", (1, 16), zero_point=ONE),
            "zero_point must be None for int4, not array"),
    "range": (lambda: golden.Blocks(CODES, ONE, None, "int4-asym", (1, 16), zero_point=ONE + 16),
              "zero_point must be at most 15, not 16"),
    "shape": (lambda: golden.Blocks(CODES, ONE, None, "int4-asym", (1, 16), zero_point=ONE[0]),
              "zero_point must be of shape (1, 1), not (1,)"),
    "record": (lambda: golden.unpack(np.full((1, 1, 18), 255, np.uint8), "int4-asym", (1, 32)),
               "zero_point must be at most 15, not 255"),
    "search": (lambda: golden.quantize(np.ones(32, np.float32), "int4-asym", search=(0, 1)),
               "search must be left out for the scales of int4-asym, not (0, 1)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_zero_points(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def _one_block(x: Any, format: str, t: float, y: Any) -> tuple[int, int]:
    """Compare a block under a scale t that is no code: its range over t is 15 and the scale 1."""
    b = golden.quantize(x, format, tensor_scale=t)
    found, quotient = golden.dequantize(b), x / np.float32(t)
    # Ties below 0 go the other way there; a quotient that FP32 rounds to a tie, either.
    exact = np.float64(quotient) * t == x
    told = (np.abs(quotient) % 1 != 0.5) | (exact & (x > 0))
    assert b.scale_pos.tolist() == [0x3C]
    return int(told.sum()), int((told & (found != y)).sum())


@pytest.mark.by_day(8)
@pytest.mark.parametrize("word", ["fp32", "bf16"])
@pytest.mark.parametrize("bits", [4, 3, 5, 8])
def test_vectors_with_a_zero_point(bits: int, word: str) -> None:
    """MX-QLLM's FP32 scale as the tensor's factor: values are its own where it clamps as we do."""
    data = np.load(DATA / "vectors" / "mxqllm_int_public.npz")
    case = f"int{bits}_asym|s2|{word}|RNA"
    y, good = data[f"{case}|y_tile"], data[f"{case}|levels_ok_tile"]
    format = "int4-asym" if bits == 4 else f"mxint{bits}-asym"
    compared = wrong = 0
    for x, expected in zip(data[f"x_{word}"][good], y[good], strict=True):
        ends = np.float32(max(x.max(), 0)) + np.float32(max((-x).max(), 0))
        some, off = _one_block(x, format, float(ends / np.float32(2**bits - 1)), expected)
        compared, wrong = compared + some, wrong + off
    assert wrong == 0
    assert compared > 5_000


def test_fractions_of_every_word(rng: np.random.Generator) -> None:
    """BF16 and FP16 words of the families that ranges are about."""
    for word in INPUTS:
        for family in ("offset", "exact_ties", "with_infinity"):
            for format in ASYM:
                words = stimulus.blocks(rng, 4, 16, word, family, formats=[format])
                assert check_quantize(words, word, format, TIES[rng.integers(2)]) == 4


def test_ties_of_ranges_are_hit(rng: np.random.Generator) -> None:
    """In `exact_ties` scale, zero point and elements each tell the two rules apart."""
    x = formats.values(stimulus.blocks(rng, 400, 32, "fp32", "exact_ties", formats=["int4-asym"]),
                       "fp32")  # fmt: skip
    away, even = (golden.quantize(x, "int4-asym", ties=ties) for ties in TIES)
    assert away.zero_point is not None
    same = away.scale_pos == even.scale_pos
    assert 0.05 < 1 - same.mean() < 0.5
    assert (same & (away.zero_point != even.zero_point)).mean() > 0.05
    assert Fraction(int((away.codes != even.codes).sum()), away.codes.size) > Fraction(1, 20)
