"""Random sums of dot products, in every pair of formats and every mode they allow."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from amxfp4.gen.config import (
    BLOCK_SIZES,
    CLASS_SUMS,
    FORMATS,
    OUTPUTS,
    PIPELINE,
    ArrayConfig,
    DotConfig,
    ScaleRule,
)
from amxfp4.verif.batch import products_random as randoms
from amxfp4.verif.batch.dut import BatchDut

CONFIGS = randoms.configurations()


@pytest.mark.parametrize("config", CONFIGS, ids=randoms.label)
def test_random_products(
    rng: np.random.Generator, seed: int, blocks: int, config: DotConfig
) -> None:
    """Sums of one to eight blocks: at full speed, with stalls, and after resets in flight."""
    dut = BatchDut(config)
    stalled = blocks // 4
    done = [randoms.check_random_products(dut, rng, blocks - stalled)]
    if stalled:
        stalls: dict[str, Any] = {"seed": seed, "stall_in": 0.3, "stall_out": 0.3}
        done.append(randoms.check_random_products(dut, rng, stalled, **stalls))
    assert sum(tally.pairs for tally in done) >= blocks
    assert randoms.check_random_resets(dut, rng, seed).resets >= 20


def test_rotation_covers_every_parameter() -> None:
    """The configurations of the random test have every pair, mode, and value of a parameter."""
    pairs = {(c.format_a, c.format_b, c.acc) for c in CONFIGS}
    bounded = [f for f, row in FORMATS.items() if row.scale_rule is ScaleRule.NEAREST]
    wanted = {(a, b, "fp32") for a, b in itertools.product(FORMATS, FORMATS)}
    wanted |= {(a, b, acc) for a in bounded for b in bounded for acc in ("exact", "fixed")}
    assert len(FORMATS) ** 2 == 81
    assert pairs == wanted
    assert len(CONFIGS) == len(wanted)

    for acc in ("exact", "fixed", "fp32"):
        of_mode = [c for c in CONFIGS if c.acc == acc]
        assert {c.block for c in of_mode} == set(BLOCK_SIZES)
        assert {c.output for c in of_mode} == set(OUTPUTS)
        assert {c.class_sums for c in of_mode} == set(CLASS_SUMS)
        for name in PIPELINE:
            assert {name in c.cuts for c in of_mode} == {True, False}
        assert {c.unit for c in of_mode} == {"dot", "array"}
    assert {c.lanes for c in CONFIGS} == {1, 2, 4, 8, 16, 32, 64, 128}
    assert {1, 2} <= {c.beats for c in CONFIGS}
    assert {0, 5} <= {len(c.cuts) for c in CONFIGS}
    shapes = {(c.rows, c.cols) for c in CONFIGS if isinstance(c, ArrayConfig)}
    assert shapes == {(1, 1), (1, 3), (2, 2)}
    # Both outputs with both ways to sum, and not the same output on every lane count.
    assert len({(c.output, c.class_sums) for c in CONFIGS}) == 4


def test_no_pairs_are_refused(rng: np.random.Generator) -> None:
    """A batch that compares nothing is an error, not a success."""
    dut = BatchDut(DotConfig(lanes=4))
    with pytest.raises(ValueError, match="pairs must be at least 1"):
        randoms.check_random_products(dut, rng, 0)


def test_random_operands_cancel(rng: np.random.Generator) -> None:
    """Among the random sums are some in which the second block takes the first one away."""
    a, b, lengths = randoms.operands(rng, DotConfig(), 4_000)
    assert lengths.sum() == 4_000
    assert np.mean(lengths == 1) > 0.3
    starts = (np.cumsum(lengths) - lengths)[lengths > 1]
    opposite = (a.codes[0, starts + 1] == a.codes[0, starts] ^ 8).all(axis=-1)
    same = (b.codes[0, starts + 1] == b.codes[0, starts]).all(axis=-1)
    assert (opposite & same).sum() > 20
    assert (opposite & ~same).sum() > 20
