"""The weight formats of AFPQ against its own code, fractions, and edges by hand."""

from __future__ import annotations

import itertools
import typing
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import blocks
from amxfp4.golden.weights import dequantizer
from amxfp4.params.weights import WEIGHT_FORMATS, WeightName
from amxfp4.verif.tests.golden.weights.exact import (
    NAMES,
    PATH,
    TABLES,
    check_vectors,
    check_weights,
)
from amxfp4.verif.tests.golden.weights.stimulus import FAMILIES

quantize: Any = golden.quantize
CASES = [f"{name}|{side}|g{group}" for name, side, group in
         itertools.product(TABLES, ("sym", "asym"), (128, -1))]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_vectors(case: str) -> None:
    """Every value, code and scale of AFPQ's own code, where it quantizes a group."""
    assert check_vectors(case) >= 23_000


def test_tables() -> None:
    """Tables are those of the reference, and what their definitions give; all names have a type."""
    assert typing.get_args(WeightName) == tuple(WEIGHT_FORMATS) == NAMES
    with np.load(PATH) as data:
        for format, row in WEIGHT_FORMATS.items():
            name = format.partition("-")[2]
            assert data[f"{name}|code"].tolist() == list(row.values)
            assert TABLES[name] == list(row.values)
            assert (row.bits, row.sides) == (int(name[2]), 2 if format[0] == "a" else 1)


@pytest.mark.by_day(5)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("format", NAMES)
def test_families(format: str, family: str, packed: bool, rng: np.random.Generator) -> None:
    """Codes, scales and values are those of the fractions."""
    x = FAMILIES[family](rng, format.partition("-")[2], 4)
    assert check_weights(x, format, packed=packed) == x.size


@pytest.mark.nightly
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("format", NAMES)
def test_many_scales(format: str, packed: bool, rng: np.random.Generator) -> None:
    """Tiny and huge scales of all magnitudes."""
    for family in ("fp16_scales", "fp32_scales"):
        x = FAMILIES[family](rng, format.partition("-")[2], 500)[:, :32].copy()
        assert check_weights(x, format, packed=packed) == x.size


@pytest.mark.parametrize(("format", "packed"), [("afpq-nf4", True), ("fpq-fp3", False)])
@pytest.mark.parametrize(("length", "block"), [(1, 128), (130, 128), (77, -1), (300, -1)])
def test_lengths(
    format: str, packed: bool, length: int, block: int, rng: np.random.Generator
) -> None:
    """Rows shorter than a group, longer ones, and whole rows."""
    x = rng.standard_normal((2, length)).astype(np.float32)
    assert check_weights(x, format, block, packed) == x.size


@pytest.mark.parametrize("block", [128, -1])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_axes(axis: int, block: int, rng: np.random.Generator) -> None:
    """A tensor of three axes has the codes and values of its rows, along every axis."""
    x = rng.standard_normal((5, 131, 7)).astype(np.float32)
    rows = np.moveaxis(x, axis, -1)
    b, flat = (
        quantize(x, "afpq-nf4", axis=axis, block=block),
        quantize(np.ascontiguousarray(rows).reshape(-1, rows.shape[-1]), "afpq-nf4", block=block),
    )
    assert (b.axis, b.shape) == (axis % 3, x.shape)
    assert np.array_equal(b.codes.reshape(flat.codes.shape), flat.codes)
    for one, other in zip(b.scales, flat.scales, strict=True):
        assert np.array_equal(one.reshape(other.shape), other)
    y = np.moveaxis(golden.dequantize(b), axis, -1)
    assert np.array_equal(y.reshape(-1, rows.shape[-1]), golden.dequantize(flat))


