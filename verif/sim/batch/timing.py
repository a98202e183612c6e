"""Timing at full speed against the manifest: one beat per cycle, a constant latency."""

from __future__ import annotations

import numpy as np

from amxfp4.golden import stimulus
from amxfp4.verif.sim.batch import beats, records
from amxfp4.verif.sim.batch.dut import BatchDut, Run

__all__ = ["TimingError", "check_timing"]


class TimingError(AssertionError):
    """A transfer was not in the cycle that the manifest promises."""


def check_timing(dut: BatchDut, rng: np.random.Generator, blocks: int = 500) -> Run:
    """Run a unit without stalls and account for every cycle.

    The busy side, which has the more beats per block, moves one beat in every cycle from its
    first to its last; blocks follow each other at the manifest's ``cycles_per_block``; the
    first output comes its ``latency`` after the last input beat of the first block.

    Raises
    ------
    TimingError
        A transfer came early or late.
    """
    config, manifest = dut.config, dut.manifest
    latency, per_block = int(manifest["latency"]), int(manifest["cycles_per_block"])
    if config.unit == "quantizer":
        words = stimulus.blocks(rng, blocks, config.row.block, config.input)
        sent, beats_in, beats_out = beats.words_to_beats(words, config.lanes), config.beats, 1
    else:
        raw = records.pack(config.row, *records.draw(rng, blocks, config.row))
        sent, beats_in, beats_out = beats.from_bytes(raw), 1, config.beats
    run = dut.run(sent, blocks * beats_out)
    first_out = run.first_in + beats_in - 1 + latency
    due = {
        "cycles_per_block": (per_block, max(beats_in, beats_out)),
        "first_in": (run.first_in, 0),
        "first_out": (run.first_out, first_out),
        "last_out": (run.last_out, first_out + (blocks - 1) * per_block + beats_out - 1),
        "cycles": (run.cycles, blocks * per_block + latency),
    }
    if beats_in == per_block:  # a faster source runs ahead by what the unit can hold
        due["last_in"] = (run.last_in, blocks * per_block - 1)
    for name, (seen, wanted) in due.items():
        if seen != wanted:
            raise TimingError(f"{name} must be {wanted} for {config}, not {seen}")
    return run
