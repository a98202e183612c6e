"""Axes, shapes, block sizes, types and memory layouts; records."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxfp4 import golden
from amxfp4.golden import blocks, dequantizer, formats, stimulus
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, block_format
from amxfp4.verif.tests.golden.oracle import blocks_of

Array = np.ndarray[Any, Any]


def _plain(x: Array, format: str, axis: int, block: int) -> tuple[Array, Array, Array]:
    """Codes, scales and values by one block at a time, moved and padded in the plainest way."""
    moved = np.moveaxis(x, axis, -1)
    count = -(-moved.shape[-1] // block)
    padded = np.zeros((*moved.shape[:-1], count * block), np.float32)
    padded[..., : moved.shape[-1]] = moved
    codes = np.empty((*moved.shape[:-1], count, block), np.uint8)
    scales = np.empty((*codes.shape[:-1], block_format(format).shared), np.uint8)
    values = np.empty(padded.shape, np.float32)
    for index in np.ndindex(*codes.shape[:-1]):
        part = slice(index[-1] * block, index[-1] * block + block)
        b = golden.quantize(padded[(*index[:-1], part)], format, block=block)
        codes[index] = b.codes[0]
        scales[index] = [s[0] for s in b.shared]
        values[(*index[:-1], part)] = golden.dequantize(b)
    return codes, scales, np.moveaxis(values[..., : moved.shape[-1]], -1, axis)


def _require_equal(b: golden.Blocks, x: Array, format: str, axis: int, block: int) -> None:
    codes, scales, values = _plain(x, format, axis, block)
    assert np.array_equal(b.codes, codes)
    assert np.array_equal(np.stack(b.shared, axis=-1), scales)
    assert (b.shape, b.axis) == (x.shape, axis % x.ndim)
    assert np.array_equal(golden.dequantize(b), values)
    assert golden.dequantize(b).flags.c_contiguous


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    axis=st.integers(-3, 2),
    block=st.sampled_from(BLOCK_SIZES),
    format=st.sampled_from(list(FORMATS)),
    seed=st.integers(0, 1000),
)
def test_any_shape(shape: list[int], axis: int, block: int, format: str, seed: int) -> None:
    """Any axis of any shape: as if every block came alone; the last one padded with +0."""
    axis = axis % len(shape) - len(shape) * (axis < 0)
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    b = golden.quantize(x, format, axis=axis, block=block)
    _require_equal(b, x, format, axis, block)
    raw = golden.pack(b)
    assert raw.shape == (*b.scale_pos.shape, b.row.record_bytes)
    back = golden.unpack(raw, format, x.shape, axis=axis, block=block)
    assert np.array_equal(back.codes, b.codes)
    assert np.array_equal(golden.dequantize(back), golden.dequantize(b))


@pytest.mark.parametrize("chunk", [16, 100, 1 << 10])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_chunks(chunk: int, axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the work is cut changes nothing."""
    x = np.random.default_rng(3).standard_normal((3, 40, 70)).astype(np.float32)
    whole = golden.quantize(x, axis=axis)
    values = golden.dequantize(whole)
    monkeypatch.setattr(blocks, "_CHUNK", chunk)
    monkeypatch.setattr(dequantizer, "_CHUNK", chunk)
    monkeypatch.setattr(blocks, "_STRIP", 3)
    cut = golden.quantize(x, axis=axis)
    assert np.array_equal(cut.codes, whole.codes)
    assert np.array_equal(cut.scale_pos, whole.scale_pos)
    assert cut.scale_neg is not None
    assert whole.scale_neg is not None
    assert np.array_equal(cut.scale_neg, whole.scale_neg)
    assert np.array_equal(golden.dequantize(cut), values)


def test_one_long_row() -> None:
    """A vector longer than a chunk, of odd length."""
    x = np.random.default_rng(4).standard_normal(300_001).astype(np.float32)
    b = golden.quantize(x)
    y = golden.dequantize(b)
    for start in (0, 131_072 - 32, 131_072, 262_144, 299_968):
        part = slice(start, start + 32)
        assert np.array_equal(y[part], golden.dequantize(golden.quantize(x[part])))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("axis", [0, 1])
def test_dtypes(dtype: Any, axis: int, rng: np.random.Generator) -> None:
    """FP16, BF16 and big-endian arrays quantize as the FP32 arrays of the same values."""
    word = "fp16" if dtype is np.float16 else "bf16"
    words = stimulus.blocks(rng, 300, 32, word)
    narrow, wide = golden.quantize(words.view(dtype), axis=axis), formats.values(words, word)
    expected = golden.quantize(wide, axis=axis)
    assert np.array_equal(golden.pack(narrow), golden.pack(expected))
    swapped = golden.quantize(wide.astype(">f4"), axis=axis)
    assert np.array_equal(golden.pack(swapped), golden.pack(expected))


def test_memory_layouts() -> None:
    """Fortran order, steps and reversed axes are views like any other."""
    x = np.random.default_rng(5).standard_normal((66, 130)).astype(np.float32)
    for view in (np.asfortranarray(x), x[::2, ::3], x[::-1, ::-1], x.T, x[:1], x[:, :1]):
        for axis in (0, 1):
            _require_equal(golden.quantize(view, axis=axis), view, "amxfp4", axis, 32)


def test_negation_swaps_sides(rng: np.random.Generator) -> None:
    """-x has the same codes with other signs, and the scales of the two signs exchanged."""
    x = formats.values(stimulus.blocks(rng, 400, 32, "fp32"), "fp32")
    for ties in ("RNA", "RNE"):
        b, minus = golden.quantize(x, ties=ties), golden.quantize(-x, ties=ties)
        assert b.scale_neg is not None
        assert minus.scale_neg is not None
        assert np.array_equal(minus.scale_pos, b.scale_neg)
        assert np.array_equal(minus.scale_neg, b.scale_pos)
        assert np.array_equal(minus.codes, np.where(b.codes == 0, 0, b.codes ^ 8))


@pytest.mark.parametrize("format", FORMATS)
def test_records_bit_by_bit(format: str, rng: np.random.Generator) -> None:
    """A record as one little-endian integer holds each field at its bits."""
    row = block_format(format)
    codes, pos, other = stimulus.records(rng, 20, row)
    b = blocks_of((codes, pos, other), format, len(codes))
    raw = golden.pack(b)
    assert raw.shape == (20, 1, row.record_bytes)
    for i in range(20):
        record = int.from_bytes(raw[i, 0].tobytes(), "little")
        assert [record >> 4 * k & 15 for k in range(row.block)] == codes[i].tolist()
        assert record >> 4 * row.block & 255 == pos[i]
        above = record >> (4 * row.block + 8)
        assert above == (0 if other is None else other[i])
    back = golden.unpack(raw, format, codes.shape)
    assert np.array_equal(back.codes[:, 0], codes)
    assert all(map(np.array_equal, back.shared, b.shared))


def test_record_sizes() -> None:
    """144 bits for amxfp4, 136 for mxfp4: two elements to a byte."""
    x = np.ones(32, np.float32)
    assert golden.pack(golden.quantize(x, "amxfp4")).shape == (1, 18)
    assert golden.pack(golden.quantize(x, "mxfp4")).shape == (1, 17)