@pytest.mark.parametrize("chunk", [100, 2000])
def test_large_tensors(
    chunk: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors of several chunks are their rows."""
    for module in (blocks, dequantizer):
        monkeypatch.setattr(module, "_CHUNK", chunk)
    x = rng.standard_normal((90, 640)).astype(np.float32)
    for block in (128, -1):
        whole = quantize(x, "afpq-fp4", block=block)
        columns = quantize(np.ascontiguousarray(x.T), "afpq-fp4", axis=0, block=block)
        assert np.array_equal(whole.codes, columns.codes)
        for row in (0, 51, 89):
            one = quantize(x[row], "afpq-fp4", block=block)
            assert np.array_equal(one.codes, whole.codes[row])
            assert np.array_equal(golden.dequantize(one), golden.dequantize(whole)[row])


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_words(kind: Any, rng: np.random.Generator) -> None:
    """Words of 16 bits are the FP32 values that they stand for."""
    x = rng.integers(0, 1 << 16, (64, 128), np.uint16).view(kind)
    narrow, wide = (quantize(v, "afpq-nf3") for v in (x, x.astype(np.float32)))
    assert np.array_equal(narrow.codes, wide.codes)
    assert np.array_equal(narrow.scale_neg, wide.scale_neg, equal_nan=True)


INF, NAN = np.inf, np.nan
LARGEST = float(np.finfo(np.float32).max)
EDGES: list[tuple[list[float], str, bool, list[int], float, float | None]] = [
    # Elements, format, packed; codes, positive and negative scale.
    ([0.0, -0.0], "afpq-fp4", False, [7, 7], 1 / 6, 1 / 6),
    ([0.0, -0.0], "afpq-nf3", True, [3, 3], 1.0, 1.0),
    ([0.0], "fpq-fp3", True, [3], 0.25, None),
    ([4.0, 1.0, 0.0], "afpq-fp3", False, [7, 5, 3], 1.0, 0.0),
    ([-4.0, -1.0, 0.0], "afpq-fp3", True, [0, 2, 3], 0.0, 1.0),
    # Halfway goes down, on both sides.
    ([6.0, 3.5, 0.25, -0.25, -3.5, -6.0], "fpq-fp4", False, [15, 13, 7, 6, 1, 0], 1.0, None),
    ([1.0, -1.0, -0.5], "afpq-nf4", False, [15, 0, 2], 1.0, 1.0),
    # The smallest FP32 number by 6 or by 4 is 0: so are the elements.
    ([2.0**-149, -1.0], "afpq-fp4", False, [7, 0], 0.0, 1 / 6),
    ([2.0**-149, 0.0], "afpq-nf4", False, [15, 7], 2.0**-149, 0.0),
    # FP16's smallest scale, and what rounds to 0.
    ([2.0**-24, -(2.0**-26)], "afpq-nf3", True, [7, 3], 2.0**-24, 0.0),
    ([6 * 1.4 * 2.0**-24, 4 * 2.0**-24], "fpq-fp4", True, [15, 14], 2.0**-24, None),
    # Scales that are too large for FP16, values that are.
    ([1e6, -1.0], "afpq-nf4", True, [15, 0], 65504.0, 1.0),
    ([1e6, 5e4, -1e4], "fpq-fp4", True, [10, 10, 7], 65504.0, None),
    # An infinity is the largest number, and any finite one beside it.
    ([INF, 1.0, -2.0], "afpq-nf4", False, [15, 7, 0], LARGEST, 2.0),
    ([-INF, 1.0], "fpq-nf3", False, [0, 3], LARGEST, None),
    ([INF, -INF], "afpq-nf4", True, [15, 0], 65504.0, 65504.0),
    ([NAN, 1.0], "afpq-nf4", False, [7, 7], NAN, NAN),
    ([1.0, NAN, INF], "fpq-fp3", True, [3, 3, 3], NAN, None),
]


@pytest.mark.parametrize(("values", "format", "packed", "codes", "pos", "neg"), EDGES)
def test_edges(
    values: list[float], format: str, packed: bool, codes: list[int], pos: float, neg: Any
) -> None:
    """Zeros, one sign, underflow, overflow, infinity and NaN."""
    kind = np.float16 if packed else np.float32
    for block in (128, -1):
        b = quantize(np.array(values, np.float32), format, block=block, packed=packed)
        assert b.codes[0, : len(codes)].tolist() == codes
        assert (b.codes[0, len(codes) :] == b.row.zero).all()
        wanted = [pos] if neg is None else [pos, neg]
        assert np.array_equal([s[0] for s in b.scales], np.array(wanted, kind), equal_nan=True)
        assert all(s.dtype == kind and not np.signbit(s).any() for s in b.scales)


def test_edges_are_the_definitions() -> None:
    """What is finite above is so in fractions as well."""
    finite = [case for case in EDGES if np.isfinite(case[0]).all()]
    assert len(finite) > 10
    for values, format, packed, *_ in finite:
        assert check_weights(np.array([values], np.float32), format, -1, packed) == len(values)


def test_values_of_edges() -> None:
    """A NaN spoils its group alone; values overflow to infinity; zeros are +0."""
    x = np.ones((2, 256), np.float32)
    x[0, 3] = np.nan
    y = golden.dequantize(quantize(x, "afpq-fp4"))
    assert np.isnan(y[0, :128]).all()
    assert (y.view(np.uint32)[0, :128] == 0x7FC00000).all()
    assert (y[0, 128:] == 1).all()
    assert (y[1] == 1).all()
    big = np.array([6e5, 1.0], np.float32)
    for format in ("fpq-nf4", "fpq-fp4"):
        assert golden.dequantize(quantize(-big, format, packed=True)).tolist() == [-65504, 0]
    # FP16 rounds 65504 / 6 up, and six times that to infinity: AFPQ's own file would, too.
    most = np.array([65504], np.float32)
    assert np.isinf(golden.dequantize(quantize(most, "fpq-fp4", packed=True)))
    tiny = np.array([-(2.0**-149), 0], np.float32)
    y = golden.dequantize(quantize(tiny, "afpq-fp4"))
    assert y.view(np.uint32).tolist() == [0, 0]


def test_decoded_only() -> None:
    """The second zero of a table, and a NaN of one side, as files may hold them."""
    codes = np.full((1, 4), 7, np.uint8)
    codes[0] = [7, 8, 15, 0]
    one, nan = np.ones(1, np.float32), np.full(1, np.nan, np.float32)
    b = golden.WeightBlocks(codes, one, nan, "afpq-fp4", (4,), block=-1)
    assert np.array_equal(golden.dequantize(b), [0, 0, 6, np.nan], equal_nan=True)
    b = golden.WeightBlocks(codes, nan, one, "afpq-fp4", (4,), block=-1)
    assert np.array_equal(golden.dequantize(b), [np.nan] * 3 + [-6], equal_nan=True)
