"""What a mode quantizes, by golden bit for bit; and the rows of a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.model import OPERANDS
from amxfp4.accuracy.operands import Fidelity
from amxfp4.accuracy.quantized import (
    FP32,
    MODES,
    MODES_MEASURED,
    NOISE,
    Row,
    described,
    multiplier,
    quantizer,
    rows_of,
)
from amxfp4.accuracy.results.verdicts import QUESTIONS
from amxfp4.cli.accuracy import MODES as NAMED
from amxfp4.golden.quality import sqnr
from amxfp4.params.formats import FORMATS, block_format
from amxfp4.verif.tests.accuracy import tiny

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
        ("amxfp4 acc=int8", ValueError, "acc must be one of exact, fixed, fp32, fused, not 'int8'"),
        ("mxfp4 acc=exact", ValueError, "acc must be fp32 or fused for .*mxfp4, not 'exact'"),
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
        asked = {name for q in QUESTIONS for name in (q.first, q.second)}
        assert {row.label for row in of_mode} >= asked
        assert {f.element.name for f in map(block_format, {row.format for row in of_mode})} == {
            row.element.name for row in FORMATS.values()
        }
        assert of_mode[0].label == "amxfp4"
    noise = [(row.format, row.mode) for row in rows if row.perturbation == NOISE]
    assert noise == [("", ""), *(("amxfp4", mode) for mode in MODES_MEASURED)]


def test_rows_always_have_what_they_are_compared_with() -> None:
    labels = [row.label for row in rows_of(["mxfp4", "mxfp4"], ["kv"])]
    noise = "embedding perturbed"
    assert labels == ["FP32", f"FP32, {noise}", "amxfp4", "mxfp4", f"amxfp4, {noise}"]


def test_rows_with_an_accumulator() -> None:
    """In mode both alone, with the same format's FP32 sums beside them."""
    rows = rows_of(["nvfp4 acc=fp32 block=32"])
    labels = {mode: [row.label for row in rows if row.mode == mode] for mode in MODES_MEASURED}
    assert "nvfp4 block=32" in labels["activations"]
    assert "nvfp4 acc=fp32 block=32" not in labels["activations"]
    assert {"nvfp4 block=32", "nvfp4 acc=fp32 block=32"} <= set(labels["both"])
    (row,) = [row for row in rows if row.acc]
    assert (row.acc, row.options) == ("fp32", {"block": 32})
    with pytest.raises(ValueError, match="mode must be both for 'amxfp4 acc=fp32', not kv"):
        rows_of(["amxfp4 acc=fp32"], ["kv"])
    with pytest.raises(ValueError, match="mode must be both with acc=fp32, not 'weights'"):
        Row(label="x", format="amxfp4", mode="weights", acc="fp32")


@pytest.mark.parametrize("acc", ["exact", "fixed", "fp32"])
def test_products_are_goldens(acc: str, rng: np.random.Generator) -> None:
    """Of a linear layer, of scores of a head, and of a head's mix of values."""
    row = Row(label="x", format="nvfp4", options={"tensor_scale": "auto"}, mode="both", acc=acc)
    quantize, multiply = quantizer(row), multiplier(row)

    def golden_product(a: Any, b: Any, whole_a: Any = None, whole_b: Any = None) -> Any:
        qa, qb = (
            golden.quantize(
                x, "nvfp4", axis=axis,
                tensor_scale=golden.quantize(whole, "nvfp4", tensor_scale="auto").tensor_scale,
            )
            for x, axis, whole in (
                (a, 1, a if whole_a is None else whole_a), (b, 0, b if whole_b is None else whole_b)
            )
        )  # fmt: skip
        product = golden.matmul(qa, qb, acc=acc)
        return product[0] if acc == "fixed" else product

    def drawn(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    x, w = drawn(5, 40), drawn(7, 40)
    got = multiply(quantize("input", x, -1), quantize("weight", w, -1))
    assert np.array_equal(got, golden_product(x, w.T))
    q, k, v, p = drawn(6, 3, 40), drawn(6, 2, 40), drawn(6, 2, 40), drawn(3, 6, 6)
    kept = {
        "query": quantize("query", q, -1), "key": quantize("key", k, -1),
        "value": quantize("value", v, 0), "probability": quantize("probability", p, -1),
    }  # fmt: skip
    scores = multiply(kept["query"].take(2, 1), kept["key"].take(1, 1))
    assert np.array_equal(scores, golden_product(q[:, 2], k[:, 1].T, q, k))
    mixed = multiply(kept["probability"].take(2, 0), kept["value"].take(1, 1).T)
    assert np.array_equal(mixed, golden_product(p[2], v[:, 1], p, v))
    assert mixed.dtype == np.float32


def test_an_accumulator_changes_losses_by_little(tmp_path: Path) -> None:
    """The same codes in and other sums: nearly what BLAS sums, while sums in FP16 are not."""
    model, cut = load(tiny.write(tmp_path)), tiny.windows(1, 24)
    plain = Row(label="x", format="amxfp4", mode="both")
    sums = tiny.losses(model, cut, quantizer(plain))
    for acc in ("exact", "fp32"):
        row = Row(label="x", format="amxfp4", mode="both", acc=acc)
        got = tiny.losses(model, cut, quantizer(row), multiplier(row))
        assert np.median(np.abs(got - sums)) < 1e-3
    rounded = tiny.losses(
        model, cut, quantizer(row), lambda a, b: np.float32(np.float16(multiplier(row)(a, b)))
    )
    assert np.abs(rounded - sums).max() > 1e-3


def test_fidelity(rng: np.random.Generator) -> None:
    """As golden's figure, over all tensors of a kind."""
    row, fidelity = Row(label="x", format="mxfp4", mode="kv"), Fidelity()
    tensors = [rng.standard_normal((9, 64)).astype(np.float32) * 3**n for n in range(2)]
    for x in tensors:
        for operand in ("key", "input"):
            quantizer(row, fidelity)(operand, x, -1)
    x = np.concatenate(tensors)
    wanted = sqnr(x, golden.dequantize(golden.quantize(x, "mxfp4")))
    assert fidelity.decibels == {"key": pytest.approx(wanted, abs=0.01)}
    fidelity.add("value", x, x)
    assert set(fidelity.decibels) == {"key"}
