"""`fake_quantize`: values of the model in the tensor's own type, gradients passed through."""

from __future__ import annotations

import doctest
import itertools
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.golden.formats import values, words
from amxfp4.params.formats import FORMATS, block_format

torch = pytest.importorskip("torch", reason="pip install 'amxfp4[torch]'")
ours = pytest.importorskip("amxfp4.torch")

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
RAW = {"fp32": torch.uint32, "fp16": torch.uint16, "bf16": torch.uint16}


def test_examples() -> None:
    result = doctest.testmod(ours)
    assert result.failed == 0
    assert result.attempted > 12


@pytest.mark.parametrize("word", TYPES)
@pytest.mark.parametrize("format", FORMATS)
def test_values_are_those_of_the_model(format: str, word: str, rng: np.random.Generator) -> None:
    """Bit for bit, NaN and infinities among them, rounded to the tensor's words as numbers are."""
    raw = stimulus.blocks(rng, 400, 64, word, formats=[format])
    x = torch.from_numpy(raw.copy()).view(TYPES[word])
    cases: list[tuple[int, dict[str, Any]]] = [(-1, {}), (0, {"ties": "RNE", "block": 16})]
    if format == "nvfp4":
        cases += [(-1, {"tensor_scale": "auto"}), (-1, {"rule": "modelopt"})]
    for axis, options in cases:
        y = ours.fake_quantize(x, format, axis=axis, **options)
        blocks = golden.quantize(values(raw, word), format, axis=axis, **options)
        exact = golden.dequantize(blocks)
        assert (y.dtype, y.shape, y.device) == (x.dtype, x.shape, x.device)
        got, expected = y.view(RAW[word]).numpy(), words(exact, word)
        nan = np.isnan(exact)
        assert np.array_equal(got[~nan], expected[~nan])
        assert np.isnan(y.float().numpy()[nan]).all()


@pytest.mark.parametrize(
    ("word", "format"),
    [
        *itertools.product(["fp32", "bf16"], FORMATS),
        *(("fp16", f) for f, row in FORMATS.items() if row.scale.name != "e8m0"),
    ],
)
def test_where_nothing_is_rounded(word: str, format: str, rng: np.random.Generator) -> None:
    """As the docstring says: of finite words the values are exact in the words' own type."""
    row = block_format(format, 16)
    raw = stimulus.blocks(rng, 400, 16, word, formats=[format])
    if word == "fp16":
        every = rng.permutation(1 << 16).astype(np.uint16).reshape(-1, 16)
        near = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 16)
        raw = np.concatenate([raw, every, near])
    x = torch.from_numpy(raw.copy()).view(TYPES[word])
    x = x[torch.isfinite(x).all(dim=1)]
    exact = golden.dequantize(golden.quantize(x, row.name, block=16))
    assert np.array_equal(ours.fake_quantize(x, format, block=16).float().numpy(), exact)


def test_where_fp16_is_not_enough() -> None:
    """As the docstring says: what power-of-two scales give below 2^-24, and at 65536."""
    x = torch.tensor([2.0**-24, 65504], dtype=torch.float16)[:, None]
    low, high = ours.fake_quantize(x, "mxfp4-roundup", axis=-1).flatten().tolist()
    assert (low, high) == (2.0**-24, float("inf"))
    tiny = torch.tensor([3 * 2.0**-24, 2.0**-24], dtype=torch.float16)
    values = golden.dequantize(golden.quantize(tiny, "mxfp4"))
    assert torch.equal(ours.fake_quantize(tiny, "mxfp4"), torch.from_numpy(values).half())


@pytest.mark.parametrize("dtype", TYPES.values())
def test_gradient_passes_through(dtype: Any) -> None:
    """As if nothing had been done; the tensor of before is not changed."""
    x = torch.linspace(-9, 9, 96, dtype=dtype).reshape(2, 48).T.requires_grad_()
    before = x.detach().clone()
    weight = torch.arange(96, dtype=dtype).reshape(48, 2)
    y = ours.fake_quantize(x, "mxfp4", axis=0)
    (y * weight).sum().backward()
    assert torch.equal(x.grad, weight)
    assert torch.equal(x, before)
    assert not torch.equal(y, x)


def test_result_is_memory_of_its_own() -> None:
    x = torch.zeros(2, 32)
    ours.fake_quantize(x).fill_(1)
    assert not x.any()


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (np.ones(3, np.float32), {}, TypeError, "x must be Tensor, not ndarray"),
        (torch.ones(3).double(), {}, TypeError, "x must be .* bfloat16, not float64"),
        (torch.ones(3), {"axis": 1}, ValueError, "axis must be from -1 to 0, not 1"),
        (torch.ones(3), {"format": "fp5"}, ValueError, "format must be one of .*, not 'fp5'"),
        (torch.ones(3), {"ties": "RTZ"}, ValueError, "ties must be one of RNA, RNE, not 'RTZ'"),
        (torch.ones(0, 3), {}, ValueError, r"x must have .*, not shape \(0, 3\)"),
        (torch.ones(3), {"tie": "RNE"}, TypeError, "'tie'"),
    ],
)
def test_wrong(x: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ours.fake_quantize(x, **options)
