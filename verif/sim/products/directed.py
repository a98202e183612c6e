"""Operands made on purpose: every code, the ends of every range, ties, cancellation.

All are for a dot product: one row, one column. `fractions_of` is the third opinion, a result in
fractions that shares nothing with the golden model that every result is compared with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden import Blocks, formats, reference
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BlockFormat
from amxfp4.verif.sim.products.products import packed_results
from amxfp4.verif.sim.products.random_products import tensor

__all__ = [
    "Ints",
    "class_sums_cancel",
    "cross",
    "element_pairs",
    "fractions_of",
    "halves",
    "one_scale",
    "power_code",
    "scale_pairs",
]

Ints = npt.NDArray[np.int64]
TOP = 7
"""Code of the largest element, 6."""


def one_scale(row: BlockFormat) -> int:
    """Code of the scale 1."""
    return row.scale.bias << row.scale.mantissa_bits


def power_code(row: BlockFormat, exponent: Ints) -> Ints:
    """Scale codes of powers of two, subnormal ones included."""
    values = formats.decode(np.arange(256, dtype=np.uint8), row.scale)[
        : row.scale.max_magnitude + 1
    ]
    wanted = 2.0 ** np.asarray(exponent, np.float64)
    code = np.searchsorted(values, wanted)
    if not np.array_equal(values[code], wanted):
        raise ValueError(f"exponent must be one that {row.scale.name} has, not {exponent!r}")
    return code


def halves(codes: npt.NDArray[Any]) -> Ints:
    """Element values in units of 1/2."""
    magnitude = np.array([0, 1, 2, 3, 4, 6, 8, 12])[codes & 7]
    return np.where(codes >= 8, -magnitude, magnitude)


def _flat(row: BlockFormat, codes: Any, pos: Any, neg: Any) -> Blocks:
    """Turn [steps, K] codes and [steps] scales into an operand of one row."""
    return tensor(row, codes[None], pos[None], neg[None])


def element_pairs(config: DotConfig) -> tuple[Blocks, Blocks]:
    """All 256 pairs of element codes: alone in every lane, then in all lanes.

    The negative scales are twice the positive ones: a product in the wrong class is seen.
    """
    lane = np.arange(config.block + 1)
    alone = (lane[:, None] == np.arange(config.block)) | (lane[:, None] == config.block)
    sides = []
    for row, of_pair in zip(config.rows_ab, (lambda p: p >> 4, lambda p: p & 15), strict=True):
        codes = of_pair(np.arange(256))[:, None, None] * alone
        codes = codes.reshape(-1, config.block)
        one = np.full(len(codes), one_scale(row))
        sides.append(_flat(row, codes, one, one + (1 << row.scale.mantissa_bits)))
    return sides[0], sides[1]


def scale_pairs(rng: np.random.Generator, config: DotConfig) -> tuple[Blocks, Blocks]:
    """All 65536 pairs of scale codes, in every class with its sum at that end of its range.

    Four times one class has all lanes, at +6 * +6, +6 * -6, -6 * +6 and -6 * -6, and the scales of
    the other signs are 1. At last the lanes are divided among all classes, with any other scales.
    """
    first, second = (x.ravel() for x in np.mgrid[0:256, 0:256])
    sides: list[list[list[Any]]] = [[[], [], []], [[], [], []]]
    for kind in range(5):
        for n, (row, code) in enumerate(zip(config.rows_ab, (first, second), strict=True)):
            sign = kind >> (1 - n) & 1
            codes = np.full((len(code), config.block), TOP | sign << 3)
            scales = [code, np.full(len(code), one_scale(row))]
            if kind == 4:
                codes = TOP | rng.integers(0, 2, codes.shape) << 3
                scales[1] = rng.integers(0, row.scale.max_magnitude + 1, len(code))
                sign = 0
            sign &= row.asymmetric  # one scale serves both signs
            for kept, made in zip(sides[n], (codes, scales[sign], scales[1 - sign]), strict=True):
                kept.append(made)
    a, b = (
        _flat(row, *(np.concatenate(part) for part in side))
        for row, side in zip(config.rows_ab, sides, strict=True)
    )
    return a, b


def cross(config: DotConfig, codes_a: Any, codes_b: Any, exponents: Ints) -> tuple[Blocks, Blocks]:
    """Blocks [steps, K] under scales whose product is 2^exponent, one for both signs."""
    half = exponents // 2
    a, b = (
        _flat(row, codes, power_code(row, e), power_code(row, e))
        for row, codes, e in zip(
            config.rows_ab, (codes_a, codes_b), (half, exponents - half), strict=True
        )
    )
    return a, b


def class_sums_cancel(
    rng: np.random.Generator, config: DotConfig, steps: int
) -> tuple[Blocks, Blocks, npt.NDArray[np.bool_]]:
    """Four class sums under scales far apart, two of which cancel, exactly or but for one lane.

    Returns
    -------
    a, b : Blocks
    cancels : bool [steps]
        Where the terms with one of the scales of A cancel, and it is the upper scale by far.
    """
    quarter = config.block // 4
    magnitudes = rng.integers(0, 8, (2, 2, steps, quarter))  # operand, sign of A, ...
    magnitudes[rng.random(magnitudes.shape) < 0.5] = 0
    # Lanes of A by sign: + + - -; of B: + - + -. Equal magnitudes in the first two cancel.
    codes_a = [magnitudes[0, 0], magnitudes[0, 0], magnitudes[0, 1] | 8, magnitudes[0, 1] | 8]
    other = np.where(
        rng.random((steps, 1)) < 0.5, magnitudes[1, 1], rng.permutation(magnitudes[1, 1])
    )
    codes_b = [magnitudes[1, 0], magnitudes[1, 0] | 8, magnitudes[1, 1], other | 8]
    spoiled = rng.random(steps) < 0.4
    codes_b[1] = codes_b[1].copy()
    codes_b[1][spoiled, 0] ^= 1

    def distances(share: float) -> Ints:
        spans = [(1, 5), (20, 48), (30, 60), (60, 126)]
        drawn = np.choose(rng.integers(0, 4, steps), [rng.integers(*s, steps) for s in spans])
        return np.where(rng.random(steps) < share, 0, drawn) * rng.choice([1, -1], steps)

    apart = [distances(0.05), distances(0.6)]
    base = [rng.integers(-40, 41, steps) for _ in apart]
    order = rng.permuted(np.tile(np.arange(config.block), (steps, 1)), axis=1)
    sides = []
    for row, codes, middle, gap in zip(
        config.rows_ab, (codes_a, codes_b), base, apart, strict=True
    ):
        lowest, highest = 0, row.scale.max_magnitude
        step = 1 << row.scale.mantissa_bits
        pos, neg = (
            np.clip(one_scale(row) + step * e, lowest, highest)
            for e in (middle + (gap + 1) // 2, middle - gap // 2)
        )
        shuffled = np.take_along_axis(np.concatenate(codes, axis=1), order, axis=1)
        sides.append(_flat(row, shuffled, pos, neg))
    any_product = (halves(codes_a[0]) * halves(codes_b[0])).any(axis=1)
    cancels = (apart[1] == 0) & (apart[0] > 30) & ~spoiled & any_product
    return sides[0], sides[1], cancels


def fractions_of(
    a: Blocks, b: Blocks, lengths: npt.NDArray[Any], config: DotConfig, sums: npt.NDArray[Any]
) -> npt.NDArray[np.uint8]:
    """Output payloads of some sums, calculated in fractions as the definitions are written.

    Returns
    -------
    uint8 [len(sums), bytes], as `expected_results` gives them for all sums
    """
    ends = np.cumsum(lengths)
    words, flags = [], []
    bits: dict[str, Any] = {"frac_bits": config.frac_bits, "int_bits": config.int_bits}
    for n in sums:
        pairs = []
        for step in range(int(ends[n] - lengths[n]), int(ends[n])):
            blocks = [
                reference.ExactBlock(
                    tuple(int(c) for c in side.codes[0, step]),
                    int(side.scale_pos[0, step]),
                    None if side.scale_neg is None else int(side.scale_neg[0, step]),
                    None if side.zero_point is None else int(side.zero_point[0, step]),
                )
                for side in (a, b)
            ]
            pairs.append(reference.dot_terms(blocks[0], blocks[1], *config.rows_ab))
        word, *raised = reference.accumulate(
            pairs, config.word, str(config.acc), **(bits if config.acc == "fixed" else {})
        )
        words.append(word)
        flags.append(raised)
    raised_flags = np.array(flags)[:, None] if config.acc == "fixed" else None
    return packed_results(np.array(words)[:, None], raised_flags, config)
