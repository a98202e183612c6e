"""Statistics and differences of tensors, against loops over codes and exact fractions."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.blocks import by_name
from amxfp4.golden.inspection import differences
from amxfp4.golden.inspection import statistics as measured
from amxfp4.golden.inspection.statistics import WordStatistics, block_statistics
from amxfp4.params.formats import FORMATS, block_format

E2M1 = [Fraction(n, 2) for n in (0, 1, 2, 3, 4, 6, 8, 12)]
E2M1 += [-value for value in E2M1]


def element(b: Blocks, q: int, zero: int) -> Fraction:
    """Value of a code before scaling."""
    kind = b.row.element.name
    if kind == "e2m1":
        return E2M1[q]
    return Fraction(q - 16 if kind == "int4" and q > 7 else q - zero)


def scale(name: str, code: int) -> Fraction | None:
    """Value of a scale code, bit by bit; ``None`` for NaN. Signs are ignored."""
    if name == "e8m0":
        return None if code == 255 else Fraction(2) ** (code - 127)
    bits, bias, nan = {"e5m2": (2, 15, 0x7C), "e4m3": (3, 7, 0x7F), "ue5m3": (3, 15, 0xFF)}[name]
    code &= 0xFF if name == "ue5m3" else 0x7F
    if code >= nan:
        return None
    exponent, mantissa = code >> bits, code & ((1 << bits) - 1)
    if exponent == 0:
        return Fraction(mantissa, 1 << bits) * Fraction(2) ** (1 - bias)
    return (1 + Fraction(mantissa, 1 << bits)) * Fraction(2) ** (exponent - bias)


def expected(b: Blocks) -> dict[str, Any]:
    """Count a tensor's codes one by one; blocks run along its last axis."""
    rows, width = math.prod(b.shape[:-1]), b.shape[-1]
    per_row, size = b.codes.shape[-2], b.block
    codes, sides = (
        b.codes.reshape(rows, per_row, size),
        [s.reshape(rows, per_row) for s in b.scales],
    )
    zeros = np.zeros(rows * per_row, int) if b.zero_point is None else b.zero_point.reshape(-1)
    names = range(2 if b.row.asymmetric else 1)
    found: dict[str, Any] = {
        "codes": {}, "zero_blocks": 0, "one_sided": 0, "nan_scales": 0, "zero_scales": 0,
        "exponents": [{} for _ in names],
    }  # fmt: skip
    squares, finite, ratios = Fraction(0), 0, []
    for r in range(rows):
        for k in range(per_row):
            of = [int(q) for q in codes[r, k, : min(size, width - k * size)]]
            z = int(zeros[r * per_row + k])
            signs = {int(v < 0) for q in of if (v := element(b, q, z))}
            found["zero_blocks"] += not signs
            found["one_sided"] += len(signs) == 1
            values = [scale(b.row.scale.name, int(s[r, k])) for s in sides]
            for n in names:
                found["nan_scales"] += values[n] is None
                found["zero_scales"] += values[n] == 0
                used = n in signs if len(names) == 2 else bool(signs)
                s = values[n]
                if used and s:
                    exponent = next(e for e in range(-200, 200) if s < Fraction(2) ** (e + 1))
                    counts = found["exponents"][n]
                    counts[exponent] = counts.get(exponent, 0) + 1
            if len(signs) == 2 and values[0] and values[1]:
                ratios.append(values[0] / values[1])
            for q in of:
                v, s = element(b, q, z), values[q >> 3]
                key = q if b.zero_point is None else 15 + q - z
                found["codes"][key] = found["codes"].get(key, 0) + 1
                found.setdefault("values", {})[key] = v
                if s is not None and abs(v * s) < Fraction(2) ** 128:
                    squares += (v * s) ** 2
                    finite += 1
    found["rms"] = math.sqrt(squares / finite) if finite else math.nan
    found["ratios"] = ratios
    return found


def check(b: Blocks) -> None:
    """Compare every figure with `expected`."""
    got, wanted = block_statistics(b), expected(b)
    assert (got.elements, got.blocks) == (math.prod(b.shape), math.prod(b.codes.shape[:-1]))
    assert {key: n for key, n in enumerate(got.codes.tolist()) if n} == wanted["codes"]
    most = {"e2m1": 6, "int4": 7, "uint4": 15}[b.row.element.name]
    values = wanted["values"]
    assert all(got.values[key] == v for key, v in values.items())
    assert got.zeros == sum(n for key, n in wanted["codes"].items() if values[key] == 0)
    assert got.saturated == sum(n for k, n in wanted["codes"].items() if abs(values[k]) >= most)
    for name in ("zero_blocks", "one_sided", "nan_scales", "zero_scales"):
        assert getattr(got, name) == wanted[name], name
    assert got.exponents == wanted["exponents"]
    assert list(got.exponents[0]) == sorted(got.exponents[0])
    assert got.rms == pytest.approx(wanted["rms"], rel=1e-12, nan_ok=True)
    if not b.row.asymmetric:
        assert got.ratios is None
        return
    ratios = wanted["ratios"]
    assert got.ratios is not None
    assert got.ratios.blocks == len(ratios)
    if ratios:
        assert got.ratios.median == float(statistics.median_low(ratios))
        assert got.ratios.extremes == (float(min(ratios)), float(max(ratios)))
    else:
        assert math.isnan(got.ratios.median)
        assert all(map(math.isnan, got.ratios.extremes))


