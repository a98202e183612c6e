"""Planted bugs that the checks of the dequantizer of weights must find, one awake at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from amxfp4.verif.check import planted
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.batch.randoms import check_random, check_resets
from amxfp4.verif.sim.batch.timing import TimingError, check_timing
from amxfp4.verif.tests.weight_dequantizer.bugs import BUGS, faulty
from amxfp4.verif.tests.weight_dequantizer.test_weight_dequantizer import FAULTY

STALLS: dict[str, Any] = {"stall_in": 0.3, "stall_out": 0.3, "seed": 1}
CASES = {
    "zeros of the negative side": ("special_blocks", "must be 0x"),
    "subnormal unit one place off": ("special_blocks", "must be 0x"),
    "lanes swapped": ("smoke", "must be 0x"),
    "infinity is finite": ("special_blocks", "must be 0x"),
    "-0": ("special_blocks", "must be 0x"),
    "valid falls under stall": ("stalls/idle=cycle/back_pressure=bursts", "o__valid fell"),
    "output survives reset": ("reset_in_flight", "o__valid is up after a reset"),
}
"""Bugs, the test of the testbench that must fail, and what it must say."""


def awake(unit: str, name: str) -> BatchDut:
    """Wake one bug of a unit."""
    made = faulty(unit)
    return BatchDut(made, plusarg=made.wake(name))


def is_found(check: Callable[[], Any], *errors: type[Exception]) -> bool:
    """Whether a check ends in one of these errors."""
    try:
        check()
    except errors:
        return True
    return False


@pytest.mark.parametrize("unit", FAULTY)
def test_every_bug_is_caught(rng: np.random.Generator, unit: str) -> None:
    """Ties, subnormal words, overflow, NaN, sides, zeros, the order of lanes: each is checked."""

    def check(name: str) -> Any:
        return check_random(awake(unit, name), rng, 300)

    assert [n for n in BUGS[unit] if not is_found(partial(check, n), Mismatch)] == []


@pytest.mark.parametrize("unit", FAULTY)
def test_faults_of_the_stream_are_caught(rng: np.random.Generator, seed: int, unit: str) -> None:
    """Beats lost, doubled and late, a contract broken, registers that are not reset."""

    def check(name: str) -> None:
        chance = 0.05 if "reset" in name else 0.0
        check_random(awake(unit, name), rng, 300, reset_chance=chance, **STALLS)
        check_timing(awake(unit, name), rng, 100)

    errors = (Mismatch, ContractError, TimingError)
    assert [n for n in planted.WRAPPERS if not is_found(partial(check, n), *errors)] == []
    resets = [name for name in faulty(unit).names if name.startswith("reset ")]
    assert len(resets) >= 3
    for name in resets:
        assert is_found(partial(check_resets, awake(unit, name), rng, seed), *errors), name


@pytest.mark.parametrize("unit", FAULTY)
def test_wrong_manifest_is_caught(rng: np.random.Generator, unit: str) -> None:
    """A latency that is one cycle off, or another type of words, is not believed."""
    made = faulty(unit)
    late = planted.with_manifest(made, latency=made.manifest["latency"] + 1)
    with pytest.raises(TimingError, match="first_out must be"):
        check_timing(BatchDut(late), rng, 20)
    other = {"fp16": "bf16", "bf16": "fp16"}[made.manifest["config"]["output"]]
    with pytest.raises(Mismatch, match="<- differs"):
        check_random(BatchDut(planted.with_manifest(made, output=other)), rng, 20)


@pytest.mark.nightly
def test_testbench_catches_bugs() -> None:
    """The test that passes while a bug sleeps fails when it is awake, and says why."""
    assert planted.missed(faulty("table"), CASES) == {}
