# amaranth: UnusedElaboratable=no
"""The dequantizer: all scale and element codes against golden, and its streams."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.golden.blocks import by_name
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS, OUTPUTS
from amxfp4.rtl import dequantizer
from amxfp4.rtl.dequantizer import Dequantizer, ElementDequantizer, ScaleDecoder
from amxfp4.rtl.lib.formats import magnitude_value
from amxfp4.verif.check import planted
from amxfp4.verif.sim.batch.beats import pack_records

SCALES = np.arange(256)


class Word(wiring.Component):
    """One element with its scale."""

    def __init__(self, config):
        self._config = config
        members = {"code": In(4), "scale": In(8), "word": Out(config.word.width)}
        super().__init__({**members, "zero": In(4 * config.row.zero_point)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.scale_decoder = scale = ScaleDecoder(self._config)
        m.submodules.element = element = ElementDequantizer(self._config)
        m.d.comb += [
            scale.code.eq(self.scale),
            element.code.eq(self.code),
            element.zero.eq(self.zero),
            element.scale.eq(scale.scale),
            self.word.eq(element.word),
        ]
        return m


def _assert_golden(evaluate, config, scales=SCALES, zeros=(0,)):
    """Assert that each element code under each scale code gives golden's word."""
    grid = np.meshgrid(np.arange(16), scales, zeros)
    codes, scales, zero = (x.ravel().astype(np.uint8) for x in grid)
    points = {"zero": zero} if config.row.zero_point else {}
    copies = 8 if len(codes) > 1000 else 1  # each takes its time to build
    words = evaluate(lambda: Word(config), copies=copies, code=codes, scale=scales, **points)[
        "word"
    ]
    other = {True: scales, False: zero if config.row.zero_point else None}
    expected = golden.dequantize_words(
        codes[:, None], scales, format=config.format, output=config.output,
        **by_name(config.row, other[config.row.asymmetric]),
    )  # fmt: skip
    assert (words == expected[:, 0]).all()


@pytest.mark.by_day(3)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("format", [f for f, row in FORMATS.items() if not row.zero_point])
def test_exhaustive_words(evaluate, format, output):
    """Every element code under every scale code, sign bits and NaN codes included."""
    _assert_golden(evaluate, DequantizerConfig(format=format, output=output))


@pytest.mark.by_day(4)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("format", [f for f, row in FORMATS.items() if row.zero_point])
def test_words_with_a_zero_point(evaluate, at_night, format, output):
    """The same with every zero point; by day of every seventh scale, with three of them."""
    config = DequantizerConfig(format=format, output=output)
    some = (SCALES, range(16)) if at_night else (SCALES[1::7], (0, 6, 15))
    _assert_golden(evaluate, config, *some)


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
    codes, pos, other = stimulus.records(rng, count, config.row, nan=0.1)
    words = golden.dequantize_words(
        codes, pos, format=config.format, output=config.output, **by_name(config.row, other)
    )
    if config.row.zero_point:
        other = other | 0xB0  # its upper bits are ignored
    raw = pack_records(codes, pos, other)
    beats = words.reshape(count * config.beats, config.lanes)
    return [[int.from_bytes(row.tobytes(), "little") for row in rows] for rows in (raw, beats)]


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    ("format", "block", "lanes"),
    [("amxfp4", 32, 8), ("amxfp4", 16, 16), ("mxfp4", 16, 1), ("nvfp4", 16, 8),
     ("amxfp4-pot", 64, 32), ("amxfp4-e4m3", 128, 64), ("int4", 16, 4), ("int4-asym", 16, 4)],
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
    """A scale off by a binade is found; so is an element."""
    config = DequantizerConfig(format=format)
    if config.row.power_of_two:  # no scale is normalised
        right = dequantizer.element_magnitudes(config.row.element)
        wrong = [value / (1 + (code == 1)) for code, value in enumerate(right)]
        monkeypatch.setattr(dequantizer, "element_magnitudes", lambda fmt: wrong)
    else:
        value = dequantizer.magnitude_value
        monkeypatch.setattr(
            dequantizer, "magnitude_value", lambda f, c: value(f, c) / (1 + (c == 1))
        )
    with pytest.raises((AssertionError, ValueError)):
        _assert_golden(evaluate, config)


@pytest.mark.parametrize(
    ("format", "old", "new"),
    [("int4", "self.code.as_signed()", "(self.code & ~C(8, 4)).as_signed()"),
     ("int4", "Mux(sign, -value, value)", "value"),
     ("int4", "factor.numerator & factor.denominator >> n", "n == 0"),
     ("int4-asym", "self.code - self.zero", "self.code - self.zero[:3]"),
     ("int4-asym", "self.code - self.zero", "self.zero - self.code")],
)  # fmt: skip
def test_checks_find_planted_bugs(evaluate, monkeypatch, format, old, new):
    """Signs of integers, their multiples of a scale and the zero point: each is checked."""
    config = DequantizerConfig(format=format)
    planted.bug(monkeypatch, "dequantizer", old, new)
    # By way of the module: the bug is there.
    monkeypatch.setitem(globals(), "ElementDequantizer", dequantizer.ElementDequantizer)
    monkeypatch.setitem(globals(), "ScaleDecoder", dequantizer.ScaleDecoder)
    with pytest.raises(AssertionError):
        _assert_golden(evaluate, config, SCALES[60:67], (9,) if config.row.zero_point else (0,))
