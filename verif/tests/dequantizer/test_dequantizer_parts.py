# amaranth: UnusedElaboratable=no
"""The dequantizer: all scale and element codes against golden, and its streams."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS, OUTPUTS
from amxfp4.rtl import dequantizer
from amxfp4.rtl.dequantizer import Dequantizer, ElementDequantizer, ScaleDecoder
from amxfp4.rtl.lib.formats import magnitude_value

SCALES = np.arange(256)


def _assert_golden(evaluate, config):
    """Assert that each element code under each scale code gives golden's word."""
    decoded = evaluate(lambda: ScaleDecoder(config), code=SCALES)["scale"]
    codes, scales = (grid.ravel() for grid in np.meshgrid(np.arange(16), SCALES))
    words = evaluate(lambda: ElementDequantizer(config), code=codes, scale=decoded[scales])["word"]
    sides = [scales.astype(np.uint8)] * config.row.scales + [None]
    expected = golden.dequantize_words(
        codes.astype(np.uint8)[:, None], sides[0], sides[1], config.format, config.output
    )
    assert (words == expected[:, 0]).all()


@pytest.mark.by_day(3)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("format", FORMATS)
def test_exhaustive_words(evaluate, format, output):
    """Every element code under every scale code, sign bits and NaN codes included."""
    _assert_golden(evaluate, DequantizerConfig(format=format, output=output))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("format", ["amxfp4", "amxfp4-e4m3", "mxfp4"])
def test_exhaustive_scale_decoder(evaluate, format, output):
    """A decoded scale is its value and one and a half times its value, exactly."""
    config = DequantizerConfig(format=format, output=output)
    fmt, layout = config.row.scale, ScaleDecoder(config).scale.shape()
    decoded = evaluate(lambda: ScaleDecoder(config), code=SCALES)["scale"]
    bits = layout["plain"].width
    for code, word in zip(SCALES, decoded, strict=True):
        scale = layout.from_bits(int(word))
        magnitude = int(code) % (1 << (fmt.width - fmt.signed_bit))
        assert scale.is_nan == (magnitude > fmt.max_magnitude)
        if scale.is_nan:
            continue
        value = magnitude_value(fmt, magnitude)
        assert scale.is_zero == (value == 0)
        if value:
            power = Fraction(2) ** (scale.exponent - config.word.bias)
            assert (1 + Fraction(scale.plain, 1 << bits)) * power == value
            more = (1 + Fraction(scale.half_more, 1 << bits)) * power
            assert more * (1 + scale.half_more_carries) == value * 3 / 2


def _records(rng, config, count):
    """Block records, and the beats that golden makes of them."""
    codes, pos, neg = stimulus.records(rng, count, config.row, nan=0.1)
    words = golden.dequantize_words(codes, pos, neg, config.format, config.output)
    scales = [pos] if neg is None else [pos, neg]
    raw = np.concatenate([golden.packing.join_nibbles(codes), np.stack(scales, -1)], -1)
    beats = words.reshape(count * config.beats, config.lanes)
    return [[int.from_bytes(row.tobytes(), "little") for row in rows] for rows in (raw, beats)]


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    ("format", "block", "lanes"),
    [("amxfp4", 32, 8), ("amxfp4", 16, 16), ("mxfp4", 16, 1), ("nvfp4", 16, 8),
     ("amxfp4-pot", 64, 32), ("amxfp4-e4m3", 128, 64)],
)  # fmt: skip
def test_sim_stream(rng, run_stream, format, block, lanes):
    """Records become golden's beats in order, at full speed after `latency`, and under stalls."""
    config = DequantizerConfig(format=format, block=block, lanes=lanes)
    records, beats = _records(rng, config, 12)
    cycles = 12 * config.beats * 4 + 50
    traffic = run_stream(lambda: Dequantizer(config), records, cycles=cycles)
    assert traffic.given == beats
    first = traffic.taken_at[0] + Dequantizer(config).latency
    assert traffic.given_at == list(range(first, first + len(beats)))

    stalls = rng.random((2, cycles)) < 0.6
    stalled = run_stream(
        lambda: Dequantizer(config), records, cycles=cycles,
        offer=lambda cycle: stalls[0, cycle], accept=lambda cycle: stalls[1, cycle],
    )  # fmt: skip
    assert stalled.given == beats


@pytest.mark.parametrize("format", ["amxfp4", "amxfp4-e4m3", "mxfp4"])
def test_checks_find_faults(evaluate, monkeypatch, format):
    """A scale off by a binade is found."""
    right = dequantizer.magnitude_value
    monkeypatch.setattr(dequantizer, "magnitude_value", lambda f, c: right(f, c) / (1 + (c == 1)))
    with pytest.raises((AssertionError, ValueError)):
        _assert_golden(evaluate, DequantizerConfig(format=format))
