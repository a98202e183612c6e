"""The quantizer's numbers: exhaustive over block maxima and elements, random over the rest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4 import golden
from amxfp4.gen.config import FORMATS, FloatFormat, QuantizerConfig, ScaleRule, Ties
from amxfp4.golden import formats, stimulus
from amxfp4.verif.batch import beats, rotation
from amxfp4.verif.batch.check import Checked, check_quantizer
from amxfp4.verif.batch.dut import BatchDut

Words = npt.NDArray[np.unsignedinteger]

TIES = [str(t) for t in Ties]

# Finite scale codes that BF16 block maxima reach. Every code of E5M2 and E4M3; of E8M0 the
# largest maximum is just below 2^128, which the floor rule turns into 2^125, code 252, and
# rounding up into 2^126.
REACHED = {"e5m2": 0x7B + 1, "e4m3": 0x7E + 1}
REACHED_E8M0 = {ScaleRule.FLOOR: 252 + 1, ScaleRule.ROUND_UP: 253 + 1}


def _sign(word: FloatFormat) -> int:
    return 1 << (word.width - 1)


def _mix(rng: np.random.Generator, pos: Words, neg: Words, config: QuantizerConfig) -> Words:
    """Blocks with the given largest magnitudes of either sign, the rest random below them."""
    count = len(pos)
    negative = rng.integers(0, 2, (count, config.row.block), dtype=np.uint64)
    limit = np.where(negative == 1, neg[:, None], pos[:, None]).astype(np.uint64)
    draw = rng.integers(0, 1 << 32, negative.shape, dtype=np.uint64)
    words = (draw * (limit + 1)) >> np.uint64(32)
    words[:, 0], words[:, 1] = pos, neg
    negative[:, 0], negative[:, 1] = 0, 1
    words |= negative * np.uint64(_sign(config.word))
    return rng.permuted(words, axis=1).astype(f"u{config.word.width // 8}")


def _maxima(rng: np.random.Generator, config: QuantizerConfig) -> tuple[Words, Words]:
    """Largest magnitudes (positive, negative) of blocks; each finite one occurs on either side."""
    word = config.word
    assert word.inf_magnitude is not None
    finite = np.arange(word.inf_magnitude, dtype=np.uint64)
    shuffled = rng.permutation(finite)
    if config.row.asymmetric:
        return finite, shuffled
    # The larger of the two decides: once the positive one, once the negative one.
    below = (rng.random(len(finite)) * (finite + 1)).astype(np.uint64)
    return np.concatenate([finite, below]), np.concatenate([below, finite])


def _non_finite(config: QuantizerConfig) -> Words:
    """Every infinity and every NaN of the word in a block of its own, first or last."""
    word, sign = config.word, _sign(config.word)
    assert word.inf_magnitude is not None
    magnitudes = np.arange(word.inf_magnitude, sign)
    one = word.bias << word.mantissa_bits
    blocks = np.full((2 * len(magnitudes), config.row.block), one)
    blocks[:, 1::2] |= sign
    blocks[0::2, 0], blocks[1::2, -1] = magnitudes, magnitudes | sign
    return blocks.astype(f"u{word.width // 8}")


def _scales(checked: Checked, config: QuantizerConfig) -> npt.NDArray[np.uint8]:
    return beats.split_records(checked.outputs, config.row.block)[1]


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("word", ["bf16", "fp16"])
def test_exhaustive_block_maxima(
    rng: np.random.Generator, format: str, ties: str, word: str
) -> None:
    """Every word of either sign as the block's maximum gives golden's scale code."""
    config = QuantizerConfig(format=format, ties=ties, lanes=4, input=word)
    dut = BatchDut(config)
    pos, neg = _maxima(rng, config)
    checked = check_quantizer(dut, _mix(rng, pos, neg, config))
    check_quantizer(dut, _non_finite(config))

    assert config.word.inf_magnitude is not None
    decided = [pos, neg] if config.row.asymmetric else [np.maximum(pos, neg)]
    for maxima in decided:
        assert len(np.unique(maxima)) == config.word.inf_magnitude
    if word == "bf16":
        scale = config.row.scale
        reached = REACHED.get(scale.name) or REACHED_E8M0[config.row.scale_rule]
        for codes in _scales(checked, config).T:
            assert len(np.unique(codes)) == reached


def _companions(
    rng: np.random.Generator, config: QuantizerConfig
) -> tuple[Words, npt.NDArray[np.int64]]:
    """Blocks that put every magnitude beside every scale code it can stand beside.

    For each code s the largest maximum that gives s leads its blocks, and all magnitudes up to
    it follow. Returns the blocks and that largest maximum by code (-1: no maximum gives s).
    """
    word, row, sign = config.word, config.row, _sign(config.word)
    assert word.inf_magnitude is not None
    dtype = f"u{word.width // 8}"
    last = word.inf_magnitude + (row.scale_rule is ScaleRule.NEAREST)  # infinity counts there
    alone = np.zeros((last, row.block), dtype)
    alone[:, 0] = np.arange(last)
    values = formats.values(alone, word.name)
    given = golden.quantize(values, row.name, ties=config.ties, block=row.block).scale_pos
    top = np.full(256, -1)
    top[given.ravel()] = np.arange(last)  # increasing: the last assignment is the largest

    half = row.block // 2 - 1
    rows, leads = [], []
    for code in np.flatnonzero(top >= 0):
        count = -(-(top[code] + 1) // half)
        run = np.zeros(count * half, np.int64)
        run[: top[code] + 1] = np.arange(top[code] + 1)
        rows.append(run.reshape(count, half))
        leads.append(np.full(count, top[code]))
    below, lead = np.concatenate(rows), np.concatenate(leads)
    # The negative half: other scales in an asymmetric format, the same scale in a symmetric one.
    order = rng.permutation(len(lead)) if row.asymmetric else np.arange(len(lead))
    blocks = np.zeros((len(lead), row.block), dtype)
    blocks[:, 0], blocks[:, 1] = lead, lead[order] | sign
    blocks[:, 2 : 2 + half] = below
    blocks[:, 2 + half :] = below[order] | sign
    return rng.permuted(blocks, axis=1), top


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("format", FORMATS)
def test_exhaustive_elements(rng: np.random.Generator, format: str, ties: str) -> None:
    """Every BF16 word beside every scale code it can have gives golden's element code."""
    config = QuantizerConfig(format=format, ties=ties, lanes=4)
    blocks, top = _companions(rng, config)
    checked = check_quantizer(BatchDut(config), blocks)

    # What was met is read from the unit's own scale codes, not from the stimulus.
    scales, sign = _scales(checked, config), _sign(config.word)
    for side, negative in ((0, False), (-1, True)):
        met = np.zeros((256, sign), bool)
        where = (blocks >= sign) == negative
        codes = np.broadcast_to(scales[:, side, None], blocks.shape)
        met[codes[where], blocks[where] & (sign - 1)] = True
        for code in np.flatnonzero(top >= 0):
            assert met[code, : top[code] + 1].all()
        assert met.sum() >= (top + 1).sum()


