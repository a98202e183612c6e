"""Properties of dot products: how a unit is built changes no bit; flags say what they mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4.golden import Blocks
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import ACCUMULATIONS, CLASS_SUMS, PIPELINE, SCALING, DotConfig
from amxfp4.params.formats import FORMATS
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.products import directed, product_rotation
from amxfp4.verif.sim.products.products import check_products, expected_results, pick
from amxfp4.verif.sim.products.random_products import operand

BOUNDED = [f for f, row in FORMATS.items() if not row.power_of_two]
SHAPES = ((1, 1), (1, 3), (2, 2), (4, 2), (3, 1))
CONFIGURATIONS = 10
"""How many ways to build one dot product are drawn and compared at night."""


def _draw(rng: np.random.Generator, fields: dict[str, Any], n: int) -> DotConfig:
    """Draw one way to build a unit; the n-th shape, the rest by chance."""
    lanes = int(rng.choice(rotation.lane_counts(fields["block"])))
    mask = rng.integers(0, 2, len(PIPELINE)).astype(bool)
    how: dict[str, Any] = {
        "lanes": lanes,
        "class_sums": str(rng.choice(CLASS_SUMS)),
        "pipeline": ",".join(name for name, is_cut in zip(PIPELINE, mask, strict=True) if is_cut),
    }
    # By chance where it may be, else as it must.
    if DotConfig(**fields, **how).scaling == "serial":
        how["scaling"] = str(rng.choice(SCALING))
    if n % 2:
        rows, cols = SHAPES[n // 2 % len(SHAPES)]
        return ArrayConfig(**fields, **how, rows=rows, cols=cols)
    return DotConfig(**fields, **how)


def _tiled(x: Blocks, height: int, index: npt.NDArray[np.intp]) -> Blocks:
    """Rows `index` [tiles, height] of vectors [n, blocks, K] as steps [height, steps, K]."""
    blocks = x.codes.shape[1]
    rows = np.repeat(index.T, blocks, axis=1)
    step = np.tile(np.arange(blocks), len(index))
    return pick(x, (rows, np.broadcast_to(step, (height, len(step)))))


def _drawn(rng: np.random.Generator, acc: str) -> list[DotConfig]:
    """Draw formats and result of a product, and ways to build it."""
    formats = [str(f) for f in rng.choice(BOUNDED, 2)]
    fields: dict[str, Any] = {
        "format_a": formats[0], "format_b": formats[1], "acc": acc, "block": 16,
        "output": str(rng.choice(["fp32", "bf16"])),
    }  # fmt: skip
    return [_draw(rng, fields, n) for n in range(CONFIGURATIONS)]


@pytest.mark.parametrize(
    "drawn", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["ways", "drawn"]
)
@pytest.mark.parametrize(
    "acc",
    [a if a == "exact" else pytest.param(a, marks=pytest.mark.nightly) for a in ACCUMULATIONS],
)
def test_building_it_differently_changes_nothing(
    rng: np.random.Generator, seed: int, acc: str, drawn: bool
) -> None:
    """The same product through several units, of other lanes, pipelines, sums, scalings, shapes.

    By day these are units that a random test builds as well.
    """
    ways = [
        way for way in product_rotation.ways()[: product_rotation.WAYS_BY_DAY] if way.acc == acc
    ]
    configs = _drawn(rng, acc) if drawn else ways
    size, depth = 12, 3  # a multiple of every shape's sides
    a, b = (operand(rng, row, size, depth) for row in configs[0].rows_ab)
    seen = []
    for n, config in enumerate(configs):
        rows, cols = (config.rows, config.cols) if isinstance(config, ArrayConfig) else (1, 1)
        tiles = [
            (np.arange(i, i + rows), np.arange(j, j + cols))
            for i in range(0, size, rows)
            for j in range(0, size, cols)
        ]
        done = check_products(
            BatchDut(config),
            _tiled(a, rows, np.array([t[0] for t in tiles])),
            _tiled(b, cols, np.array([t[1] for t in tiles])),
            np.full(len(tiles), depth),
            stall_in=0.2 * (n % 3), stall_out=0.2 * (n % 2), seed=seed + n,
        )  # fmt: skip
        width = config.word.width // 8 * rows * cols
        words = done.outputs[:, :width].reshape(len(tiles), rows, cols, -1)
        matrix = np.empty((size, size, words.shape[-1]), np.uint8)
        for (i, j), tile in zip(tiles, words, strict=True):
            matrix[np.ix_(i, j)] = tile
        seen.append(matrix)
    assert len(seen) == len(configs) >= 3
    for other in seen[1:]:
        assert np.array_equal(seen[0], other)
    assert len(np.unique(seen[0].reshape(-1, seen[0].shape[-1]), axis=0)) > 20


@pytest.mark.parametrize("output", ["fp32", pytest.param("bf16", marks=pytest.mark.nightly)])
def test_exact_does_not_depend_on_the_order(rng: np.random.Generator, output: str) -> None:
    """Exact sums of the same blocks in another order are the same words."""
    config = DotConfig(block=16, lanes=4, output=output)
    dut = BatchDut(config)
    sums, depth = 2_000, 6
    a, b = (operand(rng, row, 1, sums * depth) for row in config.rows_ab)
    lengths = np.full(sums, depth)
    first = check_products(dut, a, b, lengths).outputs
    order = rng.permuted(np.arange(sums * depth).reshape(sums, depth), axis=1).reshape(1, -1)
    again = [pick(side, (np.zeros_like(order), order)) for side in (a, b)]
    assert np.array_equal(check_products(dut, again[0], again[1], lengths).outputs, first)


# Accumulators that cut below, inside and above the range of D, and ones with a single bit.
_BITS = ((0, 4), (4, 0), (6, 3), (12, 8), (20, 2), (24, 16), (32, 28), (0, 0))
_BY_DAY = {(0, 5), (0, 7), (1, 1), (1, 3), (1, 6)}
"""Of each kind one by day: places of format and bits."""


def _boundary_sums(
    rng: np.random.Generator, frac_bits: int, int_bits: int, row_exponents: tuple[int, int]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw sums of one to three terms: at 2^I and -2^I, one unit inside, a bit below 2^-F."""
    # Terms are magnitude * 2^exponent, with magnitudes of a product of two elements, in quarters.
    at_limit = [(1, int_bits), (1, int_bits - 1), (3, int_bits - 1), (3, int_bits - 2)]
    at_unit = [(1, -frac_bits), (1, -frac_bits - 1), (3, -frac_bits - 1), (3, -frac_bits)]
    near = [(1, int_bits - 1), (1, int_bits - 2), (1, -frac_bits)]
    kinds = [
        (code_a, code_b, exponent + 2)
        for magnitude, exponent in at_limit + at_unit + near
        for code_a, code_b in ([(1, 1)] if magnitude == 1 else [(3, 1), (1, 3)])
        if row_exponents[0] <= exponent + 2 <= row_exponents[1]
    ]
    lengths = rng.integers(1, 4, 4_000)
    chosen = rng.integers(0, len(kinds), lengths.sum())
    table = np.array(kinds)
    codes = np.zeros((2, len(chosen), 16), np.int64)
    codes[0, :, 5], codes[1, :, 5] = table[chosen, 0], table[chosen, 1]
    codes[0, :, 5] |= 8 * rng.integers(0, 2, len(chosen))
    codes[1, :, 5] |= 8 * rng.integers(0, 2, len(chosen))
    return codes[0], codes[1], table[chosen, 2], lengths


