"""Bad input to the weight formats: the right exception, with parameter, value and range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import engine
from amxfp4.params.engine import EngineConfig

X = np.ones((2, 130), np.float32)
B = golden.quantize(X, "afpq-nf3")
quantize: Any = golden.quantize

QUANTIZE: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (X.astype(np.float64), {}, TypeError, "x must be an array of dtype .*, not float64"),
    (X[:0], {}, ValueError, r"x must have one or more elements .*, not shape \(0, 130\)"),
    (X, {"axis": 2}, ValueError, "axis must be from -2 to 1, not 2"),
    (X, {"block": 64}, ValueError, "block must be one of 128, -1, not 64"),
    (X, {"block": "row"}, TypeError, "block must be an integer, not 'row'"),
    (X, {"packed": 1}, TypeError, "packed must be True or False, not 1"),
    (X, {"ties": "RNE"}, ValueError, "ties must be None for afpq-nf4, not 'RNE'"),
    (X, {"tensor_scale": 1.0}, ValueError, r"tensor_scale must be None for afpq-nf4, not 1\.0"),
    (X, {"rule": "modelopt"}, ValueError, "rule must be 'nearest' for afpq-nf4, not 'modelopt'"),
    (X, {"format": "afpq-nf5"}, ValueError, "format must be one of amxfp4, .*fpq-nf3, not 'afpq-"),
    (X, {"format": "amxfp4", "packed": True}, ValueError, "packed must be False .*, not True"),
]


@pytest.mark.parametrize(("x", "options", "error", "message"), QUANTIZE)
def test_quantize_wrong(x: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize(x, **{"format": "afpq-nf4", **options})


def _blocks(**changes: Any) -> golden.WeightBlocks:
    fields = {name: getattr(B, name) for name in B.__slots__}
    return golden.WeightBlocks(**(fields | changes))


ONE = np.ones((2, 2), np.float32)
BLOCKS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"codes": B.codes.astype(np.int8)}, TypeError, "codes must be an array of uint8, not int8"),
    ({"codes": B.codes | 8}, ValueError, "codes must be at most 7, not 15"),
    ({"codes": B.codes[:, :1]}, ValueError, r"codes must be of shape \(2, 2, 128\) for a tensor"),
    ({"block": -1}, ValueError, r"codes must be of shape \(2, 1, 130\) for a tensor"),
    ({"shape": (2, 0)}, ValueError, r"shape must be one or more positive sizes, not \(2, 0\)"),
    ({"axis": 3}, ValueError, "axis must be from -2 to 1, not 3"),
    ({"format": "amxfp4"}, ValueError, "format must be one of afpq-fp4, .*, not 'amxfp4'"),
    ({"format": "fpq-nf3"}, ValueError, "scale_neg must be None for fpq-nf3, not array"),
    ({"scale_neg": None}, ValueError, "scale_neg must be given for afpq-nf3, not None"),
    ({"packed": True}, TypeError, "scale_pos must be an array of float16 with packed=True, not fl"),
    ({"scale_pos": ONE[:1]}, ValueError, r"scale_pos must be of shape \(2, 2\), not \(1, 2\)"),
    ({"scale_pos": -ONE}, ValueError, r"scale_pos must be finite and at least 0, or NaN, not -1\."),
    ({"scale_neg": ONE * np.inf}, ValueError, "scale_neg must be finite .*, or NaN, not inf"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BLOCKS)
def test_blocks_wrong(changes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _blocks(**changes)


@pytest.mark.parametrize("call", [golden.matmul, golden.dot])
def test_no_products(call: Any) -> None:
    """The array cannot multiply them, and the error says why."""
    x = golden.quantize(X)
    message = "must be of E2M1 .* which the array multiplies, not WeightBlocks of afpq-nf3"
    for name, operands in (("a", (B, x)), ("b", (x, B))):
        with pytest.raises(TypeError, match=f"{name} {message}"):
            call(*operands)


@pytest.mark.parametrize(("name", "call"), [("A", engine.operand_a), ("B", engine.operand_b)])
def test_no_operands_of_an_engine(name: str, call: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be of E2M1 .*, not WeightBlocks of afpq-nf3"):
        call(EngineConfig(), B)


def test_no_records_of_fp32_scales() -> None:
    with pytest.raises(ValueError, match=r"packed must be True for records, .* not False"):
        golden.pack(B)


CODES, SCALES = np.zeros((2, 5), np.uint8), np.zeros(2, np.uint16)
RECORDS = golden.pack(quantize(X, "afpq-nf3", packed=True))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"codes": CODES.astype(int)}, TypeError, "codes must be an array of uint8, not int64"),
        ({"codes": CODES + 8}, ValueError, "codes must be at most 7, not 8"),
        ({"scale_pos": SCALES.view(np.float16)}, TypeError, "scale_pos must be .* uint16"),
        ({"scale_neg": SCALES[:1]}, ValueError, r"scale_neg must be of shape \(2,\), not \(1,\)"),
        ({"scale_neg": None}, ValueError, "scale_neg must be given for afpq-nf3, not None"),
        ({"format": "fpq-nf3"}, ValueError, "scale_neg must be None for fpq-nf3"),
        ({"format": "amxfp4"}, ValueError, "format must be one of afpq-fp4, .*, not 'amxfp4'"),
        ({"output": "fp32"}, ValueError, "output must be one of fp16, bf16, not 'fp32'"),
    ],
)
def test_words(change: dict[str, Any], error: type[Exception], match: str) -> None:
    """Words are of codes and scales that fit the format."""
    good: dict[str, Any] = {
        "codes": CODES,
        "scale_pos": SCALES,
        "scale_neg": SCALES,
        "format": "afpq-nf3",
    }
    assert golden.weight_words(**good).shape == CODES.shape
    with pytest.raises(error, match=match):
        golden.weight_words(**good | change)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"raw": RECORDS.astype(int)}, TypeError, "raw must be an array of uint8, not int64"),
        ({"raw": RECORDS[:, :1]}, ValueError, r"raw must be of shape \(2, 2, 52\), not"),
        ({"format": "afpq-nf4"}, ValueError, r"raw must be of shape \(2, 2, 68\), not"),
        ({"block": 32}, ValueError, "block must be one of 128, -1, not 32"),
        ({"raw": RECORDS | 0x80}, ValueError, "scale_pos must be finite and at least 0, or NaN"),
    ],
)
def test_unpack(change: dict[str, Any], error: type[Exception], match: str) -> None:
    """Records are those of a tensor, with scales that weights may have."""
    good: dict[str, Any] = {"raw": RECORDS, "format": "afpq-nf3", "shape": X.shape}
    unpack: Any = golden.unpack
    assert unpack(**good).shape == X.shape
    with pytest.raises(error, match=match):
        unpack(**good | change)


def test_good_input_is_not_refused() -> None:
    """What the tables above vary is accepted as it stands."""
    assert _blocks().shape == (2, 130)
    assert quantize(X, "afpq-nf4", packed=True, block=-1).codes.shape == (2, 1, 130)
