"""The factor of a tensor: R(x / t) in, R(q R(s t)) out, R(sum R(t t)) of a product."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import engine, reference
from amxfp4.golden.factor.tensor_scale import auto_scale
from amxfp4.golden.quality import sqnr
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import E4M3, FP32, block_format

VECTORS = np.load(Path(__file__).parents[3] / "data" / "vectors" / "nvfp4_modelopt.npz")
CASES = sorted({key.rpartition("|x")[0] for key in VECTORS.files if key.endswith("|x")})


def rounded(x: reference.Number) -> float:
    """R of an exact number, by the oracle that knows no NumPy."""
    word = reference.round_to_word(x, FP32)
    return float(np.uint32(word).view(np.float32))


@pytest.mark.parametrize("case", CASES)
def test_modelopt_in_every_block(case: str) -> None:
    """Codes, scales, factor and values are ModelOpt's; of zeros alone, ours are 1."""
    x = VECTORS[f"{case}|x"]
    x = x.view(ml_dtypes.bfloat16) if x.dtype == np.uint16 else x
    b = golden.quantize(x, "nvfp4", rule="modelopt")
    if case.startswith("zero"):
        assert (b.codes == 0).all()
        assert (b.scale_pos == 0x38).all()
        assert b.tensor_scale == 1
        return
    wanted = {part: VECTORS[f"{case}|modelopt|{part}"] for part in ("codes", "scale", "t", "y")}
    assert b.tensor_scale == wanted["t"]
    assert np.array_equal(b.scale_pos, wanted["scale"])
    codes = np.where(wanted["codes"] == 8, 0, wanted["codes"])
    assert np.array_equal(b.codes.reshape(codes.shape), codes)
    assert np.array_equal(golden.dequantize(b), wanted["y"])


def test_modelopt_next_to_ties(rng: np.random.Generator) -> None:
    """Maxima around each midpoint of two scales, by any factor: decided on R(m / R(6 t))."""
    values = [reference.word_value(code, E4M3) for code in range(E4M3.max_magnitude + 1)]
    for _ in range(5):
        t = np.float32(rng.uniform(0.5, 2) * 2.0 ** rng.integers(-20, 10))
        divisor = Fraction(rounded(6 * Fraction(float(t))))
        chosen = rng.integers(1, len(values) - 1, 50)
        x = np.zeros((150, 16), np.float32)
        wanted = []
        for n, low in enumerate(chosen):
            middle = np.float32(float((values[low] + values[low + 1]) / 2 * divisor))
            for step, m in enumerate((np.nextafter(middle, np.float32(0)), middle,
                                      np.nextafter(middle, np.float32(np.inf)))):  # fmt: skip
                x[3 * n + step, 0] = m
                quotient = Fraction(rounded(Fraction(float(m)) / divisor))
                nearest = min(abs(quotient - v) for v in values if isinstance(v, Fraction))
                codes = [c for c, v in enumerate(values) if abs(quotient - v) == nearest]
                wanted.append(min(codes, key=lambda c: c % 2))
        b = golden.quantize(x, "nvfp4", rule="modelopt", tensor_scale=float(t))
        assert b.scale_pos[:, 0].tolist() == wanted


