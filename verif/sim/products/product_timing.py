"""Timing of `dot` and `array` at full speed against the manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.dot import DotConfig
from amxfp4.verif.sim.batch.dut import BatchDut, Run
from amxfp4.verif.sim.batch.timing import TimingError
from amxfp4.verif.sim.products.products import step_beats, tile_of
from amxfp4.verif.sim.products.random_products import operand

__all__ = ["check_product_timing", "latency_of"]


def latency_of(config: DotConfig) -> int:
    """Latency by the rule of docs/units/dot.md: registers, beats, and terms that go one by one."""
    beats = 1 + (config.beats if config.beats > 1 else 0)
    if config.scaling == "parallel":
        return beats + len(config.cuts)
    terms = int(np.prod([row.scales for row in config.rows_ab]))
    return beats + terms + len(config.cuts - {"sums"})


def check_product_timing(
    dut: BatchDut, rng: np.random.Generator, lengths: npt.NDArray[Any], **options: Any
) -> Run:
    """Run sums of the given lengths and account for every cycle.

    Step n enters in cycle n K / lanes, whatever sums it ends or begins; the first sum's result
    comes the manifest's ``latency`` after its last step, and so does the last one's. With a
    consumer that stalls (``stall_out``) results may come later, but steps may not: that is for
    sums long enough to be taken while the next one accumulates.

    Raises
    ------
    TimingError
        A transfer came early or late.
    """
    config, manifest = dut.config, dut.manifest
    latency, per_step = int(manifest["latency"]), int(manifest["cycles_per_block"])
    steps = int(lengths.sum())
    a, b = (operand(rng, r, n, steps) for r, n in zip(config.rows_ab, tile_of(config), strict=True))
    run = dut.run(step_beats(a, b, lengths), len(lengths), **options)
    last_in = (steps - 1) * per_step
    due = {
        "cycles_per_block": (per_step, config.beats),
        "first_in": (run.first_in, 0),
        "last_in": (run.last_in, last_in),
    }
    if not options.get("stall_out"):
        due |= {
            "first_out": (run.first_out, (int(lengths[0]) - 1) * per_step + latency),
            "last_out": (run.last_out, last_in + latency),
            "cycles": (run.cycles, last_in + latency + 1),
        }
    for name, (seen, wanted) in due.items():
        if seen != wanted:
            raise TimingError(f"{name} must be {wanted} for {config}, not {seen}")
    return run
