"""Widths of the dot product: the documented numbers, and that each is enough and none too many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from amxfp4.golden.formats import decode
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BLOCK_SIZES, FORMATS
from amxfp4.rtl.dot.widths import DotWidths, ScaleRange, holding

LARGEST = {"e2m1": 12, "int4": 8, "uint4": 15}
"""Largest magnitudes of elements: 6 in halves, -8, and 15 from a zero point at either end."""


def test_table_of_amxfp4():
    """Two E5M2 operands, K = 32, 4096 blocks: the numbers that the documents state."""
    table = DotWidths(DotConfig()).table()
    assert table["product"] == 8
    assert table["class sum"] == 13
    assert table["term"] == 18
    assert table["D"] == 77
    assert table["accumulator"] == 89
    assert DotWidths(DotConfig()).unit == -34


def _pairs():
    """List all pairs of formats; those of integers and others, but AMXFP4, for the night."""
    for a, b in itertools.product(FORMATS, FORMATS):
        late = "int4" in a + b and a != b and "amxfp4" not in (a, b)
        yield pytest.param(a, b, marks=pytest.mark.nightly if late else ())


@pytest.mark.by_day(3)
@pytest.mark.parametrize("block", BLOCK_SIZES)
@pytest.mark.parametrize(("a", "b"), list(_pairs()))
def test_widths_hold_the_worst_case_and_no_more(a, b, block):
    """Integers of the worst inputs fit every width; with a bit less they do not."""
    config = DotConfig(format_a=a, format_b=b, block=block)
    widths = DotWidths(config)
    signed = not (FORMATS[a].asymmetric and FORMATS[b].asymmetric)
    product = LARGEST[FORMATS[a].element.name] * LARGEST[FORMATS[b].element.name]
    assert widths.product.width == product.bit_length()
    total = product * block
    assert widths.class_sum.width == total.bit_length() + signed
    significands = 1
    for name in (a, b):
        significands *= {"e5m2": 7, "e4m3": 15, "e8m0": 1, "ue5m3": 15}[FORMATS[name].scale.name]
    assert widths.term.width == (total * significands).bit_length() + signed
    largest = 1
    for name in (a, b):
        # 1.75 * 2^15 over 2^-16; 448 over 2^-9; 2^127 over 2^-127; 1.75 * 2^16 over 2^-17.
        largest *= {
            "e5m2": 7 << 29, "e4m3": 14 << 14, "e8m0": 1 << 254, "ue5m3": 14 << 30,
        }[FORMATS[name].scale.name]  # fmt: skip
    # All lanes in one class, or spread over any: the same sum.
    worst = total * largest
    assert widths.d_bound == worst
    assert (1 << (widths.d.width - 1)) > worst >= 1 << (widths.d.width - 2)
    assert (1 << widths.aligned.width) > worst >= 1 << (widths.aligned.width - 1)
    if config.acc == "exact":
        whole = worst * config.max_blocks
        width = widths.accumulator.width
        assert (1 << (width - 1)) > whole >= 1 << (width - 2)
    else:
        assert widths.accumulator.width == 32
        assert widths.power_of_two
        assert any(FORMATS[f].power_of_two for f in (a, b))


@pytest.mark.parametrize("format", ["amxfp4", "amxfp4-e4m3", "mxfp4", "amxfp4-ue5m3"])
def test_scale_range_is_golden_s(format):
    """Largest scale, unit and shift follow from the values that golden gives the codes."""
    scale = ScaleRange(FORMATS[format].scale)
    fmt = scale.fmt
    found = [float(v) for v in decode(np.arange(256, dtype=np.uint8), fmt)]
    finite = [v for v in found if v == v and 0 < v < float("inf")]
    assert max(finite) == scale.largest * 2.0**scale.unit
    assert min(finite) == 2.0**scale.unit
    assert scale.largest_significand << scale.largest_shift >= scale.largest
    assert scale.largest >> scale.largest_shift <= scale.largest_significand


@pytest.mark.parametrize("bound", [1, 2, 3, 4, 7, 8, 1 << 76])
def test_holding(bound):
    """A shape holds its bound, both signs of it if signed, and one bit less does not."""
    for signed in (False, True):
        shape = holding(bound, signed=signed)
        room = 1 << (shape.width - signed)
        assert room > bound >= room >> 1
        assert shape.signed == signed


def test_fixed_accumulator():
    """A fixed accumulator has the bits that were asked for, and a sign."""
    widths = DotWidths(DotConfig(acc="fixed", frac_bits=5, int_bits=3))
    assert (widths.accumulator.width, widths.accumulator.signed) == (9, True)
    assert widths.flags == 2
    assert DotWidths(DotConfig()).flags == 0
