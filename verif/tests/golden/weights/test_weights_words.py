"""Words and records of weights, as hardware has them: against fractions, vectors and each other."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4 import golden
from amxfp4.golden.rounding import convert
from amxfp4.golden.weights import words
from amxfp4.params.formats import BF16, FP16
from amxfp4.params.weight_dequantizer import WEIGHT_OUTPUTS
from amxfp4.verif.tests.golden.weights.exact import FP16 as FP16_BITS
from amxfp4.verif.tests.golden.weights.exact import NAMES, PATH, TABLES, rounded

KINDS = {"fp16": FP16_BITS, "bf16": (8, -126, 127)}
"""Bits of a significand, and the exponents of the smallest and the largest normal number."""
EDGES = [*range(70), *range(0x3F8, 0x408), *range(0x7BF0, 0x7C02), 0x7E00, 0x7FFF, 0x8000, 0xBC00]
"""Scales: the smallest, around the first normal one, the largest, infinity and NaN, signs."""
quantize: Any = golden.quantize


def _scale(word: int) -> Fraction | None:
    """Value of an FP16 scale without its sign; None for NaN, which infinity counts as."""
    field, fraction = divmod(word % 0x8000, 1024)
    if field == 31:
        return None
    return Fraction(2) ** (max(field, 1) - 25) * (fraction + 1024 * (field > 0))


def _words(values: npt.NDArray[np.float64], kind: str) -> npt.NDArray[np.uint16]:
    """Write numbers that the output has."""
    if kind == "fp16":
        words = values.astype(np.float16).view(np.uint16)
    else:  # the upper half of FP32, which has every such number
        words = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16({"fp16": 0x7E00, "bf16": 0x7FC0}[kind]), words)


def check_words(name: str, kind: str, scales: list[int]) -> int:
    """Compare words of every code under every scale, on both sides, with the fractions."""
    table = TABLES[name]
    magnitudes, at = np.unique(np.array(scales) % 0x8000, return_inverse=True)
    wanted = [
        [np.nan if scale is None else float(rounded(v * scale, KINDS[kind])) for v in table]
        for scale in map(_scale, magnitudes.tolist())
    ]
    due = _words(np.array(wanted), kind)[at]
    codes = np.broadcast_to(np.arange(len(table), dtype=np.uint8), due.shape).copy()
    s = np.array(scales, np.uint16)
    one, all_codes = np.full_like(s, 0x3C00), np.ones(len(table), np.bool_)
    negative = np.array([v < 0 for v in table])
    # The side that the scales are of; the other one has the values of the table.
    cases: list[tuple[str, Any, Any, Any]] = [
        ("fpq", s, None, all_codes), ("afpq", s, one, ~negative), ("afpq", one, s, negative),
    ]  # fmt: skip
    for prefix, pos, neg, side in cases:
        format = f"{prefix}-{name}"
        found = golden.weight_words(codes, pos, neg, format, kind)
        assert np.array_equal(found[:, side], due[:, side])
        if neg is not None:
            other = golden.weight_words(codes, one, one, format, kind)
            assert np.array_equal(found[:, ~side], other[:, ~side])
    return due.size


@pytest.mark.parametrize("kind", WEIGHT_OUTPUTS)
@pytest.mark.parametrize("name", TABLES)
def test_words(name: str, kind: str, at_night: bool) -> None:
    """Every code under scales of all magnitudes; at night under every FP16 word there is."""
    scales = list(range(1 << 16)) if at_night else [*EDGES, *range(0, 1 << 16, 641)]
    assert check_words(name, kind, scales) == len(scales) * len(TABLES[name])


@pytest.mark.parametrize("format", NAMES)
def test_words_of_vectors(format: str) -> None:
    """AFPQ's own FP16 values, where its packed codes are of one mind with the paper."""
    prefix, _, name = format.partition("-")
    case = f"{name}|{'asym' if prefix == 'afpq' else 'sym'}|g128"
    with np.load(PATH) as data:
        b = quantize(data["w"], format, packed=True)
        ok, due = data[f"{case}|pack_ok"], data[f"{case}|pack_y16"].reshape(b.codes.shape)
    pos, *neg = (side.view(np.uint16) for side in b.scales)
    found = golden.weight_words(b.codes, pos, neg[0] if neg else None, format, "fp16")
    assert ok.sum() > 80
    assert np.array_equal(found.view(np.float16)[ok], due[ok])
    # The same values as of the model's tensors, NaN and all.
    values = golden.dequantize(b).reshape(b.codes.shape)
    assert np.array_equal(found.view(np.float16), values.astype(np.float16), equal_nan=True)


