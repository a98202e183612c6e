"""Planted bugs in dot product and array, caught by the checkers that the real tests call.

Most are edits of the RTL's own source, made in memory: what is looked for must stand there once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Planted
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.batch.timing import TimingError
from amxfp4.verif.sim.products import directed as directed
from amxfp4.verif.sim.products import ends as ends
from amxfp4.verif.sim.products import random_products as randoms
from amxfp4.verif.sim.products.product_timing import check_product_timing
from amxfp4.verif.sim.products.products import check_products
from amxfp4.verif.tests.array.test_products_serial import LONG, long_terms, partial_sums

CUTS = "input,sums,aligned"
EXACT = DotConfig(block=16, lanes=8, pipeline=CUTS)
# Few integer bits: sums overflow of which no term does.
FIXED = DotConfig(block=16, lanes=8, pipeline=CUTS, acc="fixed", frac_bits=12, int_bits=8)
FP32 = DotConfig(block=16, lanes=8, pipeline=CUTS, acc="fp32")
POWERS = DotConfig(
    block=16, lanes=8, pipeline=CUTS, format_a="amxfp4-pot", format_b="amxfp4-pot"
)  # fmt: skip
SINGLE = DotConfig(block=16, lanes=8, pipeline=CUTS, format_a="mxfp4", format_b="mxfp4")
ARRAY = ArrayConfig(block=16, lanes=8, pipeline=CUTS, rows=2, cols=2)
# Products with signs: in one class, and in two.
SIGNED = DotConfig(block=16, lanes=8, pipeline=CUTS, format_a="nvfp4", format_b="nvfp4")
HALF = DotConfig(block=16, lanes=8, pipeline=CUTS, format_b="nvfp4", scaling="parallel")
E4M3 = DotConfig(
    block=16, lanes=8, pipeline=CUTS, format_a="amxfp4-e4m3", format_b="amxfp4-e4m3"
)  # fmt: skip
# Terms one by one, in as many cycles as a block has beats.
SERIAL = DotConfig(block=16, lanes=4, pipeline=CUTS)
SERIAL_FIXED = DotConfig(block=16, lanes=4, pipeline="rounded", acc="fixed", int_bits=4)
UNITS = {
    "exact": EXACT, "fixed": FIXED, "fp32": FP32, "powers": POWERS, "single": SINGLE,
    "array": ARRAY, "signed": SIGNED, "half": HALF, "e4m3": E4M3, "serial": SERIAL,
    "serial_fixed": SERIAL_FIXED,
}  # fmt: skip


def run_checks(dut: BatchDut, rng: np.random.Generator, seed: int) -> int:
    """Run what the real tests run, in little: random sums, stalls, ends, ties, cancellation."""
    config = dut.config
    sums = randoms.check_random_products(dut, rng, 3_000).sums
    stalls: dict[str, Any] = {"seed": seed, "stall_in": 0.3, "stall_out": 0.3}
    sums += randoms.check_random_products(dut, rng, 2_000, **stalls).sums
    sums += randoms.check_random_resets(dut, rng, seed, runs=10).sums
    if config.unit == "array":
        return sums
    batches: list[Any] = [ends.rounding_ties(rng, config, 2_000)[:3]]
    if config.acc == "fixed":
        batches.append(partial_sums(rng, config, 8_000)[:3])
    if config.rows_ab[0].scale.signed_bit:
        if config.acc != "fp32":
            batches.append(ends.longest_sums(config))
    else:
        batches.append(ends.around_ends(rng, config, 8_000))
        if config.rows_ab[0].asymmetric:
            a, b, _ = directed.class_sums_cancel(rng, config, 8_000)
            batches.append((a, b, np.ones(8_000, np.int64)))
    return sums + sum(check_products(dut, *batch).count for batch in batches)


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
    "last lane of a class not told": (
        "exact", "dot.sums",
        "reduce(and_, free(n, lanes[-1] + 1), self._member(n, c))",
        "reduce(and_, free(n, lanes[-1]), self._member(n, c))",
    ),
    "group of lanes one too many": ("exact", "dot.sums", "sum_of(n - first + 1)", "sum_of(1)"),
    "shift of a product one wire off": (
        "exact", "dot.sums", "shift.eq(Cat(field < 2, field == 2, field == 3))",
        "shift.eq(Cat(field == 0, field == 2, field == 3))",
    ),
    "correction of negatives missing": (
        "signed", "dot.sums", "total + negatives - (negatives", "total - (negatives",
    ),
    "carry of a negative product missing": (
        "half", "dot.sums", "((product ^ flip) + negative)", "(product ^ flip)",
    ),
    "carry into the next digit dropped": (
        "exact", "lib.arith", "carry = bits[1] & (bits[0] | carry)", "carry = C(0, 1)",
    ),
    "carry of the last digit dropped": (
        "e4m3", "lib.arith", "(gated(value, carry, shape) << len(factor))", "C(0, 1)",
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
        "fp32", "dot.fp32", "Cat(lost, aligned)", "Cat(C(0, 1), aligned)",
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
    "last ignored": ("exact", "dot.dot", "step.last & ends_block", "ends_block"),
    "last never seen": ("exact", "dot.dot", "step.last & ends_block", "step.last & 0"),
    "sum not cleared after last": (
        "exact", "dot.dot", "Mux(begins, 0, state.as_value())", "state",
    ),
    "class sums not cleared after a block": (
        "exact", "dot.dot", "Mux(beat.payload.ends_block, 0, with_beat)", "with_beat",
    ),
    "result overwritten under back-pressure": (
        "array", "dot.dot", "~result.valid | result.ready", "1",
    ),
    "columns share one operand": ("array", "array", "step.b[c]", "step.b[0]"),
    "rows share one operand": ("array", "array", "step.a[r]", "step.a[0]"),
}  # fmt: skip


STRUCTURAL = (
    "accumulator one bit short", "classes swapped", "group of lanes one too many", "gap too short",
)  # fmt: skip
"""Bugs that decide what hardware there is, so that each makes a unit of its own."""


@cache
def faulty(unit: str) -> Planted:
    """Make a unit in which all its bugs sleep, and the faults of every wrapper and reset."""
    rtl = {
        name: (module, old, new)
        for name, (of, module, old, new) in BUGS.items()
        if of == unit and name not in STRUCTURAL
    }  # fmt: skip
    return planted.asleep(UNITS[unit], rtl=rtl, resets=True, wires=planted.WRAPPERS)


def awake(unit: str, fault: str) -> BatchDut:
    """Wake one of the faults of a unit."""
    made = faulty(unit)
    return BatchDut(made, plusarg=made.wake(fault))


@pytest.mark.parametrize("unit", UNITS)
def test_nothing_is_caught_while_bugs_sleep(rng: np.random.Generator, seed: int, unit: str) -> None:
    """What is caught below is the bug that is awake."""
    assert run_checks(BatchDut(faulty(unit)), rng, seed) > 300


@pytest.mark.parametrize("bug", BUGS)
def test_bug_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, seed: int, bug: str
) -> None:
    """Each bug in the RTL's source differs from golden, or breaks the stream contract."""
    unit, module, old, new = BUGS[bug]
    if bug in STRUCTURAL:
        planted.bug(monkeypatch, module, old, new)
        dut = BatchDut(verilog.generate(UNITS[unit]), optimize=False)
    else:
        dut = awake(unit, bug)
    with pytest.raises((Mismatch, ContractError)):
        run_checks(dut, rng, seed)


