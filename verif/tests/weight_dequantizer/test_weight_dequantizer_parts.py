# amaranth: UnusedElaboratable=no
"""The parts of the dequantizer of weights: words in both ways against golden, and the additions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4 import golden
from amxfp4.params.weight_dequantizer import WEIGHT_OUTPUTS, WeightDequantizerConfig
from amxfp4.params.weights import WEIGHT_FORMATS
from amxfp4.rtl.lib.multiples import odd_part, plan
from amxfp4.rtl.weights import element, scale, table
from amxfp4.verif.check import planted

EDGES = [0, 1, 2, 3, 5, 0x3FF, 0x400, 0x401, 0x7FF, 0x800, 0x3C00, 0x3C01, 0x3FFF, 0x7BFF]
SPECIAL = [0x7C00, 0x7C01, 0x7E00, 0x7FFF, 0x8000, 0x8001, 0xBC00, 0xFC00]


class Word(wiring.Component):
    """Words of one code under its scales, in either way."""

    def __init__(self, config, way):
        self._config, self._way = config, way
        sides = {f"scale_{n}": In(16) for n in range(config.row.sides)}
        super().__init__({**sides, "code": In(config.row.bits), "word": Out(16)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.way = way = getattr(*self._way)(config)
        for n in range(config.row.sides):
            m.submodules[f"decoder_{n}"] = decoder = scale.WeightScale(config)
            m.d.comb += [
                decoder.code.eq(getattr(self, f"scale_{n}")),
                way.scales[n].eq(decoder.scale),
            ]
        if self._way == TABLE:
            m.d.comb += self.word.eq(way.words[self.code])
        else:
            m.d.comb += [way.code.eq(self.code), self.word.eq(way.word)]
        return m


TABLE = (table, "WeightTable")
ELEMENT = (element, "WeightElement")
# By way of the module: planted bugs are there.


def _assert_golden(evaluate, config, way, rng, step):
    """Assert that words of all codes are golden's, under some scales on either side."""
    words = [*EDGES, *SPECIAL, *range(int(rng.integers(step)), 0x7C00, step)]
    codes, first = (
        x.ravel() for x in np.meshgrid(range(len(config.row.values)), words, indexing="ij")
    )
    sides = [first, rng.permutation(first)][: config.row.sides]
    found = evaluate(
        lambda: Word(config, way), code=codes, copies=2,
        **{f"scale_{n}": side for n, side in enumerate(sides)},
    )["word"]  # fmt: skip
    pos, *neg = (side.astype(np.uint16) for side in sides)
    due = golden.weight_words(
        codes[:, None].astype(np.uint8), pos, neg[0] if neg else None, config.format, config.output
    )
    assert np.array_equal(found, due[:, 0])


@pytest.mark.by_day(7)
@pytest.mark.parametrize("way", [ELEMENT, TABLE], ids=["element", "table"])
@pytest.mark.parametrize("output", WEIGHT_OUTPUTS)
@pytest.mark.parametrize("format", WEIGHT_FORMATS)
def test_words(evaluate, rng, at_night, format, output, way):
    """Every code under scales of all magnitudes; by night under more of them."""
    config = WeightDequantizerConfig(format=format, output=output)
    _assert_golden(evaluate, config, way, rng, 97 if at_night else 2999)


@pytest.mark.parametrize("format", WEIGHT_FORMATS)
def test_plan(format):
    """Additions make every multiple that is wanted out of those before it, and few others."""
    values = [Fraction(v) for v in WEIGHT_FORMATS[format].values if v]
    wanted = {odd_part(abs(v.numerator)) for v in values}
    known = {1}
    for step in plan(wanted):
        assert {step.u, step.v} <= known
        whole = step.u - (step.v << step.shift) if step.minus else step.u + (step.v << step.shift)
        assert step.value == odd_part(abs(whole))
        assert step.value % 2
        known.add(step.value)
    assert wanted <= known
    assert len(known) <= len(wanted) + 5


@pytest.mark.parametrize(
    ("format", "module", "old", "new"),
    [("afpq-fp4", "weights.scale", "top - one - 1", "top - one"),
     ("fpq-nf3", "weights.element", "max(1, -least)", "1"),
     ("afpq-nf3", "weights.element", "row.sides - 1", "0 * row.sides")],
)  # fmt: skip
@pytest.mark.nightly
def test_checks_find_planted_bugs(evaluate, rng, monkeypatch, format, module, old, new):
    """What decides what hardware there is: an exponent, how far words go down."""
    config = WeightDequantizerConfig(format=format)
    planted.bug(monkeypatch, module, old, new)
    with pytest.raises(AssertionError):
        _assert_golden(evaluate, config, ELEMENT, rng, 211)
