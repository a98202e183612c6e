"""Stimulus that leaves nothing out: every block maximum, every element beside every scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import formats
from amxfp4.params.formats import FloatFormat
from amxfp4.params.quantizer import QuantizerConfig

__all__ = ["alone", "companions", "maxima", "mix", "non_finite", "sign_bit"]

Words = npt.NDArray[np.unsignedinteger]


def sign_bit(word: FloatFormat) -> int:
    """Sign bit of a word."""
    return 1 << (word.width - 1)


def mix(rng: np.random.Generator, pos: Words, neg: Words, config: QuantizerConfig) -> Words:
    """Blocks with the given largest magnitudes of either sign, the rest random below them."""
    count = len(pos)
    negative = rng.integers(0, 2, (count, config.row.block), dtype=np.uint64)
    limit = np.where(negative == 1, neg[:, None], pos[:, None]).astype(np.uint64)
    draw = rng.integers(0, 1 << 32, negative.shape, dtype=np.uint64)
    words = (draw * (limit + 1)) >> np.uint64(32)
    words[:, 0], words[:, 1] = pos, neg
    negative[:, 0], negative[:, 1] = 0, 1
    words |= negative * np.uint64(sign_bit(config.word))
    return rng.permuted(words, axis=1).astype(f"u{config.word.width // 8}")


def maxima(rng: np.random.Generator, config: QuantizerConfig) -> tuple[Words, Words]:
    """Largest magnitudes (positive, negative) of blocks; each finite one occurs on either side."""
    word = config.word
    assert word.inf_magnitude is not None
    finite = np.arange(word.inf_magnitude, dtype=np.uint64)
    shuffled = rng.permutation(finite)
    if config.row.shared > 1:  # a zero point counts from one of them
        return finite, shuffled
    # The larger of the two decides: once the positive one, once the negative one.
    below = (rng.random(len(finite)) * (finite + 1)).astype(np.uint64)
    return np.concatenate([finite, below]), np.concatenate([below, finite])


def alone(rng: np.random.Generator, config: QuantizerConfig) -> Words:
    """Blocks of zeros and one word of either sign: every magnitude below 1.0 on either side.

    Without a larger word in the block, a word too small for any scale and zero can give different
    records. In a symmetric format the word of the other sign is a zero.
    """
    word, row, sign = config.word, config.row, sign_bit(config.word)
    small = np.arange(word.bias << word.mantissa_bits)
    if row.shared > 1:
        pos, neg = small, rng.permutation(small)
    else:
        side = rng.integers(0, 2, len(small))
        pos, neg = small * (1 - side), small * side
    blocks = rng.integers(0, 2, (len(small), row.block)) * sign
    blocks[:, 0], blocks[:, 1] = pos, neg | sign
    return rng.permuted(blocks, axis=1).astype(f"u{word.width // 8}")


def non_finite(config: QuantizerConfig) -> Words:
    """Every infinity and every NaN of the word in a block of its own, first or last."""
    word, sign = config.word, sign_bit(config.word)
    assert word.inf_magnitude is not None
    magnitudes = np.arange(word.inf_magnitude, sign)
    one = word.bias << word.mantissa_bits
    blocks = np.full((2 * len(magnitudes), config.row.block), one)
    blocks[:, 1::2] |= sign
    blocks[0::2, 0], blocks[1::2, -1] = magnitudes, magnitudes | sign
    return blocks.astype(f"u{word.width // 8}")


def companions(
    rng: np.random.Generator, config: QuantizerConfig
) -> tuple[Words, npt.NDArray[np.int64]]:
    """Blocks that put every magnitude beside every scale code it can stand beside.

    For each code s the largest maximum that gives s leads its blocks, and all magnitudes up to
    it follow. Returns the blocks and that largest maximum by code (-1: no maximum gives s).
    """
    word, row, sign = config.word, config.row, sign_bit(config.word)
    assert word.inf_magnitude is not None
    dtype = f"u{word.width // 8}"
    last = word.inf_magnitude + (not row.power_of_two)  # infinity counts there
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
    if row.zero_point:
        # The range is that of one sign alone, once of either.
        blocks = np.concatenate([blocks * (blocks < sign), blocks * (blocks >= sign)])
    return rng.permuted(blocks, axis=1), top
