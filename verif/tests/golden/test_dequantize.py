"""The dequantizer on every code, against fractions and ml_dtypes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.golden.blocks import by_name
from amxfp4.params.formats import FORMATS, OUTPUTS, block_format
from amxfp4.verif.tests.golden.oracle import SMALL, blocks_of, check_dequantize, small_values


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("format", FORMATS)
def test_exhaustive_codes(format: str, output: str) -> None:
    """Every element code under every scale code, those that encoders never write included."""
    row = block_format(format)
    pos = np.arange(256, dtype=np.uint8)
    codes = np.resize(np.arange(16, dtype=np.uint8), (256, row.block))
    others: list[Any] = [pos[::-1].copy()] if row.asymmetric else [None]
    if row.zero_point:
        others = [np.full(256, zero, np.uint8) for zero in (0, 1, 7, 15)]
    for other in others:
        assert check_dequantize(codes, pos, other, format, output) == 256 * row.block


@pytest.mark.parametrize("format", FORMATS)
def test_exhaustive_products(format: str) -> None:
    """ml_dtypes' element times ml_dtypes' scale, in float64, rounded by ml_dtypes to BF16."""
    row = block_format(format, 16)
    s = small_values(row.scale.name)[: 1 << (row.scale.width - row.scale.signed_bit)]
    top = len(s)
    scales = np.arange(top, dtype=np.uint8)
    codes = np.tile(np.arange(16, dtype=np.uint8), (top, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        elements = codes.view(SMALL[row.element.name]).astype(np.float64)
        other = scales % 16 if row.zero_point else scales
        if row.zero_point:
            elements -= other.view(SMALL["uint4"]).astype(np.float64)[:, None]
        product = elements * s[:, None] + 0.0
        expected = product.astype(ml_dtypes.bfloat16)
    words = golden.dequantize_words(codes, scales, format=format, **by_name(row, other))
    found = words.view(ml_dtypes.bfloat16)
    assert np.array_equal(found.astype(np.float32), expected.astype(np.float32), equal_nan=True)
    # The canonical NaN, and no -0.
    assert set(words[np.isnan(product)].tolist()) == {0x7FC0}
    assert not (words == 0x8000).any()


@pytest.mark.parametrize("format", FORMATS)
def test_random_records(format: str, rng: np.random.Generator) -> None:
    """Records of every kind."""
    records = stimulus.records(rng, 100, block_format(format), nan=0.1)
    assert check_dequantize(*records, format, "bf16") > 0


def test_dequantize_is_fp32_words(rng: np.random.Generator) -> None:
    """`dequantize` gives the FP32 words, bit for bit."""
    for format in FORMATS:
        codes, pos, other = stimulus.records(rng, 50, block_format(format), nan=0.1)
        b = blocks_of((codes, pos, other), format, len(codes))
        shared = by_name(b.row, other)
        words = golden.dequantize_words(codes, pos, format=format, output="fp32", **shared)
        assert np.array_equal(golden.dequantize(b).view(np.uint32), words)


def test_nan_scale_of_one_sign() -> None:
    """A NaN scale governs the elements with its sign bit, zeros included, and no others."""
    codes = np.array([[0x0, 0x8, 0x7, 0xF]], np.uint8)
    one, nan = np.array([0x3C], np.uint8), np.array([0x7F], np.uint8)
    words = golden.dequantize_words(codes, one, nan, "amxfp4")
    assert words.tolist() == [[0, 0x7FC0, 0x40C0, 0x7FC0]]
    words = golden.dequantize_words(codes, nan, one, "amxfp4", "fp32")
    assert words.tolist() == [[0x7FC00000, 0, 0x7FC00000, 0xC0C00000]]


def test_e8m0_overflow() -> None:
    """Products beyond the output type are infinite; the largest scale itself is finite."""
    codes = np.array([[0x2, 0x3, 0x4, 0xF]], np.uint8)
    words = golden.dequantize_words(codes, np.array([254], np.uint8), None, "mxfp4")
    assert words.tolist() == [[0x7F00, 0x7F40, 0x7F80, 0xFF80]]
