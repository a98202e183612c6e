# amaranth: UnusedElaboratable=no
"""Scales decoded, terms and their alignment, against exact integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from amxfp4.golden.formats import decode
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FORMATS, FloatFormat
from amxfp4.rtl.dot.terms import ScaleOperand, TermAligner, Terms
from amxfp4.rtl.dot.widths import DotWidths, ScaleRange


def scale_values(fmt: FloatFormat) -> list[Fraction | None]:
    """Value of every scale code, None for a NaN."""
    found = decode(np.arange(256, dtype=np.uint8), fmt)
    return [None if np.isnan(v) else Fraction(abs(float(v))) for v in found]


@pytest.mark.parametrize("format", ["amxfp4", "amxfp4-e4m3", "mxfp4"])
def test_sim_every_scale(format):
    """Every code of every scale format has golden's value; NaN has significand zero."""
    scale = ScaleRange(FORMATS[format].scale)
    unit = ScaleOperand(scale)
    expected = scale_values(scale.fmt)
    seen = []

    async def testbench(ctx):
        for code in range(256):
            ctx.set(unit.code, code)
            significand, shift = ctx.get(unit.scale.significand), ctx.get(unit.scale.shift)
            seen.append(ctx.get(unit.scale.is_nan))
            assert ctx.get(unit.scale.is_nan) == (expected[code] is None)
            value = significand * Fraction(2) ** (shift + scale.unit)
            assert value == (expected[code] or 0), code

    m = Module()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sum(seen) == {"e5m2": 8, "e4m3": 2, "e8m0": 1, "ue5m3": 1}[scale.fmt.name]


PAIRS = [("amxfp4", "amxfp4"), ("amxfp4-e4m3", "amxfp4"), ("amxfp4", "nvfp4"),
         ("mxfp4-e4m3", "nvfp4"), ("amxfp4-e4m3", "amxfp4-e4m3")]  # fmt: skip


@pytest.mark.parametrize("formats", PAIRS, ids="-".join)
def test_sim_terms(rng, formats):
    """Aligned terms are class sum times both scales, in units, with random and extreme inputs."""
    config = DotConfig(format_a=formats[0], format_b=formats[1], block=32, scaling="parallel")
    widths = DotWidths(config)
    terms, align = Terms(config), TermAligner(config)
    m = Module()
    m.submodules.terms, m.submodules.align = terms, align
    m.d.comb += align.terms.eq(terms.terms)
    tables = [scale_values(row.scale) for row in widths.rows]
    unit = Fraction(2) ** widths.unit
    bound = widths.sum_bound
    largest = 0

    async def testbench(ctx):
        nonlocal largest
        for n in range(300):
            codes = [
                [int(c) for c in rng.integers(0, 256, row.scales)]
                if n % 3 else [row.scale.max_magnitude] * row.scales
                for row in widths.rows
            ]  # fmt: skip
            sums = [int(s) for s in rng.integers(0, bound + 1, len(widths.classes))]
            if n % 2:
                sums = [bound] * len(sums)
            if not widths.one_sign:
                sums = [s * int(rng.choice([-1, 1])) for s in sums]
            # At once: the simulator settles after every signal that is set.
            ctx.set(terms.slot, {"sums": sums, "scales_a": codes[0], "scales_b": codes[1]})
            decoded = [[table[c] for c in side] for table, side in zip(tables, codes, strict=True)]
            assert ctx.get(terms.terms.is_nan) == any(s is None for d in decoded for s in d)
            for c, (i, j) in enumerate(widths.classes):
                exact = Fraction(sums[c], 4) * (decoded[0][i] or 0) * (decoded[1][j] or 0)
                assert ctx.get(align.magnitudes[c]) == abs(exact) / unit
                if exact:
                    sign = i != j if widths.one_sign else exact < 0
                    assert bool(ctx.get(align.negative) >> c & 1) == sign
                largest = max(largest, abs(exact) / unit)

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert largest == widths.d_bound
