# amaranth: UnusedElaboratable=no
"""Ideas that are measured do what the steps in use do: exactly that."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.synth.experiments.dot_ideas import IDEAS, Idea
from amxfp4.synth.flow.job import parts

CONFIG = DotConfig()
WIDTHS = DotWidths(CONFIG)
HALVES = [0, 1, 2, 3, 4, 6, 8, 12]
Case = tuple[dict[str, int], int]


def products(rng: np.random.Generator) -> list[Case]:
    return [({"a": a, "b": b}, HALVES[a] * HALVES[b]) for a in range(8) for b in range(8)]


def terms(rng: np.random.Generator) -> list[Case]:
    cases = []
    for n in range(120):
        value = WIDTHS.sum_bound if n % 3 == 0 else int(rng.integers(0, WIDTHS.sum_bound + 1))
        a, b = (7, 7) if n % 5 == 0 else (int(f) for f in rng.integers(0, 8, 2))
        cases.append(({"value": value, "a": a, "b": b}, value * a * b))
    return cases


def alignments(rng: np.random.Generator) -> list[Case]:
    width = WIDTHS.term.width
    cases = []
    for n in range(120):
        # All lanes in one class, or a quarter in each: within D's bound.
        most = [WIDTHS.term_bound, 0, 0, 0] if n % 2 else [WIDTHS.term_bound // 4] * 4
        given = [int(rng.integers(0, bound + 1)) for bound in rng.permutation(most)]
        # The largest significands do not come with the largest shift.
        a, b = ([int(s) for s in rng.integers(0, 29, 2)] for _ in range(2))
        expected = sum(
            (1 if i == j else -1) * given[2 * i + j] << (a[i] + b[j])
            for i in range(2)
            for j in range(2)
        )
        packed = sum(t << width * k for k, t in enumerate(given))
        cases.append(({"terms": packed, "a": a[0] | a[1] << 5, "b": b[0] | b[1] << 5}, expected))
    return cases


def words(rng: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(120):
        number = (
            int(rng.integers(0, 1 << 30)) << int(rng.integers(0, 58)) >> int(rng.integers(0, 9))
        )
        sign = int(rng.integers(0, 2))
        # Python rounds a quotient of integers to nearest even; 24 bits are an FP32 significand.
        below = max(number.bit_length() - 24, 0)
        value = np.float32(round(Fraction(number, 1 << below)) * 2.0 ** (below + WIDTHS.unit))
        word = int((-value if sign and number else value).view(np.uint32))
        cases.append(({"number": -number if sign else number}, word))
    return cases


def integers(rng: np.random.Generator) -> list[Case]:
    cases = []
    for n in range(70):
        codes = rng.integers(0, 16, (2, CONFIG.lanes))
        zeros = rng.integers(0, 16, 2)
        if n % 3 == 0:  # all at one end, and the zero points at either
            codes[:], zeros = 15 * rng.integers(0, 2, (2, 1)), 15 * rng.integers(0, 2, 2)
        packed = [sum(int(c) << 4 * k for k, c in enumerate(side)) for side in codes]
        given = {"a": packed[0], "b": packed[1], "zero_a": int(zeros[0]), "zero_b": int(zeros[1])}
        cases.append((given, int(((codes[0] - zeros[0]) * (codes[1] - zeros[1])).sum())))
    return cases


CASES: dict[str, Callable[[np.random.Generator], list[Case]]] = {
    "product": products, "integers": integers, "term": terms, "align": alignments, "round": words,
}  # fmt: skip


def check(unit: Idea, cases: list[Case]) -> int:
    """Compare every case; how many there were."""
    m = Module()
    m.submodules.unit = unit

    async def testbench(ctx):
        for given, expected in cases:
            for name, value in given.items():
                ctx.set(getattr(unit, name), value)
            assert ctx.get(unit.result) == expected, given

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return len(cases)


FUNCTIONS = [name for name in IDEAS if not name.startswith("sums")]
SUMS = [name for name in IDEAS if name.startswith("sums")]


@pytest.mark.by_day(2)
@pytest.mark.parametrize("name", SUMS)
def test_sim_sums_are_exact(rng, name):
    """Sums of random lanes, and of lanes that are all largest and in one class, are exact."""
    config = DotConfig(lanes=16)  # four groups of four lanes, so that much is left to add
    unit = IDEAS[name](config)
    m = Module()
    m.submodules.unit = unit

    async def testbench(ctx):
        for n in range(5):
            codes = rng.integers(0, 16, (2, config.lanes))
            if n % 4 == 0:
                codes[:] = rng.choice([7, 15], (2, 1))
            expected = [0] * 4
            for lane, (a, b) in enumerate(codes.T):
                ctx.set(unit.a[lane], int(a))
                ctx.set(unit.b[lane], int(b))
                expected[2 * (a >> 3) + (b >> 3)] += HALVES[a & 7] * HALVES[b & 7]
            assert [ctx.get(unit.sums[c]) for c in range(4)] == expected

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sim_idea_is_exact(rng, name):
    """Each idea has the exact result: all products, random terms, alignments and sums."""
    cases = CASES[name.partition("_")[0]](rng)
    assert check(IDEAS[name](CONFIG), cases) >= 64


def test_planted_error_is_caught(rng):
    """An idea that forgets the subnormal element is not exact."""
    wrong = Idea({"a": 3, "b": 3}, 8, lambda m, a, b: (a * b)[:8])
    with pytest.raises(AssertionError):
        check(wrong, products(rng))


def test_ideas_are_components():
    """Each can be generated and synthesized by name."""
    assert {f"idea_{name}" for name in IDEAS} <= set(parts("dot"))


@pytest.mark.parametrize("name", ["align_nested", "round_negated", "term_bit_by_bit"])
def test_init_wrong_config(name):
    """Ideas for four terms and exact sums say so."""
    with pytest.raises(ValueError, match="asymmetric and exact, not mxfp4 x mxfp4"):
        IDEAS[name](DotConfig(format_a="mxfp4", format_b="mxfp4"))
