# amaranth: UnusedElaboratable=no
"""Scale and zero point of a block from its two maxima, and codes beside a zero point."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4 import golden
from amxfp4.golden.formats import magnitude_value, values, words
from amxfp4.params.formats import FORMATS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.quantizer import element as quantizer_element
from amxfp4.rtl.quantizer import key as quantizer_key
from amxfp4.rtl.quantizer import range as quantizer_range
from amxfp4.rtl.quantizer import scale as quantizer_scale
from amxfp4.verif.check import planted

RANGES = [name for name in FORMATS if FORMATS[name].zero_point]


class Chosen(wiring.Component):
    """What a block of three words becomes: its two maxima, and one more."""

    def __init__(self, config):
        # By way of the modules: tests plant bugs there.
        self._keys = keys = quantizer_key.KeyFormat(config)
        members = {name: In(keys.word.width) for name in ("p", "n", "x")}
        super().__init__({**members, "scale": Out(8), "zero": Out(4), "code": Out(4)})

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        decoders = {}
        for name in ("p", "n", "x"):
            m.submodules[f"key_{name}"] = decoders[name] = quantizer_key.KeyDecoder(keys)
            m.d.comb += decoders[name].word.eq(getattr(self, name))
        m.submodules.range_sum = range_sum = quantizer_range.RangeSum(keys)
        m.submodules.chooser = chooser = quantizer_scale.ScaleChooser(keys)
        m.submodules.zero_point = zero = quantizer_element.ElementQuantizer(keys)
        m.submodules.element = element = quantizer_element.ElementQuantizer(keys)
        m.d.comb += [
            range_sum.maxima[0].eq(decoders["p"].key.magnitude),
            range_sum.maxima[1].eq(decoders["n"].key.magnitude),
            chooser.maximum.eq(range_sum.sum),
            zero.key.magnitude.eq(decoders["n"].key.magnitude),
            zero.scale.eq(chooser.scale),
            element.key.eq(decoders["x"].key),
            element.scale.eq(chooser.scale),
            element.zero.eq(zero.code),
            self.scale.eq(chooser.code),
            self.zero.eq(zero.code),
            self.code.eq(element.code),
        ]
        return m


def _near(rng, config, count):
    """Maxima p and n whose sum is at a decision on the scale, or one of whose codes is at a tie."""
    fmt = config.row.scale
    scales = [Fraction(float(magnitude_value(fmt, c))) for c in range(fmt.max_magnitude + 1)]
    limit = Fraction(float(magnitude_value(config.word, config.word.max_magnitude)))
    ends = [0, 1, 2, 3, *range(len(scales) - 4, len(scales) - 1)]
    most = rng.choice([4, len(scales) - 1], count - len(ends))
    codes = np.concatenate([ends, rng.integers(0, most)])
    pairs = []
    for at, code in enumerate(codes):
        low, high = scales[code], scales[code + 1]
        if at % 3:
            whole = 15 * (low + high) / 2
            # Of the other one all of it, or a part far down.
            part = whole * Fraction(rng.random()) / 2 ** int(rng.choice([0, 1, 4, 8, 12, 24, 30]))
        else:
            whole, part = 15 * high, (int(rng.integers(0, 16)) + Fraction(1, 2)) * high
        whole, part = min(whole, limit), min(part, limit)
        other = words(np.array([float(part)], np.float32), config.input)[0]
        rest = whole - Fraction(float(values(np.array([other]), config.input)[0]))
        one = words(np.array([max(float(rest), 0)], np.float32), config.input)[0]
        step = int(rng.integers(-1, 2))
        pairs.append((max(int(one) + step, 0), int(other))[:: rng.choice([1, -1])])
    return np.array(pairs).T


def _assert_golden(evaluate, config, count=600):
    """Assert golden's scale, zero point and codes, of words up to infinity."""
    rng = np.random.default_rng(1)
    word = config.word
    p, n = _near(rng, config, count)
    special = [0, 1, word.max_magnitude, word.inf_magnitude, 1 << word.mantissa_bits]
    more = np.stack(np.meshgrid(special, special)).reshape(2, -1)
    p, n = np.concatenate([[p, n], more], axis=1)
    p, n = np.minimum([p, n], word.inf_magnitude)
    negative = rng.integers(0, 2, len(p))
    limit = np.where(negative == 1, n, p)
    x = (rng.random(len(p)) * (limit + 1)).astype(np.int64)
    half = rng.random(len(p)) < 0.5  # near the maximum, not far below
    x = np.where(half, np.maximum(limit - (x & 3 << max(word.mantissa_bits - 3, 0)), 0), x)
    sign = 1 << (word.width - 1)
    blocks = np.stack([p, n | sign, x | negative * sign], axis=1)
    raw = blocks.astype(f"u{word.width // 8}")
    due = golden.quantize(values(raw, word.name), config.format, ties=config.ties, block=16)
    found = evaluate(lambda: Chosen(config), copies=2, p=p, n=n, x=blocks[:, 2])
    assert (found["scale"] == due.scale_pos[:, 0]).all()
    assert due.zero_point is not None
    assert (found["zero"] == due.zero_point[:, 0]).all()
    assert (found["code"] == due.codes[:, 0, 2]).all()
    assert set(found["zero"]) == set(found["code"]) == set(range(16))


@pytest.mark.by_day(12)
@pytest.mark.parametrize("format", RANGES)
@pytest.mark.parametrize("ties", ["RNE", "RNA"])
@pytest.mark.parametrize("input", ["bf16", "fp16", "fp32"])
def test_sim_range(evaluate, at_night, input, ties, format):
    """Sums of maxima on and around every decision, zero points at ties, and words of any size."""
    config = QuantizerConfig(format=format, input=input, ties=ties)
    _assert_golden(evaluate, config, 20_000 if at_night else 600)


FAULTS = {
    "the smaller one's lost bits break no tie": ("range", "rest, carries", "C(0, 1), carries"),
    "the smaller one is never far": ("range", "distance[steps:].any()", "C(0, 1)"),
    "a carry keeps its exponent": ("range", "(carries & (larger", "(C(0, 1) & (larger"),
    "a carry drops a bit": ("range", "rest, carries & total[0]", "rest, C(0, 1)"),
    "no range is tiny": ("range", "tiny = (larger", "tiny = C(0, 1) & (larger"),
    "keys as short as those of one maximum": (
        "key", "on_scale -= 1 + self.sum_places", "on_scale -= 0",
    ),
    "codes wrap at 15": ("element", "total[:-1] | ends", "total[:-1]"),
    "from the zero point up alone": ("element", "(q ^ sign.replicate(len(q))) + sign", "q"),
    "ties of zero points and codes down": (
        "element", "bound - 1, strict=strict)", "bound - 1, strict=True)",
    ),
}  # fmt: skip


@pytest.mark.by_day(5)
@pytest.mark.parametrize("fault", FAULTS)
def test_checks_find_planted_bugs(evaluate, monkeypatch, fault):
    """Sticky bits, carries and ends of a sum, clamps, ties and signs of codes: each is checked."""
    module, old, new = FAULTS[fault]
    planted.bug(monkeypatch, f"quantizer.{module}", old, new)
    # All bits of a tiny BF16 sum are kept, or gathered for ties; E5M2's window is wide anyway.
    how = {"input": "fp32", "ties": "RNA"} if "tiny" in fault else {"ties": "RNE"}
    format = "int4-asym-e4m3" if "short" in fault else "int4-asym"
    with pytest.raises(AssertionError):
        _assert_golden(evaluate, QuantizerConfig(format=format, **how))
