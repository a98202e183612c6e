"""Random sums of dot products through `dot` and `array`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks, formats, stimulus
from amxfp4.golden.blocks import by_name
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BlockFormat
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.batch.randoms import reset_runs
from amxfp4.verif.sim.products.products import check_products, tile_of

__all__ = [
    "Tally",
    "check_random_products",
    "check_random_resets",
    "negated",
    "operand",
    "operands",
    "tensor",
]

_ELEMENTS = 1 << 21
"""Element pairs of one batch at most: a million blocks need no more memory than these."""

_PERIOD = 8
"""Sums are at most this long; half of them are of length one."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What was compared; never nothing."""

    pairs: int
    """Block pairs that entered a compared result."""
    sums: int
    resets: int


def tensor(
    row: BlockFormat,
    codes: npt.NDArray[Any],
    pos: npt.NDArray[Any],
    other: npt.NDArray[Any] | None = None,
) -> Blocks:
    """Codes [rows, steps, K] and scale codes [rows, steps] as blocks; `other` only where it is.

    Without it the negative scales are the positive ones, and zero points 0.
    """
    shape = (codes.shape[0], codes.shape[1] * codes.shape[2])
    codes, pos = (np.ascontiguousarray(x, np.uint8) for x in (codes, pos))
    second = None
    if row.shared > 1:
        usual = np.zeros_like(pos) if row.zero_point else pos
        second = usual if other is None else np.ascontiguousarray(other, np.uint8)
    return Blocks(codes, pos, format=row.name, shape=shape, **by_name(row, second))


def operand(rng: np.random.Generator, row: BlockFormat, rows: int, steps: int) -> Blocks:
    """Draw [rows, steps, K]: half any codes at all, half what a quantizer makes of activations."""
    total = rows * steps
    count = -(-total // 2)
    drawn = stimulus.records(rng, count, row)
    words = stimulus.blocks(rng, total - count, row.block, "bf16", formats=[row.name])
    made = golden.quantize(formats.values(words, "bf16"), row.name, block=row.block)
    order = rng.permutation(total)
    parts: list[npt.NDArray[np.uint8]] = []
    for left, right in zip(drawn, (made.codes, *made.shared), strict=False):
        assert left is not None
        both = np.concatenate([left, right.reshape(total - count, *left.shape[1:])])
        parts.append(both[order].reshape(rows, steps, *left.shape[1:]))
    return tensor(row, *parts)


def negated(x: Blocks) -> Blocks:
    """Blocks of the opposite values: signs change, and so does whose scale is whose.

    Of two's complement -8 has no opposite, and stays.
    """
    pos, neg = x.scale_pos, x.scale_neg
    if x.zero_point is not None:
        most = np.uint8(x.row.element.max_magnitude)
        return dataclasses.replace(x, codes=most - x.codes, zero_point=most - x.zero_point)
    if x.row.element.twos_complement:
        return dataclasses.replace(x, codes=-x.codes & np.uint8(15))
    if neg is not None:
        pos, neg = neg, pos
    return Blocks(x.codes ^ np.uint8(8), pos, neg, x.format, x.shape, x.axis)


def _cancel(
    rng: np.random.Generator, a: Blocks, b: Blocks, lengths: npt.NDArray[np.int64]
) -> tuple[Blocks, Blocks]:
    """Let the second step of some sums take away what the first one added, or nearly so."""
    starts = (np.cumsum(lengths) - lengths)[lengths > 1]
    first = starts[rng.random(len(starts)) < 0.25]
    opposite = negated(a)
    changed = []
    for side, source in ((a, opposite), (b, b)):
        codes = side.codes.copy()
        codes[:, first + 1] = source.codes[:, first]
        shared = [own.copy() for own in side.shared]
        for own, other in zip(shared, source.shared, strict=True):
            own[:, first + 1] = other[:, first]
        if side is b:
            # In half of them one element is another magnitude: what is left is small.
            spoiled = first[rng.random(len(first)) < 0.5] + 1
            lane = rng.integers(0, side.block, len(spoiled))
            codes[:, spoiled, lane] ^= 1
        changed.append(tensor(side.row, codes, *shared))
    return changed[0], changed[1]


def operands(
    rng: np.random.Generator, config: DotConfig, steps: int
) -> tuple[Blocks, Blocks, npt.NDArray[np.int64]]:
    """Draw `steps` steps of both operands and the lengths of the sums they make."""
    lengths = np.where(rng.random(steps) < 0.5, 1, rng.integers(1, _PERIOD + 1, steps))
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), steps)) + 1]
    lengths[-1] -= lengths.sum() - steps
    counts = tile_of(config)
    a, b = (operand(rng, r, n, steps) for r, n in zip(config.rows_ab, counts, strict=True))
    a, b = _cancel(rng, a, b, lengths)
    return a, b, lengths


def check_random_products(
    dut: BatchDut, rng: np.random.Generator, pairs: int, *, seed: int = 0, **options: Any
) -> Tally:
    """Compare random sums with golden, in batches, until `pairs` block pairs have entered.

    Parameters
    ----------
    dut
        A dot product or an array.
    rng
        Source of the blocks.
    pairs
        Block pairs at least, 1 or more; an array takes rows * cols of them in a step.
    seed
        Of stalls and resets; each batch has its own.
    **options
        Further ones of `BatchDut.run`.

    Raises
    ------
    Mismatch, ContractError
        As `check_products`.
    ValueError
        Nothing would be compared.
    """
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, not {pairs!r}")
    config = dut.config
    per_step = int(np.prod(tile_of(config)))
    size = max(1, _ELEMENTS // (config.block * max(tile_of(config))))
    left, sums, resets, steps, batch = -(-pairs // per_step), 0, 0, 0, 0
    while left:
        count = min(left, size)
        done = check_products(dut, *operands(rng, config, count), seed=seed + batch, **options)
        left, steps, batch = left - count, steps + count, batch + 1
        sums, resets = sums + done.count, resets + done.resets
    return Tally(pairs=steps * per_step, sums=sums, resets=resets)


def check_random_resets(
    dut: BatchDut, rng: np.random.Generator, seed: int, runs: int = 20
) -> Tally:
    """Compare short batches as `amxfp4.verif.sim.batch.randoms.reset_runs` says."""
    done = [check_random_products(dut, rng, 10, **how) for how in reset_runs(dut, seed, runs)]
    return Tally(**{f.name: sum(getattr(d, f.name) for d in done) for f in fields(Tally)})
