"""The combinational pieces: assignment, comparison, maximum, counting, digits, shifts."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from amaranth.hdl import C, Module, Shape, Signal
from amaranth.sim import Simulator

from amxfp4.rtl.lib import arith
from amxfp4.rtl.lib.arith import (
    assign_low,
    at_least,
    count_ones,
    gated,
    shift_left,
    times_small,
)
from amxfp4.verif.check import planted

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
def test_sim_assign_low_keeps_the_low_bits(target, source):
    """What arrives is the source's value modulo the target's range, whatever the signs."""
    a, b = Signal(source), Signal(target)
    m = Module()
    m.d.comb += assign_low(b, a)
    values = _range(target)

    async def testbench(ctx):
        for value in _range(source):
            ctx.set(a, value)
            # A source narrower than the target is only extended by `eq`, by its own sign.
            expected = value if value in values else (value - values[0]) % len(values) + values[0]
            if source.width < target.width and not source.signed:
                expected = value
            low = value % (1 << min(target.width, source.width))
            assert ctx.get(b) % (1 << min(target.width, source.width)) == low
            if source.width >= target.width:
                assert ctx.get(b) == expected

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


MAXIMA = ("balanced_max", "scan_max")


def _check_largest(rng, name, widths) -> None:
    """Assert that the largest value is found, for all of them if they are few, in every place."""
    count = len(widths)
    values = [Signal(width, name=f"value_{n}") for n, width in enumerate(widths)]
    m = Module()
    largest = getattr(arith, name)(m, values, "largest")
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


@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 33])
def test_sim_maximum(rng, name, count):
    """The largest of any number of values, of different widths, wherever it stands."""
    _check_largest(rng, name, [2 + n % 3 for n in range(count)])


@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("widths", [[1], [1] * 9, [3] * 3, [4, 4], [1, 5, 3], [5, 1, 3], [2] * 4])
def test_exhaustive_maximum(rng, name, widths):
    """All values of few bits."""
    _check_largest(rng, name, widths)


@pytest.mark.parametrize(
    ("old", "new"),
    [("c & (b | ~largest)", "c & b"),
     ("c & (b | ~largest)", "c"),
     ("(c & b for", "(b for"),
     ("reversed(range(max(map(len, values))))", "range(max(map(len, values)))"),
     ("value[n] if n < len(value) else C(0, 1)", "value[min(n, len(value) - 1)]")],
)  # fmt: skip
def test_checks_find_wrong_scans(rng, monkeypatch, old, new):
    """Candidates that are forgotten, or stay, and bits looked at in the wrong order are found."""
    planted.bug(monkeypatch, "lib.arith", old, new)
    with pytest.raises(AssertionError):
        _check_largest(rng, "scan_max", [3, 2, 4])


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


@pytest.mark.parametrize("bits", range(1, 6))
@pytest.mark.parametrize("shape", [s for s in SHAPES if s.width], ids=repr)
def test_sim_times_small(shape, bits):
    """Every value times every factor of up to five bits, and the width that is enough for it."""
    value, factor = Signal(shape), Signal(bits)
    m = Module()
    product = times_small(m, value, factor, "product")

    async def testbench(ctx):
        for v, f in itertools.product(_range(shape), range(1 << bits)):
            ctx.set(value, v)
            ctx.set(factor, f)
            assert ctx.get(product) == v * f, (v, f)

    _simulate(testbench, m)
    assert product.shape().signed


@pytest.mark.parametrize("source", [s for s in SHAPES if s.width], ids=repr)
def test_sim_gated(source):
    """A gate lets a value through, extended by its own sign, or gives zero."""
    value, gate = Signal(source), Signal()
    targets = [Shape(width, source.signed) for width in range(source.width, 7)]
    words = [gated(value, gate, target) for target in targets]
    assert [word.shape() for word in words] == targets

    async def testbench(ctx):
        for v, g in itertools.product(_range(source), (0, 1)):
            ctx.set(value, v)
            ctx.set(gate, g)
            assert [ctx.get(word) for word in words] == [v * g] * len(words)

    _simulate(testbench)


@pytest.mark.parametrize("width", [1, 2, 4, 5, 9, 14])
@pytest.mark.parametrize(("bits", "amount"), [(1, 1), (3, 2), (4, 3)])
def test_sim_shift_left(bits, amount, width):
    """The low bits of every shift, and whether a 1 is above them, without a shift too."""
    word, by = Signal(bits), Signal(amount)
    m = Module()
    moved, lost = shift_left(m, word, by, width, "moved")
    losses = set()

    async def testbench(ctx):
        for w, n in itertools.product(range(1 << bits), range(1 << amount)):
            ctx.set(word, w)
            ctx.set(by, n)
            assert ctx.get(moved) == (w << n) % (1 << width), (w, n)
            assert ctx.get(lost) == bool(w << n >> width), (w, n)
            losses.add(ctx.get(lost))

    _simulate(testbench, m)
    assert losses == ({0} if width >= bits + (1 << amount) - 1 else {0, 1})
