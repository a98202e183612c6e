"""Bad input: the right exception, naming the parameter, what is allowed and what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amxfp4 import golden

X = np.ones((2, 40), np.float32)
B = golden.quantize(X)
SYM = golden.quantize(X, "mxfp4-e5m2")
Call = Any

QUANTIZE = [
    (np.ones(3), {}, TypeError, "x must be an array of dtype float32, float16 or .* not float64"),
    ([1, 2], {}, TypeError, "x must be an array of dtype .*, not int64"),
    (np.ones(3, np.uint16), {}, TypeError, "not uint16"),
    (np.float32(1), {}, ValueError, r"x must have one or more elements .*, not shape \(\)"),
    (np.ones((3, 0), np.float32), {}, ValueError, r"x must have .*, not shape \(3, 0\)"),
    (X, {"axis": 2}, ValueError, "axis must be from -2 to 1, not 2"),
    (X, {"axis": -3}, ValueError, "axis must be from -2 to 1, not -3"),
    (X, {"axis": 1.0}, TypeError, r"axis must be an integer, not 1\.0"),
    (X, {"axis": True}, TypeError, "axis must be an integer, not True"),
    (X, {"format": "fp4"}, ValueError, "format must be one of amxfp4, .*, not 'fp4'"),
    (X, {"format": 4}, TypeError, "format must be a string, not 4"),
    (X, {"ties": "RTZ"}, ValueError, "ties must be one of RNA, RNE, not 'RTZ'"),
    (X, {"ties": 0.5}, TypeError, "ties must be a string, not 0.5"),
    (X, {"block": 33}, ValueError, "block must be one of 16, 32, 64, 128, not 33"),
    (X, {"block": "32"}, TypeError, "block must be an integer, not '32'"),
]


@pytest.mark.parametrize(("x", "options", "error", "message"), QUANTIZE)
def test_quantize_wrong(x: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        golden.quantize(x, **options)


def _blocks(**changes: Any) -> golden.Blocks:
    fields = {name: getattr(B, name) for name in B.__slots__}
    return golden.Blocks(**(fields | changes))


BLOCKS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"codes": B.codes.astype(np.int8)}, TypeError, "codes must be an array of uint8, not int8"),
    ({"codes": [1]}, TypeError, "codes must be an array of uint8, not list"),
    ({"codes": B.codes[0, 0]}, ValueError, r"codes must be \[..., blocks, K\], not of .*\(32,\)"),
    ({"codes": B.codes[..., :20]}, ValueError, "block must be one of 16, 32, 64, 128, not 20"),
    ({"codes": B.codes | 16}, ValueError, "codes must be at most 15, not 2"),
    ({"codes": B.codes[:, :1]}, ValueError, r"codes must be of shape \(2, 2, 32\) for a tensor"),
    ({"shape": (2, 80)}, ValueError, r"codes must be of shape \(2, 3, 32\)"),
    ({"shape": (2, 0)}, ValueError, r"shape must be one or more positive sizes, not \(2, 0\)"),
    ({"shape": (2, 40.0)}, TypeError, r"shape must be a tuple of integers, not \(2, 40\.0\)"),
    ({"shape": 80}, TypeError, "shape must be a tuple of integers, not 80"),
    ({"axis": 5}, ValueError, "axis must be from -2 to 1, not 5"),
    ({"scale_pos": B.scale_pos[:1]}, ValueError, r"scale_pos must be of shape \(2, 2\), not"),
    ({"scale_neg": B.scale_pos[:1]}, ValueError, r"scale_neg must be of shape \(2, 2\), not"),
    ({"scale_neg": None}, ValueError, "scale_neg must be given for amxfp4, not None"),
    ({"format": "mxfp4"}, ValueError, "scale_neg must be None for mxfp4, not "),
    ({"scale_pos": 3}, TypeError, "scale_pos must be an array of uint8, not int"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BLOCKS)
def test_blocks_wrong(changes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _blocks(**changes)


RAW = golden.pack(B)
UNPACK = [
    (RAW.astype(np.int16), "amxfp4", (2, 40), TypeError, "raw must be an array of uint8, not int"),
    (RAW[..., :17], "amxfp4", (2, 40), ValueError, r"raw must be of shape \(2, 2, 18\), not"),
    (RAW, "mxfp4", (2, 40), ValueError, r"raw must be of shape \(2, 2, 17\), not \(2, 2, 18\)"),
    (RAW, "amxfp4", (40, 2), ValueError, r"raw must be of shape \(40, 1, 18\), not"),
    (RAW, "amxfp4", (), ValueError, r"shape must be one or more positive sizes, not \(\)"),
]


@pytest.mark.parametrize(("raw", "format", "shape", "error", "message"), UNPACK)
def test_unpack_wrong(raw: Any, format: str, shape: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        golden.unpack(raw, format, shape)


@pytest.mark.parametrize("call", [golden.pack, golden.dequantize])
def test_wrong_blocks(call: Call) -> None:
    with pytest.raises(TypeError, match="b must be Blocks, not ndarray"):
        call(X)


C, S = B.codes[:, 0], B.scale_pos[:, 0]
WORDS = [
    ((C.astype(int), S, S, "amxfp4"), TypeError, "codes must be an array of uint8, not int64"),
    ((C, [1], S, "amxfp4"), TypeError, "scale_pos must be an array of uint8, not list"),
    ((C, S, S[:1], "amxfp4"), ValueError, r"scale_neg must be of shape \(2,\), not \(1,\)"),
    ((C, S, None, "amxfp4"), ValueError, "scale_neg must be given for amxfp4, not None"),
    ((C, S, S, "mxfp4"), ValueError, "scale_neg must be None for mxfp4"),
    ((C | 64, S, S, "amxfp4"), ValueError, "codes must be at most 15, not "),
    ((C, S, S, "amxfp4", "fp16"), ValueError, "output must be one of bf16, fp32, not 'fp16'"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WORDS)
def test_dequantize_words_wrong(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        golden.dequantize_words(*arguments)


POT = golden.quantize(X, "mxfp4")
MATMUL = [
    ((X, B), {}, TypeError, "a must be Blocks, not ndarray"),
    ((B, X), {}, TypeError, "b must be Blocks, not ndarray"),
    ((B, golden.quantize(X, block=16)), {}, ValueError, "b must have blocks of 32 .*, not 16"),
    ((B, golden.quantize(X[:, :39])), {}, ValueError, "b must have a reduction axis of 40 .* 39"),
    ((B, POT), {}, ValueError, "acc must be fp32 or fused for .*mxfp4, not 'exact'"),
    ((POT, B), {"acc": "fixed"}, ValueError, "acc must be fp32 or fused for .*mxfp4, not 'fixed'"),
    (
        (B, B),
        {"acc": "fp16"},
        ValueError,
        "acc must be one of exact, fixed, fp32, fused, not 'fp16'",
    ),
    ((B, B), {"out": "fp16"}, ValueError, "out must be one of bf16, fp32, not 'fp16'"),
    ((B, B), {"frac_bits": 3}, ValueError, "frac_bits must be None unless acc is fixed, not 3"),
    ((B, B), {"acc": "fixed", "frac_bits": -1}, ValueError, "frac_bits must be from 0 to .* -1"),
    ((B, B), {"acc": "fixed", "int_bits": 2.0}, TypeError, r"int_bits must be an int.* not 2\.0"),
    ((B, B), {"max_blocks": 1}, ValueError, "max_blocks must be at least the 2 blocks .* not 1"),
    ((B, B), {"max_blocks": 0}, ValueError, "max_blocks must be from 1 to .*, not 0"),
]


@pytest.mark.parametrize("call", [golden.matmul, golden.dot])
@pytest.mark.parametrize(("operands", "options", "error", "message"), MATMUL)
def test_matmul_wrong(call: Call, operands: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(*operands, **options)


def test_matmul_wrong_shape() -> None:
    vector = golden.quantize(X[0])
    with pytest.raises(ValueError, match=r"a must be a matrix, not of shape \(40,\)"):
        golden.matmul(vector, B)
    with pytest.raises(ValueError, match=r"b must be a matrix, not of shape \(40,\)"):
        golden.matmul(B, vector)
    with pytest.raises(ValueError, match=r"b must have rows \(2,\) as a has, not \(\)"):
        golden.dot(B, vector)


def test_good_input_is_not_refused() -> None:
    """What the tables above vary is accepted as it stands."""
    assert golden.matmul(B, B, max_blocks=2).shape == (2, 2)
    assert golden.matmul(B, SYM, "fixed", frac_bits=0, int_bits=0)[0].shape == (2, 2)
    assert golden.unpack(RAW, "amxfp4-e5m2", [2, 40]).format == "amxfp4"
    assert _blocks().shape == (2, 40)
    golden.dequantize_words(C, S, S, "amxfp4")