AT_LIMIT = {
    name: ("dot.accumulate", "at_limit & (~align.negative[n] | above)", new)
    for name, new in (("missed", "at_limit & above"), ("false", "at_limit"))
}


@pytest.mark.parametrize("lanes", [8, 4], ids=["parallel", "serial"])
def test_overflow_at_the_limit_is_caught(rng: np.random.Generator, lanes: int) -> None:
    """A term of exactly 2^I must raise the flag, one of exactly -2^I must not.

    Only after a negative block is it the term alone that leaves the range, not the sum.
    """
    config = DotConfig(block=16, lanes=lanes, acc="fixed", frac_bits=4, int_bits=6)
    codes = np.zeros((2, 400, 16), np.int64)
    codes[:, :, 3] = 1
    codes[0, :, 3] |= 8 * rng.integers(0, 2, 400)
    # Products of 1/4 under scales around 2^8: around 2^6.
    a, b = directed.cross(config, codes[0], codes[1], rng.integers(6, 10, 400))
    made = planted.asleep(config, rtl=AT_LIMIT)
    assert check_products(BatchDut(made), a, b, np.full(200, 2)).count == 200
    for name in made.names:
        with pytest.raises(Mismatch):
            check_products(BatchDut(made, plusarg=made.wake(name)), a, b, np.full(200, 2))


