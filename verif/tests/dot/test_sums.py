# amaranth: UnusedElaboratable=no
"""Products of elements and their class sums, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.sim import Simulator

from amxfp4.golden.formats import decode
from amxfp4.params.dot import CLASS_SUMS, DotConfig
from amxfp4.params.formats import E2M1
from amxfp4.rtl.dot.products import E2M1Product
from amxfp4.rtl.dot.sums import ClassSums

ELEMENTS = decode(np.arange(16, dtype=np.uint8), E2M1)
FORMATS_AB = [("amxfp4", "amxfp4"), ("amxfp4", "nvfp4"), ("nvfp4", "amxfp4"), ("nvfp4", "nvfp4")]


def test_sim_every_product(evaluate):
    """All 64 pairs of magnitudes, in units of 1/4."""
    a, b = (c.ravel() for c in np.meshgrid(np.arange(8), np.arange(8)))
    product = evaluate(lambda: E2M1Product(DotConfig()), a=a, b=b)["product"]
    assert np.array_equal(product, 4 * ELEMENTS[a] * ELEMENTS[b])
    assert len(product) == 64


def expected_sums(a: np.ndarray, b: np.ndarray, formats: tuple[str, str]) -> np.ndarray:
    """Class sums of codes of shape (cases, lanes), in units of 1/4, as (cases, classes)."""
    products = (4 * ELEMENTS[a] * ELEMENTS[b]).astype(int)
    split = [name.startswith("amxfp4") for name in formats]
    negative = [(codes >= 8) & s for codes, s in zip((a, b), split, strict=True)]
    sums = []
    for i, j in itertools.product(range(1 + split[0]), range(1 + split[1])):
        sums.append((products * ((negative[0] == i) & (negative[1] == j))).sum(axis=1))
    stacked = np.stack(sums, axis=1)
    return np.abs(stacked) if all(split) else stacked


def _cases(rng, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    random = rng.integers(0, 16, (2, 80, lanes))
    largest = np.array([[x, y] for x in (7, 15) for y in (7, 15)])
    ends = np.broadcast_to(largest.T[:, :, None], (2, 4, lanes))
    if lanes == 1:
        x, y = np.meshgrid(np.arange(16), np.arange(16))
        return x.reshape(256, 1), y.reshape(256, 1)
    a, b = np.concatenate([random, ends], axis=1)
    return a, b


# Eight lanes are two groups, and groups are of four.
@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    "lanes", [1, 2, 8, *(pytest.param(n, marks=pytest.mark.nightly) for n in (4, 16))]
)
@pytest.mark.parametrize("formats", FORMATS_AB, ids="-".join)
def test_sim_class_sums(rng, formats, lanes):
    """Every way to sum is NumPy's, for every class structure and number of lanes."""
    a, b = _cases(rng, lanes)
    m = Module()
    units = []
    for kind in CLASS_SUMS:
        config = DotConfig(
            format_a=formats[0], format_b=formats[1], block=16, lanes=lanes, class_sums=kind
        )
        m.submodules[kind] = unit = ClassSums(config)
        units.append(unit)
    expected = expected_sums(a, b, formats)

    async def testbench(ctx):
        for n in range(len(a)):
            words = [sum(int(c) << (4 * k) for k, c in enumerate(codes[n])) for codes in (a, b)]
            for unit in units:
                for port, word in zip((unit.a, unit.b), words, strict=True):
                    ctx.set(Value.cast(port), word)
                sums = [ctx.get(unit.sums[c]) for c in range(expected.shape[1])]
                assert sums == list(expected[n]), (a[n], b[n])

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert np.abs(expected).max() == 144 * lanes
