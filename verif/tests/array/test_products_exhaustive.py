"""Dot products with nothing left out: codes, ends of ranges, ties, cancellation.

Every result is compared with golden, and a sample of it with fractions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4.golden import Blocks, formats, stimulus
from amxfp4.params.dot import CLASS_SUMS, DotConfig
from amxfp4.params.formats import FORMATS, OUTPUTS
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.products import directed, ends
from amxfp4.verif.sim.products.directed import one_scale
from amxfp4.verif.sim.products.products import check_products
from amxfp4.verif.sim.products.random_products import negated, tensor

# Few lanes, which build fast; and most tests are content with one of a few units.
SMALL: dict[str, Any] = {"block": 16, "lanes": 4}
ASYMMETRIC_E5M2 = ("amxfp4", "amxfp4")
MODES = ("exact", "fixed", "fp32")


def _case(*values: Any, by_day: bool) -> Any:
    """Leave a case to the night, or not."""
    return pytest.param(*values, marks=() if by_day else pytest.mark.nightly)


def compared(
    config: DotConfig,
    rng: np.random.Generator,
    a: Blocks,
    b: Blocks,
    lengths: npt.NDArray[Any] | None = None,
    sample: int = 200,
) -> npt.NDArray[np.unsignedinteger]:
    """Compare with golden, a sample with fractions; return the result words."""
    if lengths is None:
        lengths = np.ones(a.codes.shape[1], np.int64)
    done = check_products(BatchDut(config), a, b, lengths)
    assert done.count == len(lengths)
    if sample:
        chosen = np.unique(rng.integers(0, len(lengths), sample))
        third = directed.fractions_of(a, b, lengths, config, chosen)
        assert np.array_equal(done.outputs[chosen], third)
    size = config.word.width // 8
    return np.ascontiguousarray(done.outputs[:, :size]).view(f"<u{size}")[:, 0]


def _element_cases() -> Iterator[Any]:
    """Every structure of classes with every way to sum: by day each of them once."""
    pairs = [ASYMMETRIC_E5M2, ("amxfp4-e4m3", "mxfp4-e5m2"), ("nvfp4", "amxfp4"), ("mxfp4",) * 2]
    usual = CLASS_SUMS.index(DotConfig().class_sums)
    for (n, pair), (k, kind) in itertools.product(enumerate(pairs), enumerate(CLASS_SUMS)):
        yield _case(*pair, kind, by_day=n == k + 1 or (n, k) == (0, usual))


@pytest.mark.by_day(2)
@pytest.mark.parametrize(("format_a", "format_b", "class_sums"), list(_element_cases()))
def test_element_pairs(
    rng: np.random.Generator, format_a: str, format_b: str, class_sums: str
) -> None:
    """All 256 pairs of element codes, alone in every lane and in all lanes."""
    config = DotConfig(format_a=format_a, format_b=format_b, class_sums=class_sums, **SMALL)
    a, b = directed.element_pairs(config)
    assert a.codes.shape[1] == 256 * 17
    words = compared(config, rng, a, b)
    # One positive element alone against one, all scales 1: the product itself.
    values = formats.values(words, "fp32").reshape(256, 17)
    positive = [n for n in range(256) if not n & 0x88]
    codes = np.array(positive)
    products = directed.halves(codes >> 4) * directed.halves(codes & 15) / 4
    assert np.array_equal(values[positive, 3], products.astype(np.float32))
    assert np.array_equal(values[positive, 16], 16 * products.astype(np.float32))


def _scale_cases() -> list[tuple[str, str, str, bool]]:
    """Pairs of formats, their mode, and whether by day: there each mode and pair occurs once."""
    bounded = [ASYMMETRIC_E5M2, ("amxfp4-e4m3", "amxfp4-e4m3"), ("amxfp4", "amxfp4-e4m3")]
    powers = [("amxfp4-pot", "amxfp4-pot"), ("amxfp4-pot", "amxfp4"), ("mxfp4", "mxfp4-e5m2")]
    cases = [
        (*pair, acc, n == k)
        for (n, pair), (k, acc) in itertools.product(enumerate(bounded), enumerate(MODES))
    ]
    cases.append(("amxfp4-ue5m3", "nvfp4-ue5m3", "exact", False))
    return cases + [(*pair, "fp32", "amxfp4" not in pair) for pair in powers]


@pytest.mark.by_day(4)
@pytest.mark.parametrize(
    ("format_a", "format_b", "acc"),
    [_case(*case, by_day=by_day) for *case, by_day in _scale_cases()],
)
def test_scale_pairs(rng: np.random.Generator, format_a: str, format_b: str, acc: str) -> None:
    """All pairs of scale codes with class sums at both ends of their range."""
    how: dict[str, Any] = {} if acc == "exact" else {"scaling": "parallel"}
    config = DotConfig(format_a=format_a, format_b=format_b, acc=acc, **how, **SMALL)
    a, b = directed.scale_pairs(rng, config)
    words = compared(config, rng, a, b).reshape(5, 256, 256)
    # Every pair with a NaN code, of either bit 7, is NaN, and no other is, in all four classes.
    nan = [
        np.isnan(formats.decode(np.arange(256, dtype=np.uint8), row.scale))
        for row in config.rows_ab
    ]
    wanted = nan[0][:, None] | nan[1][None, :]
    assert ((words[:4] & 0x7FFFFFFF) > 0x7F800000).tolist() == [wanted.tolist()] * 4
    assert (words[:4] == 0x7FC00000).sum() == 4 * wanted.sum()
    for row, half in zip(config.rows_ab, (words[:4], words[:4].swapaxes(1, 2)), strict=True):
        if row.scale.signed_bit:
            assert np.array_equal(half[:, :128], half[:, 128:])


def _longest_cases() -> Iterator[Any]:
    """List all cases; by day each format, mode, shape and word once at least."""
    for (n, format), (k, acc), small, output in itertools.product(
        enumerate(("amxfp4", "nvfp4")), enumerate(("exact", "fixed")), (True, False), OUTPUTS
    ):
        by_day = (n, k) != (1, 0) and small == (n == k) and small == (output == "fp32")
        yield _case(format, acc, *((16, 4) if small else (128, 8)), output, by_day=by_day)


@pytest.mark.by_day(8)
@pytest.mark.parametrize(("format", "acc", "block", "lanes", "output"), list(_longest_cases()))
def test_longest_sums_of_largest_blocks(
    rng: np.random.Generator, format: str, acc: str, block: int, lanes: int, output: str
) -> None:
    """4096 blocks of the largest D, of either sign, and what is left when they cancel."""
    config = DotConfig(
        format_a=format, format_b=format, acc=acc, block=block, lanes=lanes, output=output
    )
    row, most = config.rows_ab[0], 4096
    a, b, lengths = ends.longest_sums(config, most)
    words = compared(config, rng, a, b, lengths, sample=0 if block > 16 else 3)
    nan = config.word.nan_magnitude
    assert [int(words[n]) for n in (2, 7, 8, 9, 10)] == [0, 0, nan, 0, nan]
    if acc == "exact":
        largest = float(formats.magnitude_value(row.scale, row.scale.max_magnitude))
        total = np.array([most * block * 36 * largest**2], np.float64)
        top = int(formats.words(total.astype(np.float32), output)[0])
        assert [int(w) for w in words[:2]] == [top, top | 1 << (config.word.width - 1)]
        assert words[5] == words[6] == words[11] != 0


def _finite(
    rng: np.random.Generator, config: DotConfig, steps: int, spread: int = 40
) -> list[Blocks]:
    """Draw records without NaN; power-of-two scales keep far from the ends of FP32."""
    sides = []
    for row in config.rows_ab:
        codes, pos, neg = stimulus.records(rng, steps, row, nan=0)
        scales = [pos, pos if neg is None else neg]
        if not row.scale.signed_bit:
            one = one_scale(row)
            scales = [np.clip(s, one - spread, one + spread) for s in scales]
        sides.append(tensor(row, codes[None], scales[0][None], scales[1][None]))
    return sides


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    ("format_a", "format_b", "acc"),
    [
        *(_case(*ASYMMETRIC_E5M2, acc, by_day=acc != "fixed") for acc in MODES),
        ("nvfp4", "amxfp4-e4m3", "fixed"),
        ("amxfp4-pot", "amxfp4-pot", "fp32"),
    ],
)
def test_cancellation_is_positive_zero(
    rng: np.random.Generator, format_a: str, format_b: str, acc: str
) -> None:
    """A block and its opposite are +0: in either order, in two steps and within one block."""
    config = DotConfig(format_a=format_a, format_b=format_b, acc=acc, **SMALL)
    a, b = _finite(rng, config, 20_000)
    codes = a.codes.copy()
    codes[0, 1::2] = codes[0, ::2] ^ 8
    opposite = negated(a)
    sides: list[Any] = []
    for own, other in ((a.scale_pos, opposite.scale_pos), (a.scale_neg, opposite.scale_neg)):
        if own is None or other is None:
            sides.append(None)
            continue
        scale = own.copy()
        scale[0, 1::2] = other[0, ::2]
        sides.append(scale)
    two = tensor(a.row, codes, sides[0], sides[1])
    again = [None if x is None else x[:, ::2].repeat(2, axis=1) for x in (b.scale_pos, b.scale_neg)]
    assert again[0] is not None
    same = tensor(b.row, b.codes[:, ::2].repeat(2, axis=1), again[0], again[1])
    words = compared(config, rng, two, same, np.full(10_000, 2))
    assert (words == 0).all()
    assert (compared(config, rng, two, same, sample=20) != 0).mean() > 0.5

    # Within a block, one scale for both signs of A: the second half of the lanes is the opposite.
    codes = a.codes.copy()
    codes[..., 8:] = codes[..., :8] ^ 8
    codes_b = b.codes.copy()
    codes_b[..., 8:] = codes_b[..., :8]
    inside = tensor(a.row, codes, a.scale_pos)
    words = compared(config, rng, inside, tensor(b.row, codes_b, b.scale_pos, b.scale_neg))
    assert (words == 0).all()


@pytest.mark.by_day(3)
@pytest.mark.parametrize(
    ("format_a", "format_b", "output"),
    [
        ("amxfp4-pot", "amxfp4-pot", "fp32"), ("amxfp4-pot", "amxfp4-pot", "bf16"),
        ("mxfp4", "mxfp4", "fp32"), _case("mxfp4", "mxfp4", "bf16", by_day=False),
    ],
)  # fmt: skip
def test_ends_of_the_output(
    rng: np.random.Generator, format_a: str, format_b: str, output: str
) -> None:
    """Around the smallest subnormal and the largest finite result; infinity less infinity."""
    config = DotConfig(format_a=format_a, format_b=format_b, output=output, **SMALL)
    a, b, lengths = ends.around_ends(rng, config, 60_000)
    words = compared(config, rng, a, b, lengths)
    sign, infinity = 1 << (config.word.width - 1), config.word.inf_magnitude
    assert infinity is not None
    for word in (1, sign | 1, 0, 2, infinity, sign | infinity):
        assert (words == word).sum() > 10, hex(word)
    # Added to +0, a D that rounds to -0 is +0; only a sum that becomes BF16 can round to -0 itself.
    assert ((words == sign).sum() > 10) == (output == "bf16")
    assert (words == config.word.nan_magnitude).sum() > 10  # infinity less infinity


@pytest.mark.by_day(2)
@pytest.mark.parametrize("output", ["fp32", "bf16"])
def test_overflow_by_rounding(rng: np.random.Generator, output: str) -> None:
    """Half a unit above the largest finite result is infinity, anything less is not."""
    config = DotConfig(format_a="amxfp4-pot", format_b="amxfp4-pot", output=output, **SMALL)
    # Products 12 * 12, 12 * 6, 6 * 6 and 3 * 1 in quarters: 255, eight bits of ones.
    ones = (np.array([7, 7, 5, 3]), np.array([7, 5, 5, 1]))
    single = (np.array([1]), np.array([1]))
    pieces = [(ones, 120), (ones, 112), (ones, 104)]
    if output == "bf16":
        pieces = pieces[:1]
    half = 103 if output == "fp32" else 119
    cases = [[], [(single, half)], [(ones, half - 8)], [(single, half - 1)], [(single, half + 1)]]
    cases += [[(single, half - 1), (single, half - 1)], [(ones, half - 8), (single, half - 8)]]
    codes, exponents, lengths = [], [], []
    for sign in (0, 8):
        for case in cases:
            lengths.append(len(pieces) + len(case))
            for (left, right), exponent in pieces + case:
                pair = np.zeros((2, 16), np.int64)
                pair[0, : len(left)], pair[1, : len(right)] = left | sign, right
                codes.append(pair)
                exponents.append(exponent + 2)  # of quarters
    both = np.array(codes)
    a, b = directed.cross(config, both[:, 0], both[:, 1], np.array(exponents))
    words = compared(config, rng, a, b, np.array(lengths)).reshape(2, -1)
    top, infinity = config.word.max_magnitude, config.word.inf_magnitude
    # In FP32 each addition rounds: two quarters of a unit are lost one by one.
    steps = [top, infinity, top, top, infinity, top if output == "fp32" else infinity]
    assert (words[0, :6].tolist(), (words[1, :6] ^ words[0, :6]).tolist()) == (
        steps,
        [1 << (config.word.width - 1)] * 6,
    )


def _tie_cases() -> Iterator[Any]:
    """Every format, mode and word: by day any two of them meet, and powers of two in both words."""
    for (n, format), (k, acc), output in itertools.product(
        enumerate(("amxfp4", "nvfp4")), enumerate(MODES), OUTPUTS
    ):
        yield _case(format, acc, output, by_day=(output == "fp32") == ((n + k) % 2 == 0))
    for output in OUTPUTS:
        yield _case("amxfp4-pot", "fp32", output, by_day=True)


@pytest.mark.by_day(3)
@pytest.mark.parametrize(("format", "acc", "output"), list(_tie_cases()))
def test_rounding_ties(rng: np.random.Generator, format: str, acc: str, output: str) -> None:
    """Sums halfway between two results go to the even one; the least bit more or less decides."""
    bits: dict[str, Any] = {"frac_bits": 30, "int_bits": 40} if acc == "fixed" else {}
    config = DotConfig(format_a=format, format_b=format, acc=acc, output=output, **SMALL, **bits)
    precision = config.word.mantissa_bits + 1
    a, b, lengths, total, least = ends.rounding_ties(rng, config, 8_000)
    words = compared(config, rng, a, b, lengths)
    magnitude, breaks = abs(total), least != 0
    in_binade = np.array([int(m).bit_length() for m in magnitude]) == precision + 1
    tie = in_binade & (magnitude % 2 == 1) & ~breaks
    odd = magnitude >> 1 & 1
    for negative in (False, True):
        for up in (0, 1):
            chosen = tie & ((total < 0) == negative) & (odd == up)
            assert chosen.sum() > 100, (negative, up)
            # The word's last places are those of the even neighbour.
            kept = (magnitude[chosen] >> 1) + up
            mask = (1 << config.word.mantissa_bits) - 1
            assert np.array_equal(words[chosen] & mask, kept & mask)
    if acc != "fp32":
        decided = in_binade & (magnitude % 2 == 1) & breaks
        up = (least > 0) == (total > 0)
        for direction in (False, True):
            chosen = decided & (up == direction)
            assert chosen.sum() > 100
            kept = (magnitude[chosen] >> 1) + direction
            assert np.array_equal(words[chosen] & mask, kept & mask)


def _cancelling_cases() -> Iterator[Any]:
    """Pairs with a power of two, and words: by day all pairs but one, and one with both words."""
    pairs = [
        (("amxfp4-pot", "amxfp4-pot"), OUTPUTS),
        (("amxfp4-pot-roundup", "amxfp4"), ("fp32",)),
        (("amxfp4-pot", "mxfp4"), ("bf16",)),
        (("amxfp4", "amxfp4-pot"), ()),
    ]
    for (pair, by_day), output in itertools.product(pairs, OUTPUTS):
        yield _case(*pair, output, by_day=output in by_day)


@pytest.mark.by_day(4)
@pytest.mark.parametrize(("format_a", "format_b", "output"), list(_cancelling_cases()))
def test_upper_terms_cancel(
    rng: np.random.Generator, format_a: str, format_b: str, output: str
) -> None:
    """Terms hundreds of places apart of which the upper ones cancel: the rest is exact."""
    config = DotConfig(format_a=format_a, format_b=format_b, output=output, **SMALL)
    a, b, cancels = directed.class_sums_cancel(rng, config, 60_000)
    words = compared(config, rng, a, b, sample=600)
    assert format_a == "amxfp4" or (cancels & (words != 0)).sum() > 500
    # And the results meet each other: infinities and rests in one sum.
    compared(config, rng, a, b, np.full(20_000, 3), sample=100)


def test_formats_here_are_of_every_scale() -> None:
    """What is exhaustive over scale codes is so for every scale there is."""
    met = {FORMATS[f].scale.name for *pair, _, _ in _scale_cases() for f in pair}
    assert met == {row.scale.name for row in FORMATS.values()}
