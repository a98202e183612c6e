"""Random blocks through a unit: the one way in which tests, sign-off and mutants draw them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from amxfp4.golden import stimulus
from amxfp4.verif.sim.batch import records
from amxfp4.verif.sim.batch.check import Checked, check_dequantizer, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut

__all__ = ["check_random", "check_resets", "reset_runs"]


_ELEMENTS = 1 << 20
"""Elements of one batch at most: a million blocks need no more memory than these."""


def _check_batch(dut: BatchDut, rng: np.random.Generator, count: int, options: Any) -> Checked:
    row = dut.config.row
    if dut.config.unit == "quantizer":
        words = stimulus.blocks(rng, count, row.block, dut.config.input, formats=[row.name])
        return check_quantizer(dut, words, **options)
    return check_dequantizer(dut, *records.draw(rng, count, row), **options)


def check_random(
    dut: BatchDut, rng: np.random.Generator, count: int, *, seed: int = 0, **options: Any
) -> Checked:
    """Compare `count` random blocks of every family with golden, in batches.

    Parameters
    ----------
    dut
        A quantizer or a dequantizer.
    rng
        Source of the blocks.
    count
        Number of blocks, at least 1.
    seed
        Of stalls and resets; each batch has its own.
    **options
        Further ones of `BatchDut.run`.

    Returns
    -------
    checked : Checked
        Sums over all batches, and the outputs of the last one.

    Raises
    ------
    Mismatch, ContractError
        As the unit's checker.
    """
    size = _ELEMENTS // dut.config.row.block
    batches = [min(size, count - at) for at in range(0, count, size)] or [0]
    blocks = cycles = resets = 0
    for index, number in enumerate(batches):
        checked = _check_batch(dut, rng, number, options | {"seed": seed + index})
        blocks += checked.count
        cycles += checked.cycles
        resets += checked.resets
    return Checked(count=blocks, cycles=cycles, resets=resets, outputs=checked.outputs)


def reset_runs(dut: BatchDut, seed: int, runs: int) -> Iterator[dict[str, Any]]:
    """Options of short runs, each after traffic with resets at random moments in it.

    State that a reset leaves behind matters only if it was there in the very cycle of the last
    reset: many short runs find it, one long run does not.
    """
    # Two to three blocks between resets, so that every beat of a block meets one.
    chance = 0.2 / max(dut.config.beats, 2)
    for number in range(runs):
        stall_in, stall_out = ((0.0, 0.0), (0.3, 0.3), (0.1, 0.7), (0.7, 0.1))[number % 4]
        yield {
            "seed": seed + number, "reset_chance": chance, "probe": True,
            "stall_in": stall_in, "stall_out": stall_out,
        }  # fmt: skip


def check_resets(dut: BatchDut, rng: np.random.Generator, seed: int, runs: int = 100) -> int:
    """Compare short batches as `reset_runs` says.

    Returns
    -------
    resets : int
        How many there were, at least one a run.

    Raises
    ------
    Mismatch, ContractError
        As the unit's checker.
    """
    return sum(check_random(dut, rng, 10, **how).resets for how in reset_runs(dut, seed, runs))
