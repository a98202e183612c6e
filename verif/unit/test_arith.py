"""The combinational pieces: exact assignment, comparison with fractions, maximum, counting."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from amaranth.hdl import C, Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from amxfp4.rtl.arith import assign_exact, at_least, balanced_max, count_ones

SHAPES = [Shape(width, sign) for sign in (False, True) for width in range(sign, 5)]


def _range(shape: Shape) -> range:
    half = 1 << max(shape.width - 1, 0)
    return range(-half, half) if shape.signed else range(1 << shape.width)


def _simulate(testbench, m: Module | None = None) -> None:
    simulator = Simulator(m or Module())
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("source", SHAPES, ids=repr)
@pytest.mark.parametrize("target", SHAPES, ids=repr)
def test_assign_exact_raises_when_lossy(target, source):
    """An assignment raises exactly when some value of the source is none of the target."""
    values = _range(source)
    if values[0] in _range(target) and values[-1] in _range(target):
        assign_exact(Signal(target), Signal(source))
    else:
        message = rf"^cannot assign {source!r} to {target!r} without losing bits$"
        with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
            assign_exact(Signal(target), Signal(source))


@pytest.mark.parametrize(
    ("target", "source", "fits"),
    [
        (unsigned(3), 7, True),
        (unsigned(3), 8, False),
        (unsigned(3), -1, False),
        (signed(3), -4, True),
        (signed(3), 4, False),
    ],
)
def test_assign_exact_constants(target, source, fits):
    """A constant is assigned if it fits, and is an error otherwise."""
    if fits:
        assign_exact(Signal(target), source)
    else:
        with pytest.raises(ValueError, match="without losing bits"):
            assign_exact(Signal(target), source)


def test_sim_assign_exact_keeps_values():
    """Signed and unsigned values arrive as they were."""
    source, target = Signal(signed(3)), Signal(signed(5))
    m = Module()
    m.d.comb += assign_exact(target, source)

    async def testbench(ctx):
        for value in range(-4, 4):
            ctx.set(source, value)
            assert ctx.get(target) == value

    _simulate(testbench, m)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("bits", range(5))
def test_at_least_is_exact(bits, strict):
    """Every fraction against bounds on, between and outside its values decides exactly."""
    fraction = Signal(bits)
    bounds = [Fraction(n, 3 << bits) for n in range(-(2 << bits), (8 << bits) + 1)]
    flags = [at_least(fraction, bits, bound, strict=strict) for bound in bounds]
    outcomes = set()

    async def testbench(ctx):
        for code in range(1 << bits):
            ctx.set(fraction, code)
            x = Fraction(code, 1 << bits)
            for bound, flag in zip(bounds, flags, strict=True):
                expected = x > bound if strict else x >= bound
                assert ctx.get(flag) == expected, (x, bound)
                outcomes.add((bound == x, expected))

    _simulate(testbench)
    assert outcomes == {(True, not strict), (False, False), (False, True)}


@pytest.mark.parametrize("strict", [False, True])
def test_at_least_outside_is_constant(strict):
    """Bounds no fraction can miss or meet cost no comparison."""
    fraction = Signal(4)
    for bound, expected in ((Fraction(-1), 1), (Fraction(1), 0), (Fraction(7, 2), 0)):
        flag = at_least(fraction, 4, bound, strict=strict)
        assert isinstance(flag, type(C(0))), bound
        assert flag.value == expected


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 33])
def test_sim_balanced_max(rng, count):
    """The largest of any number of values, of different widths, wherever it stands."""
    widths = [2 + n % 3 for n in range(count)]
    values = [Signal(width, name=f"value_{n}") for n, width in enumerate(widths)]
    m = Module()
    largest = balanced_max(m, values, "largest")
    assert len(largest) == max(widths)
    places = set()

    async def testbench(ctx):
        cases = [[int(rng.integers(0, 1 << width)) for width in widths] for _ in range(40)]
        # One large value among zeros, in every place, and all equal.
        cases += [[(n == k) * 3 for n in range(count)] for k in range(count)] + [[2] * count]
        if sum(widths) <= 9:
            cases = list(itertools.product(*(range(1 << width) for width in widths)))
        for case in cases:
            for signal, value in zip(values, case, strict=True):
                ctx.set(signal, value)
            assert ctx.get(largest) == max(case), case
            places.add(case.index(max(case)))

    _simulate(testbench, m)
    assert places == set(range(count))


@pytest.mark.parametrize("count", range(8))
def test_sim_count_ones(count):
    """The number of ones, for every pattern of up to seven flags."""
    flags = Signal(count)
    total = count_ones(list(flags))

    async def testbench(ctx):
        for pattern in range(1 << count):
            ctx.set(flags, pattern)
            assert ctx.get(total) == pattern.bit_count()

    _simulate(testbench)
