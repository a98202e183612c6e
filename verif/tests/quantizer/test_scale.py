"""The choice of a scale: every 16-bit maximum, and FP32 maxima on both sides of every decision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4 import golden
from amxfp4.golden.formats import decode, scale_thresholds
from amxfp4.rtl.quantizer import scale as quantizer_scale
from amxfp4.verif.check import planted
from amxfp4.verif.tests.simulate import every_kind


def _golden_codes(table, held) -> npt.NDArray[np.uint8]:
    """Golden's scale codes for blocks of one word and zeros."""
    x = table.patterns.astype(np.uint32).view(np.float32)
    config = table.format.config
    # The scale of m / 6 alone is that of the format that has no other.
    format = "nvfp4" if config.row.compares_errors else config.format
    blocks = golden.quantize(x[:, None], format, ties=config.ties)
    codes = blocks.scale_pos[:, 0]
    if held:
        decided = (table.patterns > 0) & (codes != config.row.scale.nan_magnitude)
        steps = scale_thresholds(config.row, table.ties, held)
        codes = np.where(decided, np.searchsorted(steps, table.patterns, side="right"), codes)
    return codes


def _choose(evaluate, keys, maxima, nan, held=None) -> dict[str, npt.NDArray]:
    # One copy: with 254 binades to compare, building the unit takes longer than running it.
    return evaluate(
        lambda: quantizer_scale.ScaleChooser(keys, held), copies=1, maximum=maxima, nan=nan
    )


def _assert_golden(evaluate, table, held=None) -> npt.NDArray[np.uint32]:
    """Assert that the code is golden's, and that the scale handed on is that of the code.

    Returns the code of every maximum.
    """
    keys, fmt = table.format, table.format.scale
    distinct, place = np.unique(table.keys << 1 | table.nan, return_inverse=True)
    outputs = _choose(evaluate, keys, distinct >> 1, distinct & 1, held)
    expected = _golden_codes(table, held)
    is_nan = expected == fmt.nan_magnitude
    assert 0 < is_nan.sum() < len(is_nan)
    codes = outputs["code"][place]
    assert (codes == expected).all()

    scale = outputs["scale"][place].astype(np.int64)
    exponent, fraction = scale >> fmt.mantissa_bits, scale & ((1 << fmt.mantissa_bits) - 1)
    killed = exponent == keys.kill
    assert killed[is_nan].all()
    values = decode(codes.astype(np.uint8), fmt).astype(np.float64)
    # The exponent is that of the first decision: at a quarter of the scale, of integers at a half.
    first = 1 if keys.config.format == "int4" else 2
    handed = np.ldexp(1 + fraction / (1 << fmt.mantissa_bits), exponent - keys.bias + first)
    decided = ~is_nan & ~killed
    assert (handed[decided] == values[decided]).all()
    # Only scales under which nothing is left are killed: zero, and those of maxima so small that
    # an element of their size rounds to zero.
    lost = killed & ~is_nan
    assert ((values[lost] == 0) | (table.values[lost] <= values[lost] / 2**first)).all()
    assert killed[table.words == 0].all()
    assert (killed | (values > 0)).all()
    assert decided.sum() > len(codes) // 8
    return codes


@every_kind
def test_sim_scale(evaluate, tabulate, format, word, ties):
    """Every maximum gives golden's scale code, and the element stage the same scale."""
    table = tabulate(format, word, ties)
    codes = _assert_golden(evaluate, table)

    # The ends once more, as they are defined: zero, the smallest word, infinity.
    keys = table.format
    ends = (0, 1, keys.word.inf_magnitude)
    zero, smallest, infinity = (int(codes[table.words == word][0]) for word in ends)
    if keys.infinity_is_nan:
        # 2^-24, the smallest FP16 word, has the scale 2^-26.
        assert (zero, smallest) == (0, 127 - 26 if word == "fp16" else 0)
    else:
        assert decode(np.array([zero], np.uint8), keys.scale)[0] == 1
        assert (smallest, infinity) == (0, keys.scale.max_magnitude)


@pytest.mark.by_day(6)
@pytest.mark.parametrize("ties", ["RNA", "RNE"])
@pytest.mark.parametrize("word", ["bf16", "fp16", "fp32"])
def test_sim_scale_of_four(evaluate, tabulate, word, ties):
    """With 4 in place of 6, every maximum gives the scale code of golden's decisions."""
    table = tabulate("nvfp4-46", word, ties)
    assert (_assert_golden(evaluate, table, 4) != _golden_codes(table, None)).any()


def _assert_nan(evaluate, table) -> None:
    """Assert that with a NaN in the block every maximum gives NaN and kills all elements."""
    keys = table.format
    distinct = np.unique(table.keys)
    some = np.union1d(distinct[::17], distinct[[0, 1, -3, -2, -1]])
    outputs = _choose(evaluate, keys, some, np.ones(len(some), np.int64))
    assert (outputs["code"] == keys.scale.nan_magnitude).all()
    assert (outputs["scale"] >> keys.scale.mantissa_bits == keys.kill).all()


@pytest.mark.parametrize(
    ("kind", "input"), [("amxfp4", "bf16"), ("amxfp4-e4m3", "fp16"), ("amxfp4-pot", "fp16")]
)
def test_sim_scale_nan(evaluate, tabulate, kind, input):
    """With a NaN in the block every maximum gives the NaN code and kills all elements."""
    _assert_nan(evaluate, tabulate(kind, input, "RNA"))


def test_checks_find_faults(evaluate, tabulate, monkeypatch):
    """A comparison that forgets strictness, or is off by one step, is found."""
    right = quantizer_scale.at_least
    faults = (
        lambda f, bits, bound, strict: right(f, bits, bound, strict=False),
        lambda f, bits, bound, strict: right(f, bits, bound + bound.__class__(1, 1 << bits)),
    )
    for fault in faults:
        monkeypatch.setattr(quantizer_scale, "at_least", fault)
        with pytest.raises(AssertionError):
            _assert_golden(evaluate, tabulate("amxfp4", "bf16", "RNE"))


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [(_assert_golden, "no_element = finite_code == 0", "no_element = exponent < 0"),
     (_assert_golden, "If(self.nan | no_element)", "If(no_element)"),
     (_assert_golden, "keys.bias + keys.element_steps[0].exponent", "keys.bias"),
     (_assert_golden, "If(self.maximum.as_value() == 0)", "If(self.maximum.exponent == 0)"),
     (_assert_golden, "Elif(exponent > last.exponent)", "Elif(exponent > last.exponent + 4)"),
     (_assert_golden, "floor_log2(value) + bias", "floor_log2(value) + keys.bias"),
     (_assert_nan, "with m.If(self.nan):", "with m.If(self.nan & (exponent != 0)):")],
)  # fmt: skip
def test_checks_find_planted_bugs(evaluate, tabulate, monkeypatch, check, old, new):
    """Scales handed on wrongly, or not killed, and the ends of the range, are found."""
    table = tabulate("amxfp4", "bf16", "RNE")
    check(evaluate, table)
    planted.bug(monkeypatch, "quantizer.scale", old, new)
    with pytest.raises(AssertionError):
        check(evaluate, table)
