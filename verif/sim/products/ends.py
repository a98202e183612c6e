"""Operands at the ends of ranges: longest sums, smallest and largest results, ties of rounding.

All are for a dot product: one row, one column.
"""

from __future__ import annotations

import numpy as np

from amxfp4.golden import Blocks
from amxfp4.params.dot import DotConfig
from amxfp4.verif.sim.products.directed import Ints, cross, halves, one_scale
from amxfp4.verif.sim.products.random_products import tensor

__all__ = ["around_ends", "longest_sums", "rounding_ties"]


def longest_sums(config: DotConfig, most: int = 4096) -> tuple[Blocks, Blocks, Ints]:
    """Make sums of `most` blocks of the largest D, of either sign, and what comes after them.

    Sums 0 and 1 are all largest, of one sign each; 2 is a zero block alone; 5, 6 and 11 are the
    smallest D, alone and between largest ones that cancel; 7 cancels; 8 and 10 hold a NaN.

    Returns
    -------
    a, b : Blocks
    lengths : int [sums]
    """
    row_a, row_b = config.rows_ab
    sums = [
        "+" * most, "-" * most, "0", "s" + "+" * (most - 1), "-" * (most - 1) + "s", "s",
        "+" * (most // 2 - 1) + "s" + "-" * (most // 2 - 1), "+-" * (most // 2),
        "+" * 100 + "n" + "-" * 50, "0", "n", "s", "-",
    ]  # fmt: skip
    steps = "".join(sums)
    sides = []
    for row, minus in ((row_a, 7), (row_b, 15)):
        largest = row.scale.max_magnitude
        # By step: largest of either sign, smallest, zero, NaN.
        kinds = {
            "+": (7, largest), "-": (minus, largest), "s": (1, 1), "0": (0, one_scale(row)),
            "n": (7, largest + 1),
        }  # fmt: skip
        codes = np.array([kinds[s][0] for s in steps])[:, None].repeat(row.block, axis=1)
        lone = np.array([s == "s" for s in steps])
        codes[lone, 1:] = 0
        scales = np.array([kinds[s][1] for s in steps])
        sides.append(tensor(row, codes[None], scales[None]))
    return sides[0], sides[1], np.array([len(s) for s in sums])


def around_ends(
    rng: np.random.Generator, config: DotConfig, steps: int
) -> tuple[Blocks, Blocks, Ints]:
    """Draw sums of one and two blocks around the smallest subnormal and the largest finite word.

    For power-of-two scales: others do not reach that far.
    """
    shape = (2, steps, config.block)
    codes = rng.integers(0, 16, shape) * (rng.random(shape) < 0.3)
    # In BF16 the smallest subnormal is 16 places higher.
    first, last = (-152, -118) if config.output == "fp32" else (-140, -115)
    low = rng.random(steps) < 0.6
    exponents = np.where(low, rng.integers(first, last, steps), rng.integers(118, 131, steps))
    a, b = cross(config, codes[0], codes[1], exponents)
    lengths = np.ones(steps // 2 + steps // 4, np.int64)
    lengths[steps // 2 :] = 2
    return a, b, lengths


def rounding_ties(
    rng: np.random.Generator, config: DotConfig, count: int
) -> tuple[Blocks, Blocks, Ints, Ints, Ints]:
    """Draw sums halfway between two output words, or beside the middle by the least bit.

    An upper part comes first, then a lower one that ends half a unit below the result's last
    place, and in every other sum a bit ten places below that.

    Returns
    -------
    a, b : Blocks
    lengths : int [count]
    total : int [count]
        Of upper and lower part: of one bit more than the output holds, mostly, and often odd.
    least : int [count]
        Sign of the least bit, 0 where there is none.
    """
    precision = config.word.mantissa_bits + 1
    wide = config.output == "fp32"
    pool = 25 * count
    # Sparse blocks in different measure, so that their sums are of every size.
    codes = rng.integers(0, 16, (pool, 2, config.block))
    share = rng.choice([0.1, 0.2, 0.5], (pool, 1, 1)) * 16 / config.block
    codes *= rng.random((pool, 1, config.block)) < share
    sums = (halves(codes[:, 0]) * halves(codes[:, 1])).sum(axis=-1)
    length = np.array([int(s).bit_length() for s in abs(sums)])
    uppers = np.flatnonzero((sums != 0) & (length <= (10 if wide else 4)))
    lowers = np.flatnonzero((sums % 2 == 1) & (abs(sums) < (64 if wide else 16)))
    ones = np.flatnonzero(abs(sums) == 1)
    upper, lower, bit = (rng.choice(pool, count) for pool in (uppers, lowers, ones))
    shift = precision + 1 - length[upper]

    has_bit = np.arange(count) % 2 == 1
    lengths = 2 + has_bit
    ends = np.cumsum(lengths)
    index, exponents = (np.zeros(ends[-1], np.int64) for _ in range(2))
    base = -8  # with ten places below and 24 above, E4M3 scales have them all
    for at, part, exponent in (
        (ends - lengths, upper, base + shift),
        (ends - lengths + 1, lower, base),
        (ends[has_bit] - 1, bit[has_bit], base - 10),
    ):
        index[at], exponents[at] = part, exponent
    a, b = cross(config, codes[index, 0], codes[index, 1], exponents)
    total = sums[upper] * 2**shift + sums[lower]
    return a, b, lengths, total, sums[bit] * has_bit
