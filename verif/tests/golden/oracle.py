"""Checks of the golden model against the fractions of `amxfp4.golden.reference`.

Each check compares everything it is given, bit for bit, and returns how much that was: tests
assert that it was something, and mutants that the check can fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

import amxfp4.verif
from amxfp4 import golden
from amxfp4.golden import formats, reference
from amxfp4.golden.blocks import by_name
from amxfp4.golden.table import row_of
from amxfp4.params.formats import FP32, INPUTS, OUTPUTS

DATA = Path(amxfp4.verif.__file__).parent / "data"
TIES = ("RNA", "RNE")
NEAREST = (
    "amxfp4", "amxfp4-e4m3", "mxfp4-e5m2", "mxfp4-e4m3", "nvfp4", "amxfp4-ue5m3", "nvfp4-ue5m3",
    "int4", "int4-e4m3",
)  # fmt: skip
"""Formats whose scales have a significand and are searched."""
SMALL: dict[str, Any] = {
    "e2m1": ml_dtypes.float4_e2m1fn, "int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3": ml_dtypes.float8_e4m3fn, "e8m0": ml_dtypes.float8_e8m0fnu,
}  # fmt: skip
"""Types of small codes that ml_dtypes has."""


def small_values(name: str) -> npt.NDArray[np.float64]:
    """Value of each code as ml_dtypes has it, NaN for infinity; of UE5M3, as FP16's upper bits."""
    if name != "ue5m3":
        codes = 16 if name in ("e2m1", "int4", "uint4") else 256
        found = np.arange(codes, dtype=np.uint8).view(SMALL[name])
        values = found.astype(np.float64)
        values[np.isinf(values)] = np.nan
        return values
    values = (np.arange(256, dtype=np.uint16) << 7).view(np.float16).astype(np.float64)
    # FP16 keeps its last exponent for infinity and NaN.
    values[0xF8:] = 2 * values[0xF0:0xF8]
    values[0xFF] = np.nan
    return values


def exact_blocks(b: golden.Blocks) -> list[reference.ExactBlock]:
    """All blocks of a quantized tensor, in order."""
    codes = b.codes.reshape(-1, b.block).tolist()
    pos = b.scale_pos.reshape(-1).tolist()
    neg, zero = (
        [None] * len(pos) if part is None else part.reshape(-1).tolist()
        for part in (b.scale_neg, b.zero_point)
    )
    return [
        reference.ExactBlock(tuple(c), p, n, z)
        for c, p, n, z in zip(codes, pos, neg, zero, strict=True)
    ]


def check_quantize(words: npt.NDArray[Any], word: str, format: str, ties: str) -> int:
    """Quantize raw words [count, block] of a word format; compare every code and scale."""
    count, block = words.shape
    row = row_of(format, block)
    b = golden.quantize(formats.values(words, word), format, ties=ties, block=block)
    for given, found in zip(words.tolist(), exact_blocks(b), strict=True):
        expected = reference.quantize_block(
            [reference.word_value(w, INPUTS[word]) for w in given], row, ties
        )
        assert found == expected, f"{format} {ties} {word} {given}"
    return count


def check_reference(data: Any, case: str) -> int:
    """Compare with the value the paper's reference code gives for each block of a case."""
    format, word, ties = case.split("|")
    good = data[f"{case}|ok"]
    y = golden.dequantize(golden.quantize(data[f"x_{word}"], format, ties=ties))
    assert np.array_equal(y[good], data[f"{case}|y"][good]), case
    return int(good.sum())


def check_dequantize(
    codes: npt.NDArray[np.uint8],
    scale_pos: npt.NDArray[np.uint8],
    other: npt.NDArray[np.uint8] | None,
    format: str,
    output: str,
) -> int:
    """Compare the output words of blocks [count, K], in the form of `stimulus.records`."""
    row = row_of(format, codes.shape[1])
    shared = by_name(row, other)
    found = golden.dequantize_words(codes, scale_pos, format=format, output=output, **shared)
    b = blocks_of((codes, scale_pos, other), format, len(codes))
    for words, block in zip(found.tolist(), exact_blocks(b), strict=True):
        values = reference.dequantize_block(block, row)
        assert words == [reference.round_to_word(v, OUTPUTS[output]) for v in values], block
    return codes.size


def exact_result(
    a: Sequence[reference.ExactBlock],
    b: Sequence[reference.ExactBlock],
    rows: tuple[Any, Any],
    acc: str,
    out: str,
    bits: tuple[int, int] = (0, 0),
) -> tuple[int, bool, bool]:
    """Word and flags of one row of blocks against another."""
    terms = [reference.dot_terms(x, y, *rows) for x, y in zip(a, b, strict=True)]
    return reference.accumulate(terms, OUTPUTS[out], acc, frac_bits=bits[0], int_bits=bits[1])


def check_matmul(
    a: golden.Blocks,
    b: golden.Blocks,
    acc: str = "exact",
    out: str = "fp32",
    bits: tuple[int, int] | None = None,
) -> int:
    """Compare every element of the matrix product, its flags, and the diagonal by `dot`."""
    options: dict[str, Any] = {} if bits is None else {"frac_bits": bits[0], "int_bits": bits[1]}
    found: Any = golden.matmul(a, b, acc, out, **options)
    values, flags = found if acc == "fixed" else (found, np.zeros((*found.shape, 2), bool))
    words = values.view(np.uint32) >> (FP32.width - OUTPUTS[out].width)
    rows = (a.row, b.row)
    left, right = exact_blocks(a), exact_blocks(b)
    n = a.codes.shape[1]
    for i in range(len(a.codes)):
        for j in range(len(b.codes)):
            expected = exact_result(
                left[i * n : i * n + n], right[j * n : j * n + n], rows, acc, out, bits or (0, 0)
            )
            assert (words[i, j], *flags[i, j]) == expected, f"{a.format} {b.format} {acc} {out}"
    if len(a.codes) == len(b.codes):
        each: Any = golden.dot(a, b, acc, out, **options)
        if acc == "fixed":
            each, own = each
            assert np.array_equal(own, np.einsum("iif->if", flags))
        assert np.array_equal(each.view(np.uint32), np.diag(values).view(np.uint32))
    return values.size


def blocks_of(
    records: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None],
    format: str,
    rows: int,
) -> golden.Blocks:
    """Make a matrix of `rows` rows of records in the form of `stimulus.records`."""
    codes, pos, other = records
    block = codes.shape[1]
    shape = (rows, codes.size // rows)
    shared = by_name(row_of(format), None if other is None else other.reshape(rows, -1))
    codes = codes.reshape(rows, -1, block)
    return golden.Blocks(codes, pos.reshape(rows, -1), format=format, shape=shape, **shared)


def powers(exponents: Sequence[int], signs: Sequence[int], format: str) -> golden.Blocks:
    """One row of blocks that hold one element of +-1 each, times the scale 2^exponent."""
    row = row_of(format)
    codes = np.zeros((1, len(exponents), row.block), np.uint8)
    codes[0, :, 0] = [2 if sign > 0 else 10 for sign in signs]
    # 2^e is the code whose value it is, found by value.
    values = {reference.word_value(c, row.scale): c for c in range(row.scale.max_magnitude + 1)}
    scale = np.array([[values[Fraction(2) ** e] for e in exponents]], np.uint8)
    neg = scale.copy() if row.asymmetric else None
    return golden.Blocks(codes, scale, neg, format, (1, codes.size))