def _flag_cases() -> Iterator[Any]:
    """Either format with all bits; by day with some."""
    for (n, format), (k, bits) in itertools.product(
        enumerate(("amxfp4", "mxfp4-e5m2")), enumerate(_BITS)
    ):
        by_day = (n, k) in _BY_DAY
        yield pytest.param(format, *bits, marks=() if by_day else pytest.mark.nightly)


@pytest.mark.by_day(3)
@pytest.mark.parametrize(("format", "frac_bits", "int_bits"), list(_flag_cases()))
def test_flags_are_neither_missed_nor_false(
    rng: np.random.Generator, format: str, frac_bits: int, int_bits: int
) -> None:
    """Terms at 2^I and -2^I, one unit inside, and one bit below 2^-F, against exact fractions."""
    config = DotConfig(
        format_a=format, format_b=format, acc="fixed", block=16, lanes=2,
        frac_bits=frac_bits, int_bits=int_bits,
    )  # fmt: skip
    # Powers of two that two E5M2 scales have between them.
    codes_a, codes_b, exponents, lengths = _boundary_sums(rng, frac_bits, int_bits, (-32, 30))
    a, b = directed.cross(config, codes_a, codes_b, exponents)
    done = check_products(BatchDut(config), a, b, lengths)
    inexact, overflow = (done.outputs[:, 4] >> n & 1 for n in (0, 1))

    # The flags from their definition, in units of 2^-40 and as fractions, without golden.
    halves = directed.halves(codes_a[:, 5]) * directed.halves(codes_b[:, 5])
    limit = Fraction(2) ** int_bits
    at, wanted = 0, []
    for length in lengths:
        total, raised = Fraction(0), [False, False]
        for n in range(at, at + length):
            term = Fraction(int(halves[n]), 4) * Fraction(2) ** int(exponents[n])
            units = abs(term) * 2**frac_bits
            kept = Fraction(units.__floor__(), 2**frac_bits) * (1 if term > 0 else -1)
            raised[0] |= units.denominator != 1
            raised[1] |= not -limit <= kept < limit
            total += kept
            raised[1] |= not -limit <= total < limit
            total = (total + limit) % (2 * limit) - limit
        wanted.append(raised)
        at += length
    assert np.array_equal(np.stack([inexact, overflow], axis=1), np.array(wanted).astype(np.uint8))
    assert 50 < inexact.sum() < 3_950
    assert 50 < overflow.sum() < 3_950

    # Both clear: the exact result, bit for bit, of the RTL's own words.
    clear = np.flatnonzero((inexact | overflow) == 0)
    assert len(clear) > 50
    exact = DotConfig(format_a=format, format_b=format, acc="exact", block=16)
    words = expected_results(a, b, lengths, exact)
    assert np.array_equal(done.outputs[clear, :4], words[clear])


@pytest.mark.by_day(2)
@pytest.mark.parametrize("format", ["amxfp4", "nvfp4"])
def test_clear_flags_mean_exact(rng: np.random.Generator, format: str) -> None:
    """Random sums in fixed mode at the default bits: without a flag the exact unit agrees."""
    both = [
        DotConfig(format_a=format, format_b=format, acc=acc, block=16, lanes=4)
        for acc in ("fixed", "exact")
    ]
    sums = 10_000
    a, b = (operand(rng, row, 1, 2 * sums) for row in both[0].rows_ab)
    lengths = np.full(sums, 2)
    fixed, exact = (check_products(BatchDut(c), a, b, lengths).outputs for c in both)
    clear = fixed[:, 4] == 0
    assert sums // 10 < clear.sum()
    assert np.array_equal(fixed[clear, :4], exact[clear])
    wrong = (fixed[:, :4] != exact).any(axis=1)
    assert wrong.any() == (~clear).any()  # and with a flag they may differ, as some do