def test_cases_are_there() -> None:
    """A file without vectors is no test."""
    assert len(CASES) == 22


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("t", [0.37, 2.0**-140, 3.0e30, "auto"])
@pytest.mark.parametrize("format", ["nvfp4", "amxfp4", "mxfp4"])
def test_by_fractions(rng: np.random.Generator, format: str, t: Any, dtype: Any) -> None:
    """Quotients and values are rounded to FP32 once each, codes decided on the quotients."""
    row = block_format(format)
    x = (rng.standard_normal((3, row.block)) * rng.choice([1e-3, 1, 100], (3, 1))).astype(dtype)
    x[0, :3] = 0
    t = t if isinstance(t, str) else float(np.float32(t))
    b = golden.quantize(x, format, tensor_scale=t, ties="RNE")
    factor = Fraction(b.tensor_scale)
    if t == "auto":
        top = Fraction(float(np.abs(x.astype(np.float64)).max()))
        wanted = rounded(top / 2688) if format == "nvfp4" else 1.0
        assert b.tensor_scale == wanted
    y = golden.dequantize(b)
    for line in range(3):
        quotients = [rounded(Fraction(float(v)) / factor) for v in x[line]]
        exact = [Fraction(q) if np.isfinite(q) else q for q in quotients]
        block = reference.quantize_block(exact, row, "RNE")
        assert b.codes[line, 0].tolist() == list(block.codes)
        assert b.scale_pos[line, 0] == block.scale_pos
        values = reference.dequantize_block(block, row)
        for got, value, code in zip(y[line], values, block.codes, strict=True):
            if isinstance(value, float):
                assert np.isnan(got)
                continue
            element = Fraction((0, 0.5, 1, 1.5, 2, 3, 4, 6)[code & 7]) * (-1 if code & 8 else 1)
            if element == 0 or value == 0:
                assert got == 0
                assert not np.signbit(got)
                continue
            scaled = rounded(value / element * factor)
            infinite = np.inf if element > 0 else -np.inf
            wanted_value = rounded(Fraction(scaled) * element) if np.isfinite(scaled) else infinite
            assert got == wanted_value


@pytest.mark.parametrize("out", ["fp32", "bf16"])
@pytest.mark.parametrize("divides", [False, True])
def test_products(rng: np.random.Generator, out: str, divides: bool) -> None:
    """R(R(sum) R(t_A t_B)), and as the last step to BF16; a divisor g counts as R(1 / g)."""
    x, w = rng.standard_normal((5, 64)), rng.standard_normal((64, 7)) * 1e-3
    a = golden.quantize(x.astype(np.float32), "nvfp4", tensor_scale="auto")
    b = golden.quantize(w.astype(np.float32), "nvfp4", axis=0, tensor_scale="auto")
    if divides:
        b = dataclasses.replace(b, tensor_scale=float(np.float32(1 / b.tensor_scale)), divides=True)
    plain = golden.matmul(a.plain, b.plain, out=out)
    t = rounded(1 / Fraction(b.tensor_scale)) if divides else b.tensor_scale
    factor = Fraction(rounded(Fraction(a.tensor_scale) * Fraction(t)))
    wanted = [[rounded(Fraction(float(v)) * factor) for v in line] for line in plain]
    expected = np.array(wanted, np.float32)
    if out == "bf16":
        expected = expected.astype(ml_dtypes.bfloat16).astype(np.float32)
    assert np.array_equal(golden.matmul(a, b, out=out), expected)
    rows = dataclasses.replace(a, codes=a.codes[:5], shape=(5, 64))
    same = golden.dot(rows, rows, out=out)
    assert np.array_equal(same, np.diag(golden.matmul(rows, rows, out=out)))


def test_small_weights_survive(rng: np.random.Generator) -> None:
    """Weights of a standard deviation of 0.001: nothing without the factor, 20 dB with it."""
    w = (rng.standard_normal((64, 128)) * 1e-3).astype(np.float32)
    assert sqnr(w, golden.dequantize(golden.quantize(w, "nvfp4"))) == 0
    assert sqnr(w, golden.dequantize(golden.quantize(w, "nvfp4", tensor_scale="auto"))) > 20


@pytest.mark.parametrize(("x", "wanted"), [
    ([0, 0], 1), ([np.nan, np.nan], 1), ([np.inf, 2688], 1), ([np.nan, -5376], 2),
    ([1e-45, 0], 2.0**-149), ([3.4028235e38, 1], np.float32(3.4028235e38) / np.float32(2688)),
])  # fmt: skip
def test_auto_scale(x: Any, wanted: float) -> None:
    """NaN and infinity are passed over; a factor is never 0."""
    array = np.array(x, np.float32)
    row = block_format("nvfp4")
    assert auto_scale(array, row) == wanted
    assert auto_scale(np.broadcast_to(array, (400_000, 2)), row) == wanted
    assert auto_scale(array, block_format("mxfp4")) == 1
    golden.quantize(array, "nvfp4", tensor_scale="auto", rule="modelopt")  # no warning


