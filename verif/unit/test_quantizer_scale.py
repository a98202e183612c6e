"""The choice of a scale: every 16-bit maximum, and FP32 maxima on both sides of every decision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from amxfp4 import golden
from amxfp4.golden.formats import decode
from amxfp4.rtl import quantizer_scale
from amxfp4.rtl.quantizer_scale import ScaleChooser


def _golden_codes(table) -> npt.NDArray[np.uint8]:
    """Golden's scale codes for blocks of one word and zeros."""
    x = table.patterns.astype(np.uint32).view(np.float32)
    config = table.format.config
    blocks = golden.quantize(x[:, None], config.format, ties=config.ties)
    return blocks.scale_pos[:, 0]


def _choose(evaluate, keys, maxima, nan_in: int = 0) -> dict[str, npt.NDArray]:
    nan = np.full(len(maxima), nan_in)
    # One copy: with 254 binades to compare, building the unit takes longer than running it.
    return evaluate(lambda: ScaleChooser(keys), copies=1, maximum=maxima, nan_in=nan)


def _assert_golden(evaluate, table) -> npt.NDArray[np.uint32]:
    """Assert that code and NaN are golden's, and that the scale handed on is that of the code.

    Returns the code of every maximum.
    """
    keys, fmt = table.format, table.format.scale
    distinct, place = np.unique(table.keys, return_inverse=True)
    outputs = _choose(evaluate, keys, distinct)
    expected = _golden_codes(table)
    is_nan = expected == fmt.nan_magnitude
    assert (outputs["nan_out"][place] == is_nan).all()
    codes = outputs["code"][place]
    assert (codes[~is_nan] == expected[~is_nan]).all()

    scale = outputs["scale"][place].astype(np.int64)
    exponent, fraction = scale >> fmt.mantissa_bits, scale & ((1 << fmt.mantissa_bits) - 1)
    killed = exponent == keys.scale_exponent_kill
    values = decode(codes.astype(np.uint8), fmt).astype(np.float64)
    handed = np.ldexp(1 + fraction / (1 << fmt.mantissa_bits), exponent - keys.bias)
    decided = ~is_nan & ~killed
    assert (handed[decided] == values[decided]).all()
    # Only scales under which nothing is left are killed: zero, and those of maxima so small that
    # an element of their size rounds to zero.
    with np.errstate(invalid="ignore"):  # signalling NaN
        largest = table.patterns.astype(np.uint32).view(np.float32).astype(np.float64)
    lost = killed & ~is_nan
    assert ((values[lost] == 0) | (largest[lost] <= values[lost] / 4)).all()
    assert killed[table.words == 0].all()
    assert decided.sum() > len(codes) // 8
    return codes


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


@pytest.mark.parametrize(
    ("kind", "input"), [("amxfp4", "bf16"), ("amxfp4-e4m3", "fp16"), ("amxfp4-pot", "fp16")]
)
def test_sim_scale_nan(evaluate, tabulate, kind, input):
    """With a NaN in the block every maximum gives the NaN code and kills all elements."""
    table = tabulate(kind, input, "RNA")
    keys = table.format
    distinct = np.unique(table.keys)
    outputs = _choose(evaluate, keys, np.union1d(distinct[::17], distinct[-3:]), nan_in=1)
    assert (outputs["code"] == keys.scale.nan_magnitude).all()
    exponent = outputs["scale"] >> keys.scale.mantissa_bits
    assert (exponent == keys.scale_exponent_kill).all()


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
