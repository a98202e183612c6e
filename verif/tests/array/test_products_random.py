"""Random sums of dot products, in every pair of formats and every mode they allow."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import CLASS_SUMS, PIPELINE, SCALING, DotConfig
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, OUTPUTS
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.products import product_rotation as rotation
from amxfp4.verif.sim.products import random_products as randoms
from amxfp4.verif.sim.products.product_timing import check_product_timing, latency_of

CONFIGS = rotation.configurations()
WAYS = rotation.ways()


def _first(configs: list[DotConfig], count: int) -> list[Any]:
    """Leave all but the first `count` to the night."""
    late = [pytest.param(config, marks=pytest.mark.nightly) for config in configs[count:]]
    return [*configs[:count], *late]


@pytest.mark.parametrize("config", _first(CONFIGS, rotation.BY_DAY), ids=rotation.label)
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


@pytest.mark.parametrize("config", _first(WAYS, rotation.WAYS_BY_DAY), ids=rotation.label)
def test_every_way_to_build(
    rng: np.random.Generator, seed: int, blocks: int, config: DotConfig
) -> None:
    """Every combination of sums, scaling and registers: right under stalls, and on time.

    Timing accounts for every cycle: no bubble, and the manifest's latency.
    """
    dut = BatchDut(config)
    pairs = min(blocks, 10_000)
    assert randoms.check_random_products(dut, rng, pairs).pairs >= pairs
    stalls: dict[str, Any] = {"seed": seed, "stall_in": 0.3, "stall_out": 0.3}
    assert randoms.check_random_products(dut, rng, pairs // 2, **stalls).pairs >= pairs // 2
    assert randoms.check_random_resets(dut, rng, seed, runs=10).resets >= 10
    for lengths in (np.ones(200, np.int64), rng.integers(1, 6, 200)):
        assert check_product_timing(dut, rng, lengths).given == 200
    assert dut.manifest["latency"] == latency_of(config)


def test_rotation_covers_every_parameter() -> None:
    """The configurations of the random test have every pair, mode, and value of a parameter.

    A pair is one of kinds of scales and elements; UE5M3 and integers meet some of the others.
    """
    kinds = {
        (row.scale.name, row.scales, row.element.name): row for row in reversed(FORMATS.values())
    }
    wanted = {
        (a.name, b.name, acc)
        for a, b in itertools.product(kinds.values(), repeat=2)
        for acc in ("exact", "fixed", "fp32")
        if acc == "fp32" or not (a.power_of_two or b.power_of_two)
    }
    pairs = {(c.format_a, c.format_b, c.acc) for c in CONFIGS}
    assert pairs <= wanted
    assert len(CONFIGS) == len(pairs)
    assert all("ue5m3" in a + b or "int4" in a + b for a, b, _ in wanted - pairs)
    some = ("amxfp4", "mxfp4", "amxfp4-ue5m3", "nvfp4-ue5m3")
    assert {(a, b, "fp32") for a, b in itertools.product(some, some)} <= pairs
    for acc in ("exact", "fixed", "fp32"):
        integers = ("int4", "int4-asym")
        assert {(a, b, acc) for a, b in itertools.product(integers, integers)} <= pairs
        for a, b in itertools.product(("amxfp4", "mxfp4-e5m2"), integers):
            assert {(a, b, acc), (b, a, acc)} <= pairs

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
    assert {1, len(PIPELINE)} <= {len(c.cuts) for c in CONFIGS}
    shapes = {(c.rows, c.cols) for c in CONFIGS if isinstance(c, ArrayConfig)}
    assert shapes == {(1, 1), (1, 3), (2, 2)}
    # Both outputs with every way to sum, and not the same output on every lane count.
    assert len({(c.output, c.class_sums) for c in CONFIGS}) == 2 * len(CLASS_SUMS)
    for acc in ("exact", "fixed"):
        both = {(c.class_sums, c.scaling) for c in CONFIGS if c.acc == acc}
        assert both == set(itertools.product(CLASS_SUMS, SCALING))


def test_rotation_covers_every_value_by_day() -> None:
    """Of those built by day each accumulator has every format, the exact ones on either side."""
    by_day = [c for c in CONFIGS[: rotation.BY_DAY] if "int4" not in c.format_a]
    assert len(by_day) == rotation.BY_DAY - 1  # one of integers
    for modes in (("exact", "fixed"), ("fp32",)):
        of_mode = [c for c in by_day if c.acc in modes]
        assert {c.acc for c in of_mode} == set(modes)
        # What of a format is hardware here: scales, and how many of them.
        rows = [row for c in CONFIGS if c.acc in modes for row in c.rows_ab]
        rows = [row for row in rows if row.name != "nvfp4-ue5m3" and row.element.exponent_bits]
        formats = {(row.scale.name, row.scales) for row in rows}
        sides = [[(row.scale.name, row.scales) for row in c.rows_ab] for c in of_mode]
        assert {name for side in sides for name in side} == formats
        if modes != ("fp32",):
            assert [set(side) for side in zip(*sides, strict=True)] == [formats] * 2
            assert len(of_mode) == len(formats)
        assert {c.output for c in of_mode} == set(OUTPUTS)
        assert {c.class_sums for c in of_mode} == set(CLASS_SUMS)
    for name in PIPELINE:
        assert {name in c.cuts for c in by_day} == {True, False}
    assert {c.block for c in by_day} == set(BLOCK_SIZES)
    # More lanes take ten times as long to build.
    assert {c.lanes for c in by_day} == {1, 2, 4, 8, 16}
    # Either scaling meets every mode in the ways to build, below.
    assert {c.scaling for c in by_day} == set(SCALING)
    shapes = {(c.rows, c.cols) for c in by_day if isinstance(c, ArrayConfig)}
    assert shapes == {(1, 1), (1, 3)}  # two by two is the array of the planted bugs


def test_ways_cover_every_combination() -> None:
    """Each way to sum with each way to scale and to hold a result, in each mode that allows it."""
    held = {frozenset(filter(None, holder.split(","))) for holder in rotation.HOLDERS}
    wanted = {
        (acc, sums, scaling, holder)
        for acc, sums, scaling, holder in itertools.product(
            ("exact", "fixed", "fp32"), CLASS_SUMS, SCALING, held
        )
        if (acc, scaling) != ("fp32", "serial")
    }
    met = {(c.acc, c.class_sums, c.scaling, c.cuts & {"normalised", "rounded"}) for c in WAYS}
    assert met == wanted
    assert len(WAYS) == len(wanted) == 45
    terms = {(c.beats, c.rows_ab[0].scales * c.rows_ab[1].scales) for c in WAYS if _is_serial(c)}
    # Just enough beats, and more, for four terms and for two.
    assert {(4, 4), (2, 2), (4, 2), (16, 4)} <= terms
    serial = [c for c in WAYS if _is_serial(c)]
    assert {c.lanes for c in serial} == {1, 2, 4, 8}
    assert {c.unit for c in serial} == {"dot", "array"}
    for name in ("input", "terms", "aligned"):
        assert {name in c.cuts for c in serial} == {True, False}

    # By day every two of them meet, which is what the others show in threes and fours.
    first = WAYS[: rotation.WAYS_BY_DAY]
    by_day = {(c.acc, c.class_sums, c.scaling, c.cuts & {"normalised", "rounded"}) for c in first}
    for two in itertools.combinations(range(4), 2):
        assert {tuple(way[i] for i in two) for way in by_day} == {
            tuple(way[i] for i in two) for way in wanted
        }
    assert {c.unit for c in first} == {"dot", "array"}


def _is_serial(config: DotConfig) -> bool:
    return config.scaling == "serial"


def test_no_pairs_are_refused(rng: np.random.Generator) -> None:
    """A batch that compares nothing is an error, not a success."""
    dut = BatchDut(WAYS[0])
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
