"""The golden model takes tensors of PyTorch, and gives what it gives for arrays of their words."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden.quality import sqnr

torch = pytest.importorskip("torch", reason="pip install 'amxfp4[torch]'")

TYPES = {
    "float32": (torch.float32, torch.uint32, np.float32),
    "float16": (torch.float16, torch.uint16, np.float16),
    "bfloat16": (torch.bfloat16, torch.uint16, ml_dtypes.bfloat16),
}
LAYOUTS: dict[str, Any] = {
    "whole": lambda t: t,
    "transposed": lambda t: t.transpose(0, -1),
    "a part": lambda t: t[3:, 5:77:2],
    "expanded": lambda t: t[:, :1].expand(-1, 40),
    "one axis": lambda t: t.reshape(-1),
}


def words(kind: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """Make every word of 16 bits, or so many of 32, as a tensor and as an array."""
    dtype, raw, array_dtype = TYPES[kind]
    bits = np.arange(1 << 16).reshape(512, 128)
    if kind == "float32":
        bits = bits << 16 | rng.integers(0, 1 << 16, bits.shape)
    array = bits.astype(f"u{raw.itemsize}")
    return torch.from_numpy(array.copy()).view(dtype), array.view(array_dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES)
def test_values_are_those_of_the_words(kind: str, layout: str, rng: np.random.Generator) -> None:
    tensor, array = words(kind, rng)
    shown = LAYOUTS[layout](tensor)
    positions = LAYOUTS[layout](torch.arange(array.size).reshape(array.shape)).numpy()
    expected = array.reshape(-1)[positions]
    for format, axis in (("amxfp4", 0), ("mxfp4", -1)):
        a, b = (
            golden.quantize(shown, format, axis=axis),
            golden.quantize(expected, format, axis=axis),
        )
        assert a.shape == b.shape
        assert np.array_equal(golden.pack(a), golden.pack(b))


def test_ratio_of_tensors() -> None:
    x = torch.tensor([3.0, 4.0], dtype=torch.bfloat16)
    assert sqnr(x, x + 0.5) == pytest.approx(10 * np.log10(50))
    assert sqnr(x.double(), torch.tensor([3.0, 4.5], dtype=torch.float16)) == pytest.approx(20)


def test_negation_that_was_put_off() -> None:
    """PyTorch exports such a tensor as the positive one."""
    x = torch.tensor([1 + 2j, 3 - 4j]).conj().imag
    assert x.is_neg()
    assert golden.dequantize(golden.quantize(x, "mxfp4")).tolist() == [-2, 4]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: torch.ones(3, requires_grad=True), TypeError, "not Tensor: .* tensor.detach()"),
        (lambda: torch.nn.Linear(3, 3).weight, TypeError, "not Parameter: .* tensor.detach()"),
        (lambda: torch.ones(3, 3).to_sparse(), TypeError, "not Tensor: .* layout"),
        (lambda: torch.ones(3).to(torch.float8_e4m3fn), TypeError, "can read, not Tensor: "),
        (lambda: torch.ones(3, device="meta"), TypeError, "can read, not Tensor: .* meta"),
        (lambda: torch.ones(3).double(), TypeError, "or bfloat16, not float64"),
        (lambda: torch.arange(3), TypeError, "or bfloat16, not int64"),
        (lambda: torch.tensor(1.0), ValueError, r"along an axis, not shape \(\)"),
    ],
)
def test_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^x must .*{message}"):
        golden.quantize(make())