def test_infinity_and_nan_with_a_factor() -> None:
    """As without: the block is NaN, or the scale saturates."""
    for rule in ("nearest", "modelopt"):
        x = np.zeros((2, 16), np.float32)
        x[0, 1], x[1, 2], x[1, 3] = np.nan, -np.inf, 2688
        b = golden.quantize(x, "nvfp4", tensor_scale=1.0, rule=rule)
        assert b.scale_pos[:, 0].tolist() == [0x7F, 0x7E]
        assert b.codes[0].max() == 0
        assert b.codes[1, 0, :4].tolist() == [0, 0, 15, 7]


@pytest.mark.parametrize("t", [2.5, 1 / 3])
@pytest.mark.parametrize("divides", [False, True])
def test_saved(rng: np.random.Generator, tmp_path: Path, t: float, divides: bool) -> None:
    """A factor comes back from a file; a file without one is as it was."""
    x = rng.standard_normal((4, 32)).astype(np.float32)
    plain = golden.quantize(x, "nvfp4")
    b = dataclasses.replace(plain, tensor_scale=float(np.float32(t)), divides=divides)
    golden.save_blocks(tmp_path / "q.safetensors", {"a": b, "b": plain})
    back = golden.load_blocks(tmp_path / "q.safetensors")
    for name, wanted in (("a", b), ("b", plain)):
        assert (back[name].tensor_scale, back[name].divides) == (
            wanted.tensor_scale, wanted.divides,
        )  # fmt: skip
        assert np.array_equal(golden.dequantize(back[name]), golden.dequantize(wanted))


@pytest.mark.parametrize("requantize", ["none", "amxfp4"])
def test_engine_knows_no_factor(rng: np.random.Generator, requantize: str) -> None:
    """Its packets are those of the codes; what it returns gets the factor behind it."""
    config = EngineConfig(format_b="nvfp4", block=16, lanes=4, requantize=requantize)
    b = golden.quantize(
        (rng.standard_normal((32, 48)) * 1e-3).astype(np.float32), "nvfp4", axis=0,
        tensor_scale="auto",
    )  # fmt: skip
    a = engine.operand_a(config, rng.standard_normal((3, 32)).astype(np.float32))[0]
    c, _ = engine.expected(config, a, b)
    plain, _ = engine.expected(config, a, b.plain)
    if requantize == "none":
        assert not isinstance(plain, golden.Blocks)
        assert not isinstance(c, golden.Blocks)
        assert np.array_equal(c, plain * np.float32(b.tensor_scale))
        return
    assert isinstance(c, golden.Blocks)
    assert isinstance(plain, golden.Blocks)
    assert np.array_equal(golden.pack(c), golden.pack(plain))
    assert c.tensor_scale == b.tensor_scale


X = np.ones((2, 16), np.float32)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"tensor_scale": 0}, ValueError, "tensor_scale must be finite and above 0, not 0"),
    ({"tensor_scale": -1.0}, ValueError, "tensor_scale must be finite and above 0, not -1.0"),
    ({"tensor_scale": np.inf}, ValueError, "tensor_scale must be finite and above 0, not inf"),
    ({"tensor_scale": np.nan}, ValueError, "tensor_scale must be finite and above 0, not nan"),
    ({"tensor_scale": 0.1}, ValueError, "tensor_scale must be a value of FP32, not 0.1"),
    ({"tensor_scale": "max"}, ValueError, "must be a number above 0 or 'auto', not 'max'"),
    ({"tensor_scale": [1]}, TypeError, r"tensor_scale must be a number, not \[1\]"),
    ({"rule": "other"}, ValueError, "rule must be one of nearest, modelopt, not 'other'"),
    ({"rule": "modelopt", "format": "mxfp4"}, ValueError, "format must be nvfp4 in blocks of 16"),
    ({"rule": "modelopt", "block": 32}, ValueError, "with rule 'modelopt', not 'nvfp4' in blocks"),
    ({"rule": "modelopt", "ties": "RNA"}, ValueError, "ties must be 'RNE' with rule 'modelopt'"),
])  # fmt: skip
def test_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """What is wrong is named, with its value."""
    with pytest.raises(error, match=message):
        golden.quantize(X, **{"format": "nvfp4", **options})
    if "tensor_scale" in options and options["tensor_scale"] in (0.1, "max"):
        with pytest.raises((TypeError, ValueError), match="tensor_scale must be"):
            dataclasses.replace(golden.quantize(X), tensor_scale=options["tensor_scale"])
