# amaranth: UnusedElaboratable=no
"""The combinational core of a dot product, against the exact sum over a block."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from amxfp4 import golden
from amxfp4.golden.blocks import Blocks
from amxfp4.golden.formats import decode
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import E2M1, FORMATS
from amxfp4.rtl.dot.block_product import BlockProduct
from amxfp4.rtl.dot.widths import DotWidths

BLOCK = 16
BLOCKS = 30
CONFIGS = [
    DotConfig(block=BLOCK, lanes=2),
    DotConfig(block=BLOCK, format_b="mxfp4-e4m3"),
    DotConfig(block=BLOCK, format_a="nvfp4", format_b="nvfp4", acc="fp32"),
    DotConfig(block=BLOCK, format_a="mxfp4", format_b="mxfp4", lanes=1),
]


def random_blocks(rng, row):
    """Random codes; scales anywhere, or near each other, and a NaN."""
    codes = rng.integers(0, 16, (BLOCKS, 1, BLOCK), np.uint8)
    scales = rng.integers(0x30, 0x40, (row.scales, BLOCKS, 1), np.uint8)
    scales[:, ::2] = rng.integers(0, 256 >> row.scale.signed_bit, scales[:, ::2].shape)
    scales[-1, 0] = row.scale.nan_magnitude
    return Blocks(
        codes, scales[0], scales[1] if row.asymmetric else None, row.name, (BLOCKS, BLOCK), 1
    )


def exact(blocks, n):
    """Values of block `n`, as fractions; zeros under a NaN."""
    codes = blocks.codes[n, 0]
    sides = [blocks.scale_pos, blocks.scale_pos if blocks.scale_neg is None else blocks.scale_neg]
    scale = FORMATS[blocks.format].scale
    scales = [float(decode(side[n], scale)[0]) for side in sides]
    elements = decode(codes, E2M1)
    return [
        Fraction(float(e)) * (0 if np.isnan(scales[c >> 3]) else Fraction(scales[c >> 3]))
        for e, c in zip(elements, codes, strict=True)
    ]


@pytest.mark.by_day(2)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.format_a}-{c.format_b}-{c.acc}")
def test_sim_block(rng, config):
    """D of random blocks, as an exact integer or rounded to FP32; a NaN scale shows."""
    unit = BlockProduct(config)
    weight = Fraction(2) ** DotWidths(config).unit
    operands = [random_blocks(rng, row) for row in config.rows_ab]
    rounded = golden.dot(*operands, acc="fp32")

    async def testbench(ctx):
        for n in range(BLOCKS):
            for name, blocks in zip("ab", operands, strict=True):
                # At once: the simulator settles after every signal that is set.
                ctx.set(getattr(unit, name), [int(code) for code in blocks.codes[n, 0]])
                sides = (blocks.scale_pos, blocks.scale_neg)
                scales = [int(side[n, 0]) for side in sides if side is not None]
                ctx.set(getattr(unit, f"scales_{name}"), scales)
            value = ctx.get(unit.addend.value)
            if config.acc == "fp32":
                # The model has added D to +0, which makes it +0.
                expected = rounded[n].view(np.uint32)
                assert value in (expected, expected | (1 << 31 if not rounded[n] else 0))
            else:
                is_nan = ctx.get(unit.addend.is_nan)
                assert is_nan == np.isnan(rounded[n])
                products = zip(*(exact(blocks, n) for blocks in operands), strict=True)
                assert is_nan or value == sum(a * b for a, b in products) / weight

    m = Module()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert np.isnan(rounded[0])
    assert np.isfinite(rounded[1:]).sum() > BLOCKS // 2
