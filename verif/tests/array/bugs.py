"""Units, and the bugs that are planted in them: edits of the RTL's source."""

from __future__ import annotations

from typing import Any

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig

CUTS = "input,sums,aligned"
AT_ONCE: dict[str, Any] = {"block": 16, "lanes": 4, "pipeline": CUTS, "scaling": "parallel"}
EXACT = DotConfig(**AT_ONCE)
# Few integer bits: sums overflow of which no term does.
FIXED = DotConfig(**AT_ONCE, acc="fixed", frac_bits=12, int_bits=8)
POWERS = DotConfig(**AT_ONCE, format_a="amxfp4-pot", format_b="amxfp4-pot")
ARRAY = ArrayConfig(
    block=16, lanes=8, pipeline=CUTS, rows=2, cols=2, format_a="nvfp4", format_b="nvfp4"
)
# Products with signs in one class.
SINGLE = DotConfig(**AT_ONCE, format_a="mxfp4", format_b="mxfp4")
# Terms one by one, in as many cycles as a block has beats.
SERIAL = DotConfig(block=16, lanes=4, pipeline=CUTS)
# And so in two classes, with significands of four bits.
SERIAL_FIXED = DotConfig(
    block=16, lanes=8, pipeline="rounded", format_a="amxfp4-e4m3", format_b="nvfp4",
    acc="fixed", int_bits=4,
)  # fmt: skip
# Integers: two's complement on one side, zero points on the other or on both.
INTEGERS = DotConfig(**AT_ONCE, format_a="int4", format_b="int4-asym")
ZERO_POINTS = DotConfig(**AT_ONCE, format_a="int4-asym", format_b="int4-asym")
UNITS = {
    "exact": EXACT, "fixed": FIXED, "powers": POWERS, "array": ARRAY, "single": SINGLE,
    "serial": SERIAL, "serial_fixed": SERIAL_FIXED, "integers": INTEGERS,
    "zero_points": ZERO_POINTS,
}  # fmt: skip
LATE = ("powers", "single", "integers", "zero_points")
"""Units whose bugs are looked for at night: those of formats that have fewer steps, and integers,
whose sums are proved by day."""

