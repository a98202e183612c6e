"""Planted bugs in dot product and array, caught by the checkers that the real tests call.

Most are edits of the RTL's own source, made in memory: what is looked for must stand there once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.dot import DotConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Planted
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.batch.timing import TimingError
from amxfp4.verif.sim.products import directed, ends
from amxfp4.verif.sim.products import random_products as randoms
from amxfp4.verif.sim.products.product_timing import check_product_timing
from amxfp4.verif.sim.products.products import check_products
from amxfp4.verif.tests.array.bugs import AT_LIMIT, BUGS, EXACT, LATE, STRUCTURAL, UNITS
from amxfp4.verif.tests.array.test_products_serial import LONG, long_terms, partial_sums


def run_checks(dut: BatchDut, rng: np.random.Generator, seed: int) -> int:
    """Run what the real tests run, in little: random sums, stalls, ends, ties, cancellation."""
    config = dut.config
    sums = randoms.check_random_products(dut, rng, 3_000).sums
    stalls: dict[str, Any] = {"seed": seed, "stall_in": 0.3, "stall_out": 0.3}
    sums += randoms.check_random_products(dut, rng, 2_000, **stalls).sums
    sums += randoms.check_random_resets(dut, rng, seed, runs=10).sums
    if config.unit == "array" or not config.rows_ab[0].element.exponent_bits:
        return sums  # what follows is of E2M1
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


@cache
def faulty(unit: str) -> Planted:
    """Make a unit in which all its bugs sleep, and the faults of every wrapper and reset."""
    rtl = {
        name: (module, old, new)
        for name, (of, module, old, new) in BUGS.items()
        if of == unit and name not in STRUCTURAL
    }  # fmt: skip
    if UNITS[unit].acc == "fixed":
        rtl |= AT_LIMIT
    return planted.asleep(UNITS[unit], rtl=rtl, resets=True, wires=planted.WRAPPERS)


def awake(unit: str, fault: str) -> BatchDut:
    """Wake one of the faults of a unit."""
    made = faulty(unit)
    return BatchDut(made, plusarg=made.wake(fault))


def _case(name: str, unit: str) -> Any:
    """Leave the bugs of some units to the night."""
    return pytest.param(name, marks=pytest.mark.nightly if unit in LATE else ())


@pytest.mark.parametrize("unit", [_case(unit, unit) for unit in UNITS])
def test_nothing_is_caught_while_bugs_sleep(rng: np.random.Generator, seed: int, unit: str) -> None:
    """What is caught below is the bug that is awake."""
    assert run_checks(BatchDut(faulty(unit)), rng, seed) > 300


@pytest.mark.parametrize("bug", [_case(bug, unit) for bug, (unit, *_) in BUGS.items()])
def test_bug_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, seed: int, bug: str
) -> None:
    """Each bug in the RTL's source differs from golden, or breaks the stream contract."""
    unit, module, old, new = BUGS[bug]
    if bug in STRUCTURAL:
        planted.bug(monkeypatch, module, old, new)
        config = replace(UNITS[unit], lanes=STRUCTURAL[bug])
        dut = BatchDut(verilog.generate(config))
    else:
        dut = awake(unit, bug)
    with pytest.raises((Mismatch, ContractError)):
        run_checks(dut, rng, seed)


@pytest.mark.parametrize("unit", ["fixed", "serial_fixed"])
def test_overflow_at_the_limit_is_caught(rng: np.random.Generator, unit: str) -> None:
    """A term of exactly 2^I must raise the flag, one of exactly -2^I must not.

    Only after a negative block is it the term alone that leaves the range, not the sum.
    """
    config = UNITS[unit]
    assert config.int_bits is not None
    codes = np.zeros((2, 400, 16), np.int64)
    codes[:, :, 3] = 1
    codes[0, :, 3] |= 8 * rng.integers(0, 2, 400)
    # Products of 1/4 under scales around 2^(I + 2): around 2^I.
    exponents = rng.integers(config.int_bits, config.int_bits + 4, 400)
    a, b = directed.cross(config, codes[0], codes[1], exponents)
    lengths = np.full(200, 2)
    assert check_products(BatchDut(faulty(unit)), a, b, lengths).count == 200
    for name in AT_LIMIT:
        with pytest.raises(Mismatch):
            check_products(awake(unit, name), a, b, lengths)


@pytest.mark.parametrize("scaling", [pytest.param("parallel", marks=pytest.mark.nightly), "serial"])
def test_top_of_a_long_term_dropped_is_caught(
    monkeypatch: pytest.MonkeyPatch, scaling: str
) -> None:
    """A term longer than the accumulator loses its top bit before it is shifted."""
    planted.bug(monkeypatch, "lib.arith", "bits[:width], [bits[width:].any()]", "bits[:width], []")
    config = DotConfig(scaling=scaling, **LONG)
    dut = BatchDut(verilog.generate(config))
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
    dut = BatchDut(faulty("exact"))
    a, b, lengths = randoms.operands(rng, EXACT, 20)
    with pytest.raises(ValueError, match="lengths must be 1 or more each"):
        check_products(dut, a, b, np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="lengths must be"):
        check_products(dut, a, b, lengths[:-1])
    with pytest.raises(Mismatch, match="as many sums must be compared"):
        check_products(dut, a, b, lengths, expected=np.zeros((0, 4), np.uint8))
