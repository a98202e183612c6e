"""The quantizer's numbers: exhaustive over block maxima and elements, random over the rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.golden.formats import values
from amxfp4.params.formats import FORMATS, ScaleRule, Ties
from amxfp4.params.quantizer import MAXIMA, QuantizerConfig
from amxfp4.verif.sim.batch import beats, exhaustive, rotation
from amxfp4.verif.sim.batch.check import Checked, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.randoms import check_random, check_resets

TIES = [str(t) for t in Ties]
UNITS = [
    QuantizerConfig(format=format, ties=ties, lanes=4, input=word)
    for word, format, ties in product(("bf16", "fp16"), FORMATS, TIES)
]
"""Those of the exhaustive tests; all tests of a unit share its build."""
BY_LANES = [QuantizerConfig(lanes=lanes) for lanes in rotation.lane_counts(32)]
BY_DAY = [config for config in UNITS if rotation.by_day(config)]


def some_by_day(configs: list[QuantizerConfig], chosen: Callable[[QuantizerConfig], bool]) -> Any:
    """Run a test on all configurations, on some of them by day: each is seconds of compiling."""
    marked = [pytest.param(c, marks=() if chosen(c) else pytest.mark.nightly) for c in configs]
    return pytest.mark.parametrize("config", marked, ids=rotation.label)


# Finite scale codes that BF16 block maxima reach. Every code of E5M2, E4M3 and UE5M3; of E8M0 the
# largest maximum is just below 2^128, which the floor rule turns into 2^125, code 252, and
# rounding up into 2^126, as 6 times that is more.
REACHED = {"e5m2": 0x7B + 1, "e4m3": 0x7E + 1, "ue5m3": 0xFE + 1}
REACHED_E8M0 = {ScaleRule.FLOOR: 252 + 1, ScaleRule.ROUND_UP: 253 + 1, ScaleRule.CEILING: 253 + 1}


def _scales(checked: Checked, config: QuantizerConfig) -> npt.NDArray[np.uint8]:
    return beats.split_records(checked.outputs, config.row.block)[1]


@pytest.mark.by_day(3)
@some_by_day(UNITS, rotation.by_day)
def test_exhaustive_block_maxima(rng: np.random.Generator, config: QuantizerConfig) -> None:
    """Every word of either sign as the block's maximum, alone too, gives golden's scale code."""
    dut = BatchDut(config)
    pos, neg = exhaustive.maxima(rng, config)
    checked = check_quantizer(dut, exhaustive.mix(rng, pos, neg, config))
    check_quantizer(dut, exhaustive.alone(rng, config))
    check_quantizer(dut, exhaustive.non_finite(config))

    assert config.word.inf_magnitude is not None
    decided = [pos, neg] if config.row.shared > 1 else [np.maximum(pos, neg)]
    for maxima in decided:
        assert len(np.unique(maxima)) == config.word.inf_magnitude
    if config.input == "bf16":
        scale = config.row.scale
        reached = REACHED.get(scale.name) or REACHED_E8M0[config.row.scale_rule]
        for codes in _scales(checked, config).T[: config.row.scales]:
            assert len(np.unique(codes)) == reached


@pytest.mark.by_day(7)  # one with two scales, one with one: either tie rule
@some_by_day([c for c in UNITS if c.input == "bf16" and not c.row.compares_errors], rotation.by_day)
def test_exhaustive_elements(rng: np.random.Generator, config: QuantizerConfig) -> None:
    """Every BF16 word beside every scale code it can have gives golden's element code."""
    blocks, top = exhaustive.companions(rng, config)
    checked = check_quantizer(BatchDut(config), blocks)

    # What was met is read from the unit's own scale codes, not from the stimulus.
    scales, sign = _scales(checked, config), exhaustive.sign_bit(config.word)
    for side, negative in ((0, False), (config.row.scales - 1, True)):
        met = np.zeros((256, sign), bool)
        where = (blocks >= sign) == negative
        codes = np.broadcast_to(scales[:, side, None], blocks.shape)
        met[codes[where], blocks[where] & (sign - 1)] = True
        for code in np.flatnonzero(top >= 0):
            assert met[code, : top[code] + 1].all()
        assert met.sum() >= (top + 1).sum()