BUGS: dict[str, tuple[str, str, str, str]] = {
    "accumulator one bit short": (
        "exact", "dot.widths", "config.max_blocks * self.d_bound, signed",
        "config.max_blocks * self.d_bound // 2, signed",
    ),
    "ties away from zero": (
        "exact", "lib.rounding", "(guard & (odd | arrives)) | (odd & arrives)",
        "guard | (odd & arrives)",
    ),
    "ties down": (
        "exact", "lib.rounding", "(guard & (odd | arrives)) | (odd & arrives)",
        "(guard & arrives) | (odd & arrives)",
    ),
    "one more of a negative number arrives though something was cut": (
        "exact", "lib.rounding", "Mux(rest, guard, (guard", "Mux(rest & ~sign, guard, (guard",
    ),
    "one more of a negative number never arrives": (
        "exact", "lib.rounding", "significand[0], sign & ~rest", "significand[0], C(0, 1)",
    ),
    "rest of the rounding dropped": (
        "exact", "lib.rounding", "source.rest | Cat(moving.rest).any()", "C(0, 1)",
    ),
    "rest of a move that was not made forgotten": (
        "exact", "lib.rounding", "~moves & bits[stays:cut].any()", "C(0, 1)",
    ),
    "subnormal results normalised": (
        "single", "lib.rounding", "moves.eq(is_clear & self.limit[n:].any())",
        "moves.eq(is_clear)",
    ),
    "overflow not infinity": (
        "powers", "lib.rounding", "leading > highest", "leading > highest + 1",
    ),
    "classes swapped": (
        "exact", "dot.sums", "i, j = self._widths.classes[c]", "j, i = self._widths.classes[c]",
    ),
    "wrong neighbour in a group": (
        "exact", "dot.sums", "self._tags(before) == self._tags(n)",
        "self._tags(first) == self._tags(n)",
    ),
    "lane gathered by two others": (
        "exact", "dot.sums", "reduce(and_, free(k, n), same[k, n])", "same[k, n]",
    ),
    "last lane of a class unknown": (
        "exact", "dot.sums",
        "reduce(and_, free(n, lanes[-1] + 1), self._member(n, c))",
        "reduce(and_, free(n, lanes[-1]), self._member(n, c))",
    ),
    "group of lanes one too many": ("exact", "dot.sums", "sum_of(n - first + 1)", "sum_of(1)"),
    "shift of a product one wire off": (
        "exact", "dot.products", "shift.eq(Cat(field < 2, field == 2, field == 3))",
        "shift.eq(Cat(field == 0, field == 2, field == 3))",
    ),
    "correction of negatives missing": (
        "single", "dot.sums", "total + negatives - (negatives", "total - (negatives",
    ),
    "carry of a negative product missing": (
        "serial_fixed", "dot.sums", "((product ^ flip) + negative)", "(product ^ flip)",
    ),
    "carry into the next digit dropped": (
        "exact", "lib.arith", "carry = bits[1] & (bits[0] | carry)", "carry = C(0, 1)",
    ),
    "carry of the last digit dropped": (
        "serial_fixed", "lib.arith", "(gated(value, carry, shape) << len(factor))", "C(0, 1)",
    ),
    "carry of a digit of -1 dropped": (
        "exact", "lib.arith", "(word << place) + (minus_one << place)", "word << place",
    ),
    "last class dropped": (
        "serial", "dot.terms", "place == len(classes) - 1", "place == len(classes) - 2",
    ),
    "next block taken too early": (
        "serial", "dot.terms", "(self.o.ready & is_last)", "(self.o.ready & (place >= 2))",
    ),
    "classes with the first scale of B": (
        "serial", "dot.terms", "held.scales_b[j]", "held.scales_b[0]",
    ),
    "sum ends with every class": (
        "serial", "dot.terms", "is_last & held.ends_sum", "held.ends_sum",
    ),
    "sign of a class alone forgotten": (
        "serial", "dot.terms", "terms.negative.eq(slot.negative)", "terms.negative.eq(0)",
    ),
    "carry of a negative term dropped": (
        "serial_fixed", "dot.accumulate", "addend.carry.eq(negative)", "addend.carry.eq(0)",
    ),
    "NaN ignored one by one": (
        "serial", "dot.terms", "terms.is_nan.eq(slot.is_nan)", "terms.is_nan.eq(0)",
    ),
    "NaN seen in first scales only": (
        "serial", "dot.terms", "is_nan_code(row.scale, code)\n",
        "is_nan_code(row.scale, codes[0])\n",
    ),
    "range judged after every term": (
        "serial_fixed", "dot.accumulate",
        "total, ends_block = total + addend.carry, addend.ends_block",
        "total, ends_block = total + addend.carry, C(1, 1)",
    ),
    "range judged after no block": (
        "serial_fixed", "dot.accumulate", "leaves.eq(ends_block & ", "leaves.eq(~ends_block & ",
    ),
    "significand of B of the wrong sign": (
        "exact", "dot.terms", "operands[1][j].significand", "operands[1][1 - j].significand",
    ),
    "exponent of B of the wrong sign": (
        "exact", "dot.terms", "terms.shifts_b[j]", "terms.shifts_b[1 - j]",
    ),
    "subnormal scale as normal": (
        "exact", "dot.terms", "significand.eq(Cat(man, normal))", "significand.eq(Cat(man, 1))",
    ),
    "first NaN code as finite": (
        "exact", "dot.terms",
        "code[: fmt.exponent_bits + fmt.mantissa_bits] > fmt.max_magnitude",
        "code[: fmt.exponent_bits + fmt.mantissa_bits] > fmt.max_magnitude + 1",
    ),
    "sticky of an addition dropped": (
        "single", "dot.fp32", "Cat(lost, aligned)", "Cat(C(0, 1), aligned)",
    ),
    "infinity less infinity": (
        "powers", "dot.fp32", "| (infinite & opposite)", "| C(0, 1)",
    ),
    "gap too short": (
        "powers", "dot.fp32", "widths.term.width + 2 + 28", "widths.term.width + 2 + 16",
    ),
    "term below a gap dropped": (
        "powers", "dot.fp32", "assign_low(shifted, term << shift)",
        'assign_low(shifted, Mux((shift == 0) & (gaps["outer"][0] > longest), 0, term) << shift)',
    ),
    "exponent above a gap not put back": (
        "powers", "dot.fp32", "(true > longest) & reaches,", "(true > longest) & reaches & 0,",
    ),
    "exponent put back below a gap": (
        "powers", "dot.fp32", "(true > longest) & reaches,", "true > longest,",
    ),
    "inexact not sticky": (
        "fixed", "dot.accumulate", "next_state.inexact.eq(state.inexact | addend.inexact)",
        "next_state.inexact.eq(addend.inexact)",
    ),
    "inexact of the upper lost bit missed": (
        "fixed", "dot.accumulate", "magnitude[: max(drop, 0)]", "magnitude[: max(drop - 1, 0)]",
    ),
    "overflow not sticky": (
        "fixed", "dot.accumulate", "state.overflow | addend.overflow | leaves",
        "addend.overflow | leaves",
    ),
    "overflow of a sum missed": (
        "fixed", "dot.accumulate", "state.overflow | addend.overflow | leaves",
        "state.overflow | addend.overflow",
    ),
    "NaN not sticky": (
        "exact", "dot.accumulate", "state.is_nan | addend.is_nan", "addend.is_nan",
    ),
    "NaN block adds its other terms": (
        "exact", "dot.accumulate", "next_state.is_nan.eq(state.is_nan | addend.is_nan)",
        "next_state.is_nan.eq(state.is_nan)",
    ),
    "last ignored": ("exact", "dot.sequencer", "step.last & ends_block", "ends_block"),
    "last never seen": ("exact", "dot.sequencer", "step.last & ends_block", "step.last & 0"),
    "sum not cleared after last": (
        "exact", "dot.dot", "Mux(begins, 0, state.as_value())", "state",
    ),
    "class sums not cleared after a block": (
        "exact", "dot.dot", "Mux(beat.payload.ends_block, 0, with_beat)", "with_beat",
    ),
    "result overwritten under back-pressure": (
        "array", "dot.dot", "~result.valid | result.ready", "1",
    ),
    "one-bit products of a sign added": (
        "integers", "dot.products", "~(x & y) if flipped(i, j) else x & y", "x & y",
    ),
    "sign of code 8 lost in a sum of codes": (
        "integers", "dot.products", "codes = [code.as_signed() for code in codes]",
        "codes = [code.as_unsigned() for code in codes]",
    ),
    "zero point of one side forgotten": (
        "integers", "dot.sums", "total = total - product", "total = total + 0",
    ),
    "zero points never meet": (
        "zero_points", "dot.products", "total - self._config.lanes * self.zero", "total",
    ),
    "zero point of B with the codes of B": (
        "zero_points", "dot.sums", "(self.zero_b, self.code_sum_a)",
        "(self.zero_b, self.code_sum_b)",
    ),
    "columns share one operand": ("array", "array", "step.b[c]", "step.b[0]"),
    "rows share one operand": ("array", "array", "step.a[r]", "step.a[0]"),
}  # fmt: skip


STRUCTURAL = {
    "accumulator one bit short": 1, "classes swapped": 1, "group of lanes one too many": 4,
    "gap too short": 1, "one-bit products of a sign added": 4,
    "sign of code 8 lost in a sum of codes": 4, "zero point of B with the codes of B": 4,
}  # fmt: skip
"""Bugs that decide what hardware there is, so that each makes a unit of its own, and its lanes."""


AT_LIMIT = {
    f"overflow at the limit {name}": (
        "dot.accumulate",
        "at_limit & (~align.negative[n] | above)",
        new,
    )
    for name, new in (("missed", "at_limit & above"), ("false", "at_limit"))
}
