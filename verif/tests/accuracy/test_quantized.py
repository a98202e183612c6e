"""What a mode quantizes, by golden bit for bit; and the rows of a table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.accuracy.model import OPERANDS
from amxfp4.accuracy.quantized import (
    FP32,
    MODES,
    MODES_MEASURED,
    NOISE,
    Row,
    described,
    quantizer,
    rows_of,
)
from amxfp4.cli.accuracy import MODES as NAMED
from amxfp4.params.formats import FORMATS

ACTIVATIONS = {"input", "query", "key", "probability", "value"}


def test_modes() -> None:
    assert {
        "activations": ACTIVATIONS, "weights": {"weight"}, "both": set(OPERANDS),
        "kv": {"key", "value"},
    } == MODES  # fmt: skip
    assert tuple(MODES) == NAMED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operand", OPERANDS)
def test_operands_are_goldens_values_or_as_they_were(
    mode: str, operand: str, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((3, 40, 6)).astype(np.float32)
    options = {"tensor_scale": "auto", "block": 32}
    row = Row(label="x", format="nvfp4", options=options, mode=mode)
    for axis in (0, 1, -1):
        got = quantizer(row)(operand, x, axis)
        if operand in MODES[mode]:
            b = golden.quantize(x, "nvfp4", axis=axis, tensor_scale="auto", block=32)
            assert np.array_equal(got.view(np.uint32), golden.dequantize(b).view(np.uint32))
            assert not np.array_equal(got, x)
        else:
            assert got is x


def test_fp32_leaves_all_operands() -> None:
    x = np.ones((2, 2), np.float32)
    assert all(quantizer(FP32)(operand, x, -1) is x for operand in OPERANDS)


@pytest.mark.parametrize(
    ("text", "format", "options"),
    [
        ("amxfp4", "amxfp4", {}),
        ("nvfp4 tensor_scale=auto", "nvfp4", {"tensor_scale": "auto"}),
        ("mxfp4  block=64 ties=RNE tensor_scale=0.5", "mxfp4",
         {"block": 64, "ties": "RNE", "tensor_scale": 0.5}),
    ],
)  # fmt: skip
def test_format_in_words(text: str, format: str, options: Any) -> None:
    assert described(text) == {"format": format, "options": options}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "format must be one of amxfp4, "),
        ("fp5", ValueError, "format must be one of amxfp4, .*, not 'fp5'"),
        ("mxfp4 block", ValueError, "options of mxfp4 must be NAME=VALUE, not 'block'"),
        ("mxfp4 block=7", ValueError, "block must be one of 16, 32, 64, 128, not 7"),
        ("mxfp4 ties=RTZ", ValueError, "ties must be one of RNE, RNA|ties must be one of RNA, RNE"),
        ("mxfp4 rule=modelopt", ValueError, "rule"),
        ("mxfp4 sides=2", TypeError, "sides"),
    ],
)
def test_wrong_format(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rows_of([text])


def test_wrong_mode() -> None:
    with pytest.raises(ValueError, match=r"mode must be one of activations, .*, not 'all'"):
        rows_of(modes=["all"])
    with pytest.raises(ValueError, match="format must be one of"):
        Row(label="x", mode="kv")


def test_default_rows() -> None:
    rows = rows_of()
    assert rows[0] == FP32
    measured = [json.dumps(row.measured) for row in rows]
    assert len(set(measured)) == len(measured)
    for mode in MODES_MEASURED:
        of_mode = [row for row in rows if row.mode == mode and not row.perturbation]
        assert {row.format for row in of_mode} == set(FORMATS)
        assert of_mode[0].label == "amxfp4"
        factor, searched = {"tensor_scale": "auto"}, {"search": [0, 3]}
        given = [(row.format, dict(row.options)) for row in of_mode if row.options]
        assert given == [
            ("nvfp4", factor), ("nvfp4-46", factor), ("amxfp4-ue5m3", searched),
            ("nvfp4", factor | searched),
        ]  # fmt: skip
    noise = [(row.format, row.mode) for row in rows if row.perturbation == NOISE]
    assert noise == [("", ""), *(("amxfp4", mode) for mode in MODES_MEASURED)]


def test_rows_always_have_what_they_are_compared_with() -> None:
    labels = [row.label for row in rows_of(["mxfp4", "mxfp4"], ["kv"])]
    noise = "embedding perturbed"
    assert labels == ["FP32", f"FP32, {noise}", "amxfp4", "mxfp4", f"amxfp4, {noise}"]