def _check_random(config: QuantizerConfig, rng: np.random.Generator, seed: int, count: int) -> None:
    """Check random blocks of every family: at full speed, with stalls, and after resets."""
    dut, half = BatchDut(config), max(1, count // 2)
    assert check_random(dut, rng, half).count == half
    assert check_random(dut, rng, half, seed=seed, stall_in=0.3, stall_out=0.3).count == half
    assert check_resets(dut, rng, seed) >= 100


@pytest.mark.parametrize("config", BY_DAY, ids=rotation.label)
def test_random_blocks(
    rng: np.random.Generator, seed: int, blocks: int, config: QuantizerConfig
) -> None:
    """Random blocks of every format, on units of the exhaustive tests."""
    _check_random(config, rng, seed, min(blocks, 10_000))


@some_by_day(rotation.quantizers(), lambda c: (c.block, c.lanes) in ((16, 2), (64, 1)))
def test_random_blocks_of_every_size(
    rng: np.random.Generator, seed: int, blocks: int, config: QuantizerConfig
) -> None:
    """Random blocks on units of every size: those of many lanes take a minute to compile."""
    _check_random(config, rng, seed, blocks // rotation.PER_FORMAT)


@some_by_day(rotation.four_or_six(), lambda c: False)
def test_four_or_six(
    rng: np.random.Generator, seed: int, blocks: int, config: QuantizerConfig
) -> None:
    """The scale of the smaller error, with words, beats and registers of every kind.

    By day the unit of planted bugs passes the same while they sleep.
    """
    _check_random(config, rng, seed, blocks)
    dut, block = BatchDut(config), config.row.block
    ties = stimulus.blocks(rng, blocks, block, config.input, "exact_ties", formats=[config.format])
    check_quantizer(dut, ties)
    words = stimulus.blocks(rng, 500, block, config.input, "normal")
    plain = golden.quantize(values(words, config.input), "nvfp4", ties=config.ties, block=block)
    taken = _scales(check_quantizer(dut, words), config)
    assert 0.1 < (taken[:, 0] != plain.scale_pos[:, 0]).mean() < 0.9


@some_by_day(rotation.seconds(), lambda c: (c.block, c.lanes) == (128, 2))
def test_second_scale(
    rng: np.random.Generator, seed: int, blocks: int, config: QuantizerConfig
) -> None:
    """With a second scale: golden's records, of which some have it; stalls, resets."""
    _check_random(config, rng, seed, min(blocks, 10_000))
    words = stimulus.blocks(rng, 500, config.row.block, config.input, "normal")
    first = golden.quantize(
        values(words, config.input), config.format, ties=config.ties, block=config.block
    )
    taken = _scales(check_quantizer(BatchDut(config), words), config)
    moved = (taken[:, 0] != first.scale_pos[:, 0]).mean()
    assert 0.02 < moved < 0.9


@pytest.mark.parametrize("family", stimulus.FAMILIES)
def test_random_family(rng: np.random.Generator, seed: int, blocks: int, family: str) -> None:
    """Every family of blocks alone, in the default unit, with stalls."""
    config = QuantizerConfig(lanes=4)
    count = max(1, blocks // len(stimulus.FAMILIES))
    words = stimulus.blocks(rng, count, config.row.block, config.input, family)
    checked = check_quantizer(BatchDut(config), words, seed=seed, stall_in=0.2, stall_out=0.2)
    assert checked.count == count


@some_by_day(BY_LANES, lambda c: c.lanes in (1, 4, 8))
def test_lanes_change_nothing(rng: np.random.Generator, config: QuantizerConfig) -> None:
    """Every number of lanes gives the same records."""
    words = stimulus.blocks(rng, 2_000, config.row.block, config.input)
    assert check_quantizer(BatchDut(config), words).count == 2_000


@some_by_day(rotation.options(), rotation.options_by_day)
def test_options_change_nothing(
    rng: np.random.Generator, seed: int, config: QuantizerConfig
) -> None:
    """Either way to find maxima, and registers anywhere: golden's records, stalls, resets."""
    dut = BatchDut(config)
    assert check_random(dut, rng, 2_000).count == 2_000
    stalls: dict[str, Any] = {"stall_in": 0.3, "stall_out": 0.3, "probe": True}
    assert check_random(dut, rng, 2_000, seed=seed, **stalls).count == 2_000
    assert check_resets(dut, rng, seed) >= 100


def test_rotation_covers_every_parameter() -> None:
    """The configurations of the random tests have every value of every parameter."""
    configs = rotation.quantizers()
    assert {c.format for c in configs} == set(FORMATS)
    assert {c.ties for c in configs} == set(TIES)
    assert {c.input for c in configs} == {"bf16", "fp16", "fp32"}
    assert {c.block for c in configs} == {16, 32, 64, 128}
    assert {c.lanes for c in configs} == {1, 2, 4, 8, 16, 32, 64, 128}
    # Both ways to find maxima with one scale and two, and in blocks of one beat and of several.
    ways = [(c.maxima, way) for c in configs for way in (c.row.scales, c.beats > 1)]
    assert set(ways) == set(product(MAXIMA, (1, 2, True, False)))
    seconds = rotation.seconds()
    assert {c.second for c in seconds} == set(range(1, 8))
    assert {c.row.scale.name for c in seconds} == {"e5m2", "e4m3", "ue5m3"}
    assert {(c.row.scales, c.beats > 1) for c in seconds} == set(product((1, 2), (True, False)))
    assert {c.cuts for c in seconds if c.beats == 1} >= {
        frozenset(), frozenset({"second"}), frozenset({"maxima", "second", "record"}),
    }  # fmt: skip
    compared = rotation.four_or_six()
    assert {c.input for c in compared} == {"bf16", "fp16", "fp32"}
    assert {(c.ties, c.maxima) for c in compared} == set(product(TIES, MAXIMA))
    assert {c.beats for c in compared} >= {1, 4, 16}
    assert {c.pipeline for c in compared if c.beats == 1} == {
        "", "maxima,record", "second", "maxima,second,record",
    }  # fmt: skip
    options = rotation.options()
    assert {c.pipeline for c in options} == {"", "maxima", "record", "maxima,record"}
    assert len({(c.maxima, c.pipeline) for c in options}) == len(options) == 8
    assert len({(c.row.scales, c.pipeline) for c in options}) == 8


def test_day_covers_every_value() -> None:
    """By day all formats but some are there, and each value of the rest but the largest sizes."""
    words = [c for c in BY_DAY if c.input == "bf16"]
    assert [c.format for c in words] == [f for f in FORMATS if f not in rotation.AT_NIGHT]
    options = [c for c in rotation.options() if rotation.options_by_day(c)]
    assert {(c.row.scales, c.ties) for c in words} == set(product((1, 2), TIES))
    assert {(c.input, c.ties) for c in BY_DAY} == set(product(("bf16", "fp16"), TIES))
    assert {(c.maxima, c.pipeline) for c in options} == {("tree", ""), ("scan", "maxima,record")}