@pytest.mark.parametrize("lanes", [64, 32], ids=["parallel", "serial"])
def test_top_of_a_long_term_dropped_is_caught(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    """A term longer than the accumulator loses its top bit before it is shifted."""
    planted.bug(monkeypatch, "lib.arith", "bits[:width], [bits[width:].any()]", "bits[:width], []")
    config = DotConfig(lanes=lanes, **LONG)
    dut = BatchDut(verilog.generate(config), optimize=False)
    with pytest.raises(Mismatch):
        check_products(dut, *long_terms(config))


def test_bugs_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that finds nothing to change is an error: the mutant would be the unit itself."""
    with pytest.raises(ValueError, match="must have 'no such text' once"):
        planted.bug(monkeypatch, "dot.dot", "no such text", "")


@pytest.mark.parametrize("unit", ["exact", "array"])
def test_product_bubble_is_caught(rng: np.random.Generator, unit: str) -> None:
    """One cycle lost in sixty-four is not full throughput; nor is a wrong latency believed."""
    lengths = np.ones(300, np.int64)
    with pytest.raises(TimingError, match="last_in"):
        check_product_timing(awake(unit, "bubble"), rng, lengths)
    whole = faulty(unit)
    wrong = planted.with_manifest(whole, latency=whole.manifest["latency"] + 1)
    with pytest.raises(TimingError, match="first_out"):
        check_product_timing(BatchDut(wrong), rng, lengths)


@pytest.mark.parametrize(
    "fault",
    ["payload changes under stall", "valid depends on ready", "output survives reset",
     "beat dropped", "beat taken twice"],
)  # fmt: skip
@pytest.mark.parametrize("unit", ["exact", "array"])
def test_product_contract_fault_is_caught(
    rng: np.random.Generator, seed: int, unit: str, fault: str
) -> None:
    """Ways to break the stream contract, at the ports of either unit."""
    with pytest.raises((ContractError, Mismatch)):
        run_checks(awake(unit, fault), rng, seed)


def test_missing_resets_of_products_are_caught(rng: np.random.Generator, seed: int) -> None:
    """Each register that is reset needs its reset: stale state spoils what comes after."""
    resets = [name for name in faulty("exact").names if name.startswith("reset ")]
    assert len(resets) >= 3
    for reset in resets:
        dut = awake("exact", reset)
        with pytest.raises((ContractError, Mismatch)):
            randoms.check_random_resets(dut, rng, seed, runs=100)


def test_zero_sums_are_an_error(rng: np.random.Generator) -> None:
    """A comparison of nothing, or of less than was sent, is no success."""
    dut = BatchDut(EXACT)
    a, b, lengths = randoms.operands(rng, EXACT, 20)
    with pytest.raises(ValueError, match="lengths must be 1 or more each"):
        check_products(dut, a, b, np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="lengths must be"):
        check_products(dut, a, b, lengths[:-1])
    with pytest.raises(Mismatch, match="as many sums must be compared"):
        check_products(dut, a, b, lengths, expected=np.zeros((0, 4), np.uint8))
