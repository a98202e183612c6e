"""Timing of dot product and array: a step per K / lanes cycles, no bubbles, a constant latency."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.timing import TimingError
from amxfp4.verif.sim.products.product_timing import check_product_timing, latency_of

PIPELINES = (
    "",
    "input",
    "sums,aligned",
    "normalised",
    "input,sums,terms,aligned,normalised,rounded",
)
# Every way of `product_rotation.ways` is timed as well, by day in all modes.
UNITS = [
    *(DotConfig(block=16, lanes=lanes, pipeline=PIPELINES[-1]) for lanes in (1, 4)),
    DotConfig(block=16, lanes=1, pipeline=PIPELINES[0]),
    ArrayConfig(block=16, lanes=1, rows=2, cols=2, pipeline="aligned,rounded"),
]
LATE = [
    *(DotConfig(block=16, lanes=lanes, pipeline=PIPELINES[-1]) for lanes in (2, 8, 16)),
    *(DotConfig(block=16, lanes=lanes, pipeline=p) for lanes in (4, 16) for p in PIPELINES[:3]),
    # Terms one by one in exactly as many cycles as a block has beats, results in either register.
    DotConfig(block=16, lanes=4, acc="fixed", pipeline="rounded"),
    DotConfig(block=16, lanes=4, acc="fixed", scaling="parallel", pipeline="sums,rounded"),
    DotConfig(block=16, lanes=8, format_b="nvfp4", pipeline=""),
    DotConfig(block=16, lanes=8, format_a="nvfp4", acc="fixed", pipeline="terms,rounded"),
    DotConfig(lanes=8, scaling="parallel", pipeline=""),
    DotConfig(format_a="mxfp4", format_b="amxfp4-pot", lanes=8, output="bf16"),
    DotConfig(format_a="nvfp4", format_b="nvfp4", lanes=16, acc="fixed", pipeline="rounded"),
    ArrayConfig(block=16, lanes=16, rows=1, cols=3),
    ArrayConfig(block=16, lanes=4, rows=2, cols=2, pipeline="aligned"),
]
"""Further units, of more lanes and other registers, at night."""


def _label(config: DotConfig) -> str:
    cuts = config.pipeline.replace(",", "+")
    return f"{config.unit}-x{config.lanes}-{config.acc}-{config.scaling}-{cuts}"


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    "config", [*UNITS, *(pytest.param(c, marks=pytest.mark.nightly) for c in LATE)], ids=_label
)
def test_timing(rng: np.random.Generator, config: DotConfig) -> None:
    """Sums of length one back to back, and sums of different length after each other."""
    dut = BatchDut(config)
    assert check_product_timing(dut, rng, np.ones(500, np.int64)).given == 500
    mixed = rng.integers(1, 9, 200)
    assert check_product_timing(dut, rng, mixed).taken == mixed.sum()
    assert check_product_timing(dut, rng, np.array([7, 1, 1, 5, 1])).given == 5
    assert dut.manifest["latency"] == latency_of(config)


@pytest.mark.parametrize(
    "config",
    [
        DotConfig(block=16, lanes=4),
        UNITS[-1],
        pytest.param(ArrayConfig(block=16, lanes=4, rows=2, cols=2), marks=pytest.mark.nightly),
        pytest.param(
            ArrayConfig(block=16, lanes=16, rows=2, cols=2, pipeline="rounded"),
            marks=pytest.mark.nightly,
        ),
    ],
    ids=_label,
)
def test_results_drain_while_the_next_tile_accumulates(
    rng: np.random.Generator, seed: int, config: DotConfig
) -> None:
    """A consumer that is slow, but faster than a tile, never holds up a step."""
    dut = BatchDut(config)
    lengths = rng.integers(64, 80, 60)
    options = {"stall_out": 0.5, "seed": seed}
    run = check_product_timing(dut, rng, lengths, **options)
    assert run.last_out > run.last_in
    # Not for free: tiles shorter than the consumer needs do wait.
    with pytest.raises(TimingError, match="last_in"):
        check_product_timing(dut, rng, np.ones(2_000, np.int64), stall_out=0.9, seed=seed)
