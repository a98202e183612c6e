# amaranth: UnusedElaboratable=no
"""The rounding unit at the widths in use, against fractions, NumPy and ml_dtypes."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from amxfp4.params.formats import BF16, FP16, FP32
from amxfp4.rtl.lib.rounding import RoundToFloat

FORMATS = {"fp32": FP32, "bf16": BF16, "fp16": FP16}
DTYPES = {"bf16": (ml_dtypes.bfloat16, np.uint16), "fp16": (np.float16, np.uint16)}


def nearest(value: Fraction, fmt) -> int:
    """Magnitude of the word nearest to an exact value, ties to even, by integers."""
    if not value:
        return 0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    lowest = 1 - fmt.bias
    unit = max(exponent, lowest) - fmt.mantissa_bits
    steps = round(value / Fraction(2) ** unit)
    field = unit + fmt.mantissa_bits - lowest
    return min((field << fmt.mantissa_bits) + steps, fmt.inf_magnitude)


def _magnitudes(rng, width: int, precision: int) -> list[int]:
    """Random ones of every length, ties of both parities and their neighbours, and the ends."""
    found = [0, 1, (1 << width) - 1]
    for _ in range(150):
        length = int(rng.integers(1, width + 1))
        found.append(int.from_bytes(rng.bytes(24), "little") % (1 << length) | 1 << (length - 1))
    for _ in range(100 if width > precision + 1 else 0):
        kept = int(rng.integers(1 << (precision - 1), 1 << precision))
        place = int(rng.integers(1, width - precision + 1))
        tie = (2 * kept + 1) << (place - 1)
        found += [tie - 1, tie, tie + 1]
    return [v for v in found if v < 1 << width]


CASES = [
    ("fp32", 89, range(-34, -33)),
    ("fp32", 40, range(-24, -23)),
    ("bf16", 89, range(-34, -33)),
    ("fp32", 28, range(-152, 103)),
    ("fp32", 13, range(-256, 256)),
    ("bf16", 13, range(-140, 120)),
    ("fp16", 30, range(-40, 8)),
    ("fp32", 1, range(-149, -148)),
]


@pytest.mark.parametrize(("name", "width", "exponents"), CASES)
def test_sim_rounds_to_nearest_even(rng, name, width, exponents):
    """Random words, ties, subnormals and overflow round as exact fractions do."""
    fmt = FORMATS[name]
    unit = RoundToFloat(width, exponents, fmt)
    seen = set()

    async def testbench(ctx):
        for n, magnitude in enumerate(_magnitudes(rng, width, fmt.mantissa_bits + 1)):
            # The largest number with the largest exponent is the third.
            exponent = max(exponents) if n == 2 else int(rng.choice(exponents))
            # Either sign of the number, negated or not.
            ctx.set(unit.number, -magnitude if n % 2 else magnitude)
            ctx.set(unit.negate, n // 2 % 2)
            ctx.set(unit.exponent, exponent)
            expected = nearest(magnitude * Fraction(2) ** exponent, fmt)
            sign = ((n ^ n // 2) % 2) << (fmt.width - 1) if magnitude else 0
            assert ctx.get(unit.word) == sign | expected, (magnitude, exponent)
            kind = "normal" if expected >> fmt.mantissa_bits else "subnormal"
            seen.add("infinite" if expected == fmt.inf_magnitude else kind)

    m = Module()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    reach = 2.0 ** float(max(exponents) + width) > 2.0 ** float(fmt.bias + 1)
    assert ("infinite" in seen) == reach


@pytest.mark.parametrize("name", DTYPES)
def test_sim_rounds_as_libraries_do(rng, evaluate, name):
    """FP32 significands over the format's whole range round as ml_dtypes and NumPy say."""
    fmt, (dtype, words) = FORMATS[name], DTYPES[name]
    magnitude = rng.integers(0, 1 << 24, 4000, dtype=np.uint32)
    lowest = 1 - fmt.bias - fmt.mantissa_bits - 14
    exponents = range(lowest, fmt.bias - 20)
    exponent = rng.choice(np.array(exponents), 4000)
    values = magnitude.astype(np.float64) * 2.0**exponent
    keep = values < 2.0 ** (fmt.bias + 1)
    with np.errstate(all="ignore"):
        # Narrow enough that FP32 holds them all exactly where they are normal.
        exact = values.astype(np.float32).astype(np.float64) == values
        expected = values.astype(np.float32).astype(dtype).view(words)
    found = evaluate(
        lambda: RoundToFloat(24, exponents, fmt),
        number=magnitude, negate=np.zeros(4000), exponent=exponent.astype(np.int32),
    )["word"]  # fmt: skip
    chosen = keep & exact
    assert chosen.sum() > 3000
    assert np.array_equal(found[chosen], expected[chosen])
