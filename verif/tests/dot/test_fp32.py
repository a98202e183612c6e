# amaranth: UnusedElaboratable=no
"""FP32 arithmetic of the dot product against NumPy, ml_dtypes and exact fractions."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.fp32 import Fp32Adder, Fp32ToBf16, RoundedD
from amxfp4.rtl.dot.widths import DotWidths

INF, NAN = 0x7F800000, 0x7FC00000


def canonical(words: np.ndarray) -> np.ndarray:
    """Words with the one NaN that the hardware writes."""
    return np.where((words & 0x7FFFFFFF) > INF, np.uint32(NAN), words)


def _added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        total = a.view(np.float32) + b.view(np.float32)
    words = canonical(total.view(np.uint32))
    return np.where(words == 0x80000000, 0, words)


def _specials() -> np.ndarray:
    places = [0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x1000000, 0x3F800000, 0x3F800001,
              0x33800000, 0x33800001, 0x34000000, 0x4B800000, 0x7F7FFFFF, 0x7F7FFFFE,
              0x73000000, 0x72FFFFFF, INF, INF + 1, NAN]  # fmt: skip
    return np.array([w | sign for w in places for sign in (0, 1 << 31)], np.uint32)


def _pairs(rng, family: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    a = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    b = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    match family:
        case "specials":
            a, b = (w.ravel() for w in np.meshgrid(_specials(), _specials()))
        case "near":
            # Exponents up to 30 apart: alignment, guard and sticky bits.
            field = np.clip((a >> 23 & 0xFF).astype(int) + rng.integers(-30, 31, count), 0, 254)
            b = (b & 0x807FFFFF) | (field.astype(np.uint32) << 23)
        case "cancelling":
            b = (a ^ np.uint32(1 << 31)) + rng.integers(0, 4, count, dtype=np.uint32)
        case "subnormal":
            a, b = a & np.uint32(0x81FFFFFF), b & np.uint32(0x81FFFFFF)
        case "ties":
            # A sum whose bits below the last are exactly a half: few bits set, far apart.
            a &= np.uint32(0xFF800003)
            b = (b & 0x80000000) | (((a >> 23 & 0xFF) - 24 & 0xFF) << 23) | (b & 0x400000)
    return a.astype(np.uint32), b.astype(np.uint32)


FAMILIES = ["random", "near", "cancelling", "subnormal", "ties", "specials"]


@pytest.mark.by_day(2)
@pytest.mark.parametrize("family", FAMILIES)
def test_sim_fp32_adder(rng, evaluate, at_night, family):
    """Sums are NumPy's, bit for bit, but for -0 and the NaN, which have one word each."""
    a, b = _pairs(rng, family, 4000 if at_night else 400)
    assert np.array_equal(evaluate(Fp32Adder, a=a, b=b)["sum"], _added(a, b))


def test_sim_fp32_to_bf16(evaluate, at_night):
    """Every upper half with the lower ones that decide is ml_dtypes' BF16."""
    lower = np.array([0, 0x7FFF, 0x8000, 0x8001, *([1, 0xFFFF] if at_night else [])], np.uint32)
    words = ((np.arange(1 << 16, dtype=np.uint32) << 16)[:, None] | lower).ravel()
    rounded = evaluate(Fp32ToBf16, word=words)["rounded"]
    with np.errstate(all="ignore"):
        expected = words.view(np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)
    expected = np.where((words & 0x7FFFFFFF) > INF, NAN >> 16, expected)
    assert np.array_equal(rounded, expected)


def nearest(value: Fraction) -> int:
    """FP32 word of an exact value, rounded to nearest even, by integers."""
    sign, value = (1 << 31 if value < 0 else 0), abs(value)
    if not value:
        return 0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    unit = max(exponent, -126) - 23
    steps = round(value / Fraction(2) ** unit)  # Python rounds halves of fractions to even
    return sign | min((unit + 149 << 23) + steps, INF)


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    "formats",
    [("amxfp4-pot", "amxfp4-pot"), ("amxfp4-pot", "mxfp4"), ("amxfp4-pot", "nvfp4"),
     ("mxfp4", "mxfp4"), ("amxfp4", "amxfp4"), ("amxfp4", "amxfp4-pot")],
    ids="-".join,
)  # fmt: skip
def test_sim_rounded_d(rng, formats):
    """D rounds once, whatever the terms' distance: near, far, at the cut, and cancelling."""
    config = DotConfig(format_a=formats[0], format_b=formats[1], block=32, acc="fp32")
    widths = DotWidths(config)
    unit = RoundedD(config)
    longest = widths.term.width + 30
    m = Module()
    m.submodules.unit = unit

    def shifts(n: int, count: int, most: int) -> list[int]:
        if n % 3 == 0:
            return [int(s) for s in rng.integers(0, most + 1, count)]
        low = int(rng.integers(0, most + 1))
        near = longest - 2 + int(rng.integers(0, 5)) if n % 3 == 1 else int(rng.integers(0, 4))
        pair = [low, min(low + near, most)]
        return pair[:count] if rng.integers(0, 2) else pair[::-1][:count]

    async def testbench(ctx):
        for n in range(400):
            kind = int(rng.integers(0, 4))
            terms = []
            for _ in widths.classes:
                magnitude = int(rng.integers(0, widths.sum_bound + 1)) if kind else 0
                magnitude = 1 << int(rng.integers(0, 12)) if kind == 1 else magnitude
                sign = 1 if widths.one_sign else int(rng.choice([-1, 1]))
                terms.append(sign * magnitude)
            if kind == 2:
                # Equal and opposite where the shifts agree; a lone small one is left.
                terms = [t if c == 0 else abs(terms[0]) for c, t in enumerate(terms)]
                terms[-1] = 1
            given = [
                shifts(n, row.scales, scale.largest_shift)
                for row, scale in zip(widths.rows, widths.scales, strict=True)
            ]
            if kind == 2 and widths.one_sign and len(set(given[0])) > 1:
                given[1] = [given[1][0]] * 2
            # At once: the simulator settles after every signal that is set.
            ctx.set(unit.terms, {"terms": terms, "shifts_a": given[0], "shifts_b": given[1]})
            total = Fraction(0)
            for c, (i, j) in enumerate(widths.classes):
                sign = -1 if widths.one_sign and i != j else 1
                total += sign * terms[c] * Fraction(2) ** (given[0][i] + given[1][j] + widths.unit)
            if abs(total) > widths.d_bound * Fraction(2) ** widths.unit:
                continue
            assert ctx.get(unit.word) == nearest(total), (terms, given)
        ctx.set(unit.terms.is_nan, 1)
        assert ctx.get(unit.word) == NAN

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
