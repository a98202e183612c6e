"""Dequantizers of weights in which all their planted bugs sleep, built once for all tests."""

from __future__ import annotations

from functools import cache

from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Edit, Planted

__all__ = ["BUGS", "UNITS", "faulty"]

UNITS = {
    "table": WeightDequantizerConfig(format="afpq-nf4", lanes=4),
    "element": WeightDequantizerConfig(format="afpq-fp4", lanes=2),
    "bf16": WeightDequantizerConfig(format="afpq-nf3", lanes=4, output="bf16"),
}
"""One of either way, and one whose scales are normalised."""

_ROUNDING: dict[str, Edit] = {
    "ties away from zero": ("weights.scale", "found[0] & (rest | found[1])", "found[0]"),
    "cut off, not rounded": ("weights.scale", "(rest | found[1])", "C(0, 1)"),
    "infinity is finite": ("weights.scale", "field.all()", "field.all() & fraction.any()"),
    "sides swapped": (
        "weights.dequantizer", "decoder.code.eq(record.scales[n])",
        "decoder.code.eq(record.scales[row.sides - 1 - n])",
    ),
}  # fmt: skip
_SUBNORMAL: dict[str, Edit] = {
    "subnormal unit one place off": (
        "weights.scale", "exponent <= one + 1 - top", "exponent <= one - top",
    ),
    "subnormal scale with a hidden bit": ("weights.scale", "field.any()", "C(1, 1)"),
    "smallest exponent off": (
        "weights.scale", "scale.exponent.eq(rebias + 1)", "scale.exponent.eq(rebias)",
    ),
}  # fmt: skip
_TABLE: dict[str, Edit] = {
    "zeros of the negative side": (
        "weights.table", "self.scales[side].is_nan", "self.scales[side if value else -1].is_nan",
    ),
    "NaN of one side everywhere": (
        "weights.table", "self.scales[side].is_nan", "self.scales[0].is_nan",
    ),
    "lanes swapped": (
        "weights.dequantizer", "with m.Switch(record.codes[n]):",
        "with m.Switch(record.codes[n ^ 1]):",
    ),
    "product off by one": (
        "lib.multiples", "total[zeros:]", "(total[zeros:] ^ 1)",
    ),
}  # fmt: skip
BUGS: dict[str, dict[str, Edit]] = {
    "table": _ROUNDING | _SUBNORMAL | _TABLE | {
        "-0": ("weights.table", "magnitude.any() & (value < 0)", "C(1, 1) & (value < 0)"),
    },
    "element": _ROUNDING | _SUBNORMAL | {
        "overflow to the next exponent": (
            "weights.scale", "rounded >= word.inf_magnitude", "C(0, 1)",
        ),
        "lanes swapped": (
            "weights.dequantizer", "element.code.eq(record.codes[n])",
            "element.code.eq(record.codes[n ^ 1])",
        ),
        "second zero is a number": (
            "weights.element", "is_zero.eq(value == 0)", "is_zero.eq(code == row.zero)",
        ),
        "zeros of the negative side": (
            "weights.element", "is_negative.eq(value < 0)", "is_negative.eq(value <= 0)",
        ),
        "-0": ("weights.element", "is_negative & magnitude.any()", "is_negative"),
        "factor of one": ("weights.element", "fraction.eq(int(part))", "fraction.eq(0)"),
        "NaN of one side everywhere": (
            "weights.element", "m.If(scale.is_nan)", "m.If(self.scales[0].is_nan)",
        ),
    },
    "bf16": _ROUNDING | _TABLE | {
        "zero scale is a number": ("weights.scale", "fraction == 0", "C(0, 1)"),
        "subnormal scale one place off": (
            "weights.scale", "scale.exponent.eq(rebias + 1 - BITS + top)",
            "scale.exponent.eq(rebias + 2 - BITS + top)",
        ),
    },
}  # fmt: skip
"""Edits of the RTL by unit and name."""


@cache
def faulty(unit: str) -> Planted:
    """One of `UNITS` with sleeping `BUGS`, missing resets and wrappers."""
    return planted.asleep(UNITS[unit], rtl=BUGS[unit], resets=True, wires=planted.WRAPPERS)