def random(rng: np.random.Generator, format: str, shape: tuple[int, ...], block: int) -> Blocks:
    """Make blocks of any codes and scales: some of zeros, of one sign, of NaN and zero scales."""
    row = block_format(format, block)
    rows = (*shape[:-1], -(-shape[-1] // block))
    codes = rng.integers(0, 16, (*rows, block), np.uint8)
    kind = rng.integers(0, 6, rows)[..., None]
    codes = np.where(kind == 0, codes & 8, codes)
    codes = np.where(kind == 1, codes & 7, codes)
    codes = np.where(kind == 2, np.where(codes & 7, codes | 8, codes), codes).astype(np.uint8)
    sides = rng.integers(0, 256, (2, *rows), np.uint8)
    sides[rng.random(sides.shape) < 0.1] = 0
    other = sides[1] & 15 if row.zero_point else sides[1]
    return Blocks(codes, sides[0], format=format, shape=shape, **by_name(row, other))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("shape", "block"), [((4, 96), 32), ((2, 3, 50), 16), ((1,), 64)])
def test_statistics(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, format: str,
    shape: tuple[int, ...], block: int,
) -> None:  # fmt: skip
    """For every format, with and without padding, whole and in pieces."""
    b = random(rng, format, shape, block)
    check(b)
    monkeypatch.setattr(measured, "_CHUNK", 3 * block)
    check(b)


def test_statistics_along_another_axis(rng: np.random.Generator) -> None:
    """The same as of the tensor turned; the order of elements does not matter."""
    x = rng.standard_normal((40, 6)).astype(np.float32)
    a, b = (block_statistics(golden.quantize(y, axis=n)) for n, y in ((0, x), (1, x.T.copy())))
    assert a.codes.tolist() == b.codes.tolist()
    assert (a.rms, a.one_sided, a.elements) == (b.rms, b.one_sided, 240)


def test_statistics_of_a_factor() -> None:
    """RMS is of the values with the factor; scales are those that are stored."""
    codes = np.arange(16, dtype=np.uint8).reshape(1, 1, 16)
    one = np.full((1, 1), 0x40, np.uint8)
    for divides, factor in ((False, 3), (True, Fraction(1, 3))):
        b = Blocks(codes, one, None, "nvfp4", (1, 16), tensor_scale=3.0, divides=divides)
        squares = sum((q * 2 * factor) ** 2 for q in E2M1) / 16
        assert block_statistics(b).rms == pytest.approx(math.sqrt(squares), rel=1e-6)
        assert block_statistics(b).exponents == [{1: 1}]


def test_statistics_of_nothing_finite() -> None:
    codes, nan = np.full((1, 1, 16), 1, np.uint8), np.full((1, 1), 0x7F, np.uint8)
    found = block_statistics(Blocks(codes, nan, nan, "amxfp4", (1, 16)))
    assert math.isnan(found.rms)
    assert (found.nan_scales, found.exponents) == (2, [{}, {}])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_words(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    values = [0.0, -0.0, 1.5, -6e4, math.nan, math.inf, -math.inf, 2.0**-14] * 5
    x = np.array(values, dtype)
    numbers = [Fraction(float(v)) for v in x if math.isfinite(v)]
    for chunk in (1 << 17, 7):
        monkeypatch.setattr(measured, "_CHUNK", chunk)
        found = WordStatistics()
        found.add(x[:9])
        found.add(x[9:].reshape(1, -1))
        counts = (found.elements, found.zeros, found.nan, found.infinite)
        assert counts == (40, 10, 5, 10)
        assert found.largest == float(max(map(abs, numbers)))
        mean = sum(n * n for n in numbers) / len(numbers)
        assert found.rms == pytest.approx(math.sqrt(mean), rel=1e-12)


def test_words_of_nothing() -> None:
    found = WordStatistics()
    found.add(np.empty((0, 3), np.float32))
    assert (found.elements, found.largest) == (0, 0)
    assert math.isnan(found.rms)


def test_differences_refuse_other_shapes(rng: np.random.Generator) -> None:
    a, b = (random(rng, "nvfp4", shape, 16) for shape in ((2, 32), (1, 64)))
    with pytest.raises(ValueError, match=r"^b must be of shape \(2, 32\) as a is, not \(1, 64\)$"):
        differences.code_differences(a, b)
    with pytest.raises(ValueError, match=r"^b must be of shape \(2,\) as a is, not \(3,\)$"):
        differences.byte_differences(np.zeros(2), np.zeros(3))


def test_differences_of_elements_without_bytes() -> None:
    """Texts of no letters, and no elements, are equal."""
    for x in (np.array(["", ""]), np.empty((0, 2), np.int64)):
        assert differences.byte_differences(x, x.copy()).count == 0