def _record(codes: list[int], bits: int, scales: list[int]) -> list[int]:
    """Make a record as one number, by the text of docs/numerics.md."""
    number = sum(code << bits * i for i, code in enumerate(codes))
    number += sum(scale << 128 * bits + 16 * i for i, scale in enumerate(scales))
    return list(number.to_bytes((128 * bits + 16 * len(scales)) // 8, "little"))


@pytest.mark.parametrize("block", [128, -1])
@pytest.mark.parametrize("format", NAMES)
def test_records(format: str, block: int, rng: np.random.Generator) -> None:
    """Records are the bits of the definition, rows in records of 128; unpacking undoes it."""
    x = rng.standard_normal((300, 2)).astype(np.float32)
    b = quantize(x, format, axis=0, block=block, packed=True)
    raw = golden.pack(b)
    assert raw.shape == (2, 3, b.row.record_bytes)
    for row in range(2):
        codes = b.codes[row].ravel()[:300].tolist() + [b.row.zero] * 84
        for n in range(3):
            scales = [int(s[row, n if block == 128 else 0].view(np.uint16)) for s in b.scales]
            part = codes[128 * n : 128 * n + 128]
            assert raw[row, n].tolist() == _record(part, b.row.bits, scales)
    again = golden.unpack(raw, format, x.shape, axis=0, block=block)
    assert isinstance(again, golden.WeightBlocks)
    assert np.array_equal(again.codes, b.codes)
    assert all(np.array_equal(p, q) for p, q in zip(again.scales, b.scales, strict=True))
    assert np.array_equal(golden.dequantize(again), golden.dequantize(b))


@pytest.mark.parametrize(
    "mutant",
    [
        "rounded twice", "ties away", "sides swapped", "sign counts", "infinity is no NaN", "-0",
        "subnormal scale flushed",
    ],
)  # fmt: skip
def test_mutant_is_found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails on golden made wrong."""
    assert check_words("nf4", "bf16", EDGES) > 0
    real = words._words

    def through_fp16(bits: Any, source: Any, target: Any) -> Any:
        return convert(convert(bits, source, FP16), FP16, BF16)

    def away(bits: Any, source: Any, target: Any) -> Any:
        return convert(bits + np.uint64(1), source, target)

    def negative_zero(*arguments: Any) -> Any:
        found = real(*arguments)
        found[found == 0] = 0x8000
        return found

    class Otherwise:
        """FP16 with another largest number."""

        inf_magnitude, max_magnitude = 0x7C00, 0x7C00

    if mutant == "rounded twice":
        monkeypatch.setattr(words, "convert", through_fp16)
    elif mutant == "ties away":
        monkeypatch.setattr(words, "convert", away)
    elif mutant == "sides swapped":
        monkeypatch.setattr(words, "_words", lambda t, s, w: real(t, s[::-1], w))
    elif mutant == "sign counts":
        monkeypatch.setattr(
            words, "_words", lambda t, s, w: real(t, [np.where(x > 0x8000, 0, x) for x in s], w)
        )
    elif mutant == "infinity is no NaN":
        monkeypatch.setattr(words, "FP16", Otherwise)
    elif mutant == "-0":
        monkeypatch.setattr(words, "_words", negative_zero)
    else:
        monkeypatch.setattr(
            words,
            "_words",
            lambda t, s, w: real(t, [np.where(x % 0x8000 < 0x400, 0, x) for x in s], w),
        )
    with pytest.raises(AssertionError):
        check_words("nf4", "bf16", EDGES)