@pytest.mark.parametrize("config", rotation.quantizers(), ids=str)
def test_random_blocks(
    rng: np.random.Generator, seed: int, blocks: int, config: QuantizerConfig
) -> None:
    """Random blocks of every family: at full speed, with stalls, and after resets in flight."""
    dut, row = BatchDut(config), config.row
    share = max(1, blocks // rotation.PER_FORMAT // 4)
    runs = [
        (2 * share, {}),
        (share, {"stall_in": 0.3, "stall_out": 0.3}),
        (share, {"stall_in": 0.1, "stall_out": 0.6, "reset_chance": 0.02}),
    ]
    for number, (count, options) in enumerate(runs):
        words = stimulus.blocks(rng, count, row.block, config.input, formats=[row.name])
        checked = check_quantizer(dut, words, seed=seed + number, **options)
        assert checked.count == count
        assert (checked.resets > 0) == ("reset_chance" in options)


@pytest.mark.parametrize("family", stimulus.FAMILIES)
def test_random_family(rng: np.random.Generator, seed: int, blocks: int, family: str) -> None:
    """Every family of blocks alone, in the default unit, with stalls."""
    config = QuantizerConfig(lanes=4)
    count = max(1, blocks // len(stimulus.FAMILIES))
    words = stimulus.blocks(rng, count, config.row.block, config.input, family)
    checked = check_quantizer(BatchDut(config), words, seed=seed, stall_in=0.2, stall_out=0.2)
    assert checked.count == count


@pytest.mark.parametrize("lanes", rotation.lane_counts(32))
def test_lanes_change_nothing(rng: np.random.Generator, lanes: int) -> None:
    """Every number of lanes gives the same records."""
    config = QuantizerConfig(lanes=lanes)
    words = stimulus.blocks(rng, 2_000, config.row.block, config.input)
    assert check_quantizer(BatchDut(config), words).count == 2_000


def test_rotation_covers_every_parameter() -> None:
    """The configurations of the random tests have every value of every parameter."""
    configs = rotation.quantizers()
    assert {c.format for c in configs} == set(FORMATS)
    assert {c.ties for c in configs} == set(TIES)
    assert {c.input for c in configs} == {"bf16", "fp16", "fp32"}
    assert {c.block for c in configs} == {16, 32, 64, 128}
    assert {c.lanes for c in configs} == {1, 2, 4, 8, 16, 32, 64, 128}
