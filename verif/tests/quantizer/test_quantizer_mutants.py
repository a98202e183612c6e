"""Planted bugs in the quantizer's own source, caught by the checkers that the real tests call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.sim.batch import exhaustive
from amxfp4.verif.sim.batch.check import Mismatch, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.batch.randoms import check_random
from amxfp4.verif.sim.batch.timing import TimingError, check_timing
from amxfp4.verif.tests.harness.faulty import BUGS, UNITS, faulty

QUANTIZERS = [name for name, config in UNITS.items() if isinstance(config, QuantizerConfig)]
SLOW = "next block waits"
"""Gives right records, too late."""


def run_checks(dut: BatchDut, rng: np.random.Generator, seed: int) -> None:
    """Run what the real tests run, in little: random blocks, stalls, every maximum, alone too."""
    stalls: dict[str, Any] = {"stall_in": 0.3, "stall_out": 0.3}
    check_random(dut, rng, 2_000)
    check_random(dut, rng, 2_000, seed=seed, **stalls)
    pos, neg = exhaustive.maxima(rng, dut.config)
    check_quantizer(dut, exhaustive.mix(rng, pos, neg, dut.config))
    check_quantizer(dut, exhaustive.alone(rng, dut.config))


@pytest.mark.parametrize("unit", QUANTIZERS)
def test_nothing_is_caught_while_bugs_sleep(rng: np.random.Generator, seed: int, unit: str) -> None:
    """What is caught below is the bug that is awake."""
    dut = BatchDut(faulty(unit))
    run_checks(dut, rng, seed)
    check_timing(dut, rng)


@pytest.mark.parametrize(
    ("unit", "bug"), [(u, bug) for u in QUANTIZERS for bug in BUGS[u] if bug != SLOW]
)
def test_bug_is_caught(rng: np.random.Generator, seed: int, unit: str, bug: str) -> None:
    """What is wrong in keys, maxima, scan, buffer or record is found."""
    made = faulty(unit)
    with pytest.raises((ContractError, Mismatch)):
        run_checks(BatchDut(made, plusarg=made.wake(bug)), rng, seed)


def test_bug_in_throughput_is_caught(rng: np.random.Generator, seed: int) -> None:
    """A buffer that is empty before it takes the next block gives right records, too late."""
    made = faulty("quantizer")
    dut = BatchDut(made, plusarg=made.wake(SLOW))
    run_checks(dut, rng, seed)
    with pytest.raises(TimingError):
        check_timing(dut, rng)
