"""AFPQ's formats once more, in fractions, and checks of golden against them.

Nothing of golden is used: tables are made from their definitions, FP32 and FP16 are roundings of
fractions. Each check compares bit for bit, and returns how many elements that were.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.params.weights import WEIGHT_FORMATS
from amxfp4.verif.tests.golden.oracle import DATA

PATH = DATA / "vectors" / "afpq_public.npz"
NAMES = tuple(WEIGHT_FORMATS)

FP32 = (24, -126, 127)
"""Bits of a significand, and the exponents of the smallest and the largest normal number."""
FP16 = (11, -14, 15)
Number = Fraction | float


def rounded(x: Fraction, kind: tuple[int, int, int]) -> Number:
    """Nearest number of a floating-point format, ties to even; infinity beyond the largest."""
    bits, least, most = kind
    if x == 0:
        return Fraction(0)
    exponent = max(least, abs(x).numerator.bit_length() - abs(x).denominator.bit_length() - 1)
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - bits + 1)
    near = round(x / unit) * unit  # Python rounds fractions to the even integer
    if abs(near) >= Fraction(2) ** (most + 1):
        return float("inf") if x > 0 else -float("inf")
    return near


def _normal_float(bits: int) -> list[Fraction]:
    """Quantiles of the normal distribution (QLoRA, arXiv 2305.14314), rounded to FP16."""
    half = 2 ** (bits - 1)
    end = 1 - (1 / (4 * half) + 1 / (4 * half - 2)) / 2

    def side(count: int) -> list[float]:
        return [NormalDist().inv_cdf(end + (0.5 - end) * i / count) for i in range(count)]

    above, below = side(half), side(half - 1)
    values = [*(-v for v in below), 0.0, *above[::-1]]
    return [Fraction(rounded(Fraction(v / above[0]), FP16)) for v in values]


TABLES = {
    "fp4": [Fraction(sign * m, 2) for sign, magnitudes in
            ((-1, (12, 8, 6, 4, 3, 2, 1, 0)), (1, (0, 1, 2, 3, 4, 6, 8, 12)))
            for m in magnitudes],
    "fp3": [Fraction(v) for v in (-4, -2, -1, 0, 0, 1, 2, 4)],
    "nf4": _normal_float(4),
    "nf3": _normal_float(3),
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Codes, scales of both sides, and values of a group."""

    codes: list[int]
    scales: list[Number]
    values: list[Number]


@functools.cache
def _code(name: str, quotient: Fraction) -> int:
    """First code of the value that is nearest, of two the lower one."""
    table = TABLES[name]
    value = min(table, key=lambda v: (abs(quotient - v), v))
    return table.index(value)


def _quotient(x: Number, s: Number, kind: tuple[int, int, int], top: Fraction) -> Fraction:
    """Quotient in a format; 0 by a scale of 0; more than the table has, where it is infinite."""
    if s == 0:
        return Fraction(0)
    if isinstance(x, float):
        return 2 * top if x > 0 else -2 * top
    q = rounded(x / Fraction(s), kind)
    return q if isinstance(q, Fraction) else (2 * top if q > 0 else -2 * top)


def _saturated(x: Fraction) -> Fraction:
    return max(Fraction(-65504), min(Fraction(65504), x))


def quantize_group(x: Sequence[Fraction], format: str, packed: bool) -> Group:
    """Quantize finite numbers by the definition."""
    prefix, _, name = format.partition("-")
    table = TABLES[name]
    top = table[-1]
    p, n = max(Fraction(0), *x), max(Fraction(0), *(-v for v in x))
    if prefix == "fpq":
        p = n = max(p, n)
    if p == n == 0:
        p = n = Fraction(1)
    scales = [rounded(m / top, FP32) for m in (p, n)]
    codes = [_code(name, _quotient(v, scales[v <= 0], FP32, top)) for v in x]
    kind = FP32
    if packed:
        kind, exact = FP16, scales
        scales = [rounded(_saturated(Fraction(s)), FP16) for s in exact]
        values = [
            rounded(_saturated(table[c] * Fraction(exact[table[c] <= 0])), FP16) for c in codes
        ]
        codes = [_code(name, _quotient(v, scales[v <= 0], FP16, top)) for v in values]
    values = [rounded(table[c] * Fraction(scales[table[c] < 0]), kind) for c in codes]
    return Group(codes, scales[: 2 if prefix == "afpq" else 1], values)


def check_weights(x: npt.NDArray[Any], format: str, block: int = 128, packed: bool = False) -> int:
    """Compare codes, scales and values of rows [n, length] of finite numbers with the fractions."""
    b: Any = golden.quantize(x, format, block=block, packed=packed)  # type: ignore[call-overload]
    values = golden.dequantize(b).astype(np.float64)
    size = x.shape[1] if block == -1 else block
    for row, numbers in enumerate(x.astype(np.float64)):
        for group, start in enumerate(range(0, x.shape[1], size)):
            given = numbers[start : start + size]
            wanted = quantize_group([Fraction(v) for v in given.tolist()], format, packed)
            where = f"{format} block={block} packed={packed} row {row} group {group}: {given}"
            codes = b.codes[row, group]
            assert codes[: len(given)].tolist() == wanted.codes, where
            assert (codes[len(given) :] == b.row.zero).all(), where
            assert [float(s[row, group]) for s in b.scales] == list(map(float, wanted.scales)), (
                where
            )
            found = values[row, start : start + size]
            assert found.tolist() == list(map(float, wanted.values)), where
            assert not np.signbit(found[found == 0]).any(), where
    return x.size


def check_vectors(case: str) -> int:
    """Compare with what AFPQ's own code returns, wherever it is of one mind with the paper."""
    name, side, group = case.split("|")
    format = f"{'afpq' if side == 'asym' else 'fpq'}-{name}"
    done = 0
    with np.load(PATH) as data:
        x, ok, packed_ok = data["w"], data[f"{case}|ok"], data[f"{case}|pack_ok"]
        plain, packed = (
            golden.quantize(x, format, block=int(group[1:]), packed=packed)  # type: ignore[call-overload]
            for packed in (False, True)
        )
        by_group = plain.codes.shape
        y = golden.dequantize(plain).reshape(by_group)
        assert np.array_equal(y[ok], data[f"{case}|y"].reshape(by_group)[ok])
        for side_of, scales in zip(("scale_pos", "scale_neg"), plain.scales, strict=False):
            assert np.array_equal(scales[ok], data[f"{case}|{side_of}"][ok])
        indexes = data[f"{case}|pack_idx"].reshape(by_group)
        assert np.array_equal(packed.codes[packed_ok], indexes[packed_ok])
        y = golden.dequantize(packed).reshape(by_group)
        assert np.array_equal(y[packed_ok], data[f"{case}|pack_y16"].reshape(by_group)[packed_ok])
        done += int(ok.sum() + packed_ok.sum()) * by_group[-1]
    return done
