"""GPTQ against golden where both are one, against a slow loop, and on a tiny model."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.accuracy import gptq
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.prepared import prepared
from amxfp4.verif.tests.accuracy import slowly, tiny

FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("mxfp4", {}), ("amxfp4", {"ties": "RNE"}), ("nvfp4", {"tensor_scale": "auto"}), ("int4", {}),
    ("int4-asym", {}), ("amxfp4", {"search": (-2, 3)}), ("nvfp4-46", {"tensor_scale": "auto"}),
    ("afpq-nf4", {}), ("afpq-fp4", {"block": -1}), ("fpq-nf3", {}), ("mxint3", {"block": 16}),
]  # fmt: skip


def problem(rng: np.random.Generator, rows: int, n: int, tokens: int) -> tuple[Any, Any]:
    """Weights, and the Hessian of inputs that depend on one another."""
    weight = (rng.standard_normal((rows, n)) * 0.05).astype(np.float32)
    mixed = rng.standard_normal((tokens, 8)) @ rng.standard_normal((8, n))
    x = mixed + 0.3 * rng.standard_normal((tokens, n))
    return weight, x.T @ x


@pytest.mark.by_day(2)
@pytest.mark.parametrize(("format", "options"), FORMATS)
def test_identity_is_golden(format: str, options: Any, rng: np.random.Generator) -> None:
    """Where no column says anything about another, codes and scales are golden's, ties as well."""
    weight = (rng.standard_normal((9, 150)) * 0.05).astype(np.float32)
    weight[0, :40] = rng.choice([-6, -2.5, -0.25, 0, 0.75, 5, 7, 7.5], 40)
    plain = golden.quantize(weight, format, axis=-1, **options)
    found = gptq.quantize(weight, np.eye(150), format, **options)
    assert np.array_equal(found.codes, plain.codes)
    assert all(map(np.array_equal, found.shared, plain.shared))
    same = golden.dequantize(found).view(np.uint32) == golden.dequantize(plain).view(np.uint32)
    assert same.all()


@pytest.mark.by_day(4)
@pytest.mark.parametrize(("format", "options"), FORMATS)
def test_error_is_smaller(format: str, options: Any, rng: np.random.Generator) -> None:
    """What a layer's outputs lose is much less; values are golden's of the codes and scales."""
    weight, hessian = problem(rng, 24, 150, 300)
    plain = golden.dequantize(golden.quantize(weight, format, axis=-1, **options))
    found = gptq.quantize(weight, hessian, format, **options)
    assert found.shape == weight.shape
    if isinstance(found, golden.Blocks):
        assert found.codes.max() < 1 << found.row.element.width
    lost = gptq.error(weight, golden.dequantize(found), hessian)
    assert 0 < lost < 0.4 * gptq.error(weight, plain, hessian)


def slow(weight: Any, hessian: Any, format: str, damping: float) -> Any:
    """Values by one inverse a column, of what is left of the Hessian, and by distance."""
    n, w = weight.shape[1], weight.astype(np.float64)
    damped = hessian + damping * np.mean(np.diag(hessian)) * np.eye(n)
    values, size = np.empty(w.shape), golden.quantize(weight, format).block
    levels: Any = None
    for i in range(n):
        if i % size == 0:
            b = golden.quantize(w[:, i : i + size].astype(np.float32), format)
            every = np.resize(np.arange(16, dtype=np.uint8), (len(w), 1, size))
            levels = golden.dequantize(dataclasses.replace(b, codes=every))[:, :16]
        inverse = np.linalg.inv(damped[i:, i:])
        for r in range(len(w)):
            values[r, i] = levels[r][np.abs(levels[r] - w[r, i]).argmin()]
            w[r, i:] -= (w[r, i] - values[r, i]) / inverse[0, 0] * inverse[0]
    return values


def check(format: str) -> int:
    """Compare a small problem with the slow loop."""
    weight, hessian = problem(np.random.default_rng(3), 6, 48, 90)
    found = golden.dequantize(gptq.quantize(weight, hessian, format))
    assert np.array_equal(found, slow(weight, hessian, format, gptq.DAMPING))
    return found.size


def test_slow_loop() -> None:
    """Every value is that of a loop that shares no step with the fast one."""
    assert check("nvfp4") == 288


Patch = pytest.MonkeyPatch


def _no_damping(patch: Patch) -> None:
    real = gptq._upper
    patch.setattr(gptq, "_upper", lambda hessian, damping: real(hessian, 1e-9))


def _transposed(patch: Patch) -> None:
    real = gptq._upper
    patch.setattr(gptq, "_upper", lambda hessian, damping: real(hessian, damping).T.copy())


def _no_updates(patch: Patch) -> None:
    real = gptq._upper
    patch.setattr(gptq, "_upper", lambda *given: np.diag(np.diag(real(*given))))


def _later_blocks_as_they_were(patch: Patch) -> None:
    real = gptq._upper

    def upper(*given: Any) -> Any:
        found = real(*given)
        for first in range(0, len(found), 16):
            found[first : first + 16, first + 16 :] = 0
        return found

    patch.setattr(gptq, "_upper", upper)


def _early_scales(patch: Patch) -> None:
    """Scales of the weights as they were given."""
    real = golden.quantize
    seen: list[Any] = []

    def quantize(x: Any, format: str, **options: Any) -> Any:
        if not seen:
            seen.append(x)
        start = 16 * (len(seen) - 2)
        seen.append(x)
        return real(seen[0][:, start : start + 16] if start >= 0 else x, format, **options)

    patch.setattr(golden, "quantize", quantize)


@pytest.mark.parametrize(
    "mutate", [_no_damping, _transposed, _no_updates, _later_blocks_as_they_were]
)
def test_mutants_are_found(mutate: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """The slow loop tells a wrong step from the right one."""
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check("nvfp4")


def test_scales_are_of_the_updated_block(monkeypatch: Patch) -> None:
    """Scales fixed before anything was made up for are found, too."""
    weight, hessian = problem(np.random.default_rng(3), 6, 48, 90)
    wanted = slow(weight, hessian, "nvfp4", gptq.DAMPING)
    _early_scales(monkeypatch)
    found = gptq.quantize(weight, hessian, "nvfp4")
    monkeypatch.undo()
    assert not np.array_equal(golden.dequantize(found), wanted)


def test_inputs_that_are_never_there(rng: np.random.Generator) -> None:
    """A weight of an input that is always 0 is rounded as it is."""
    weight, hessian = problem(rng, 5, 64, 100)
    hessian[[3, 40]] = hessian[:, [3, 40]] = 0
    found = golden.dequantize(gptq.quantize(weight, hessian, "mxfp4"))
    plain = golden.dequantize(golden.quantize(weight, "mxfp4"))
    assert np.array_equal(found[:, 3], plain[:, 3])
    assert not np.array_equal(found, plain)


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (np.eye(32), {"format": "nvfp4", "rule": "modelopt"},
     "rule must be 'nearest' with gptq, not 'modelopt'"),
    (np.eye(32), {"format": "afpq-nf4", "packed": True}, "packed must be False with gptq"),
    (-np.eye(32), {"format": "mxfp4"}, "hessian must be positive semidefinite"),
    (np.eye(32), {"format": "fp5"}, "format must be one of"),
]  # fmt: skip


@pytest.mark.parametrize(("hessian", "options", "message"), BAD)
def test_bad_input(hessian: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        gptq.quantize(np.ones((2, 32), np.float32), hessian, **options)


def test_hessians_of_a_model(tmp_path: Path) -> None:
    """Each weight meets the sum of x x^T over its own inputs, as another model in FP64 has them."""
    model, windows = load(tiny.write(tmp_path)), tiny.windows()
    met: list[tuple[Any, Any]] = []

    def made(weight: Any, hessian: Any) -> Any:
        met.append((weight, hessian))
        return weight

    calibration = gptq._Calibration(made)
    tiny.losses(model, windows, calibration)
    calibration.finish()
    inputs: list[Any] = []

    def replace(operand: str, x: Any) -> Any:
        if operand == "input":
            inputs.append(x)
        return x

    for window in windows:
        slowly.losses(tiny.tensors(), tiny.KEYS, window.tolist(), replace)
    per_window = 4 * tiny.LAYERS
    assert len(met) == 7 * tiny.LAYERS
    order = ("query", "key", "value", "output", "gate", "up", "down")
    for place, (weight, hessian) in enumerate(met):
        layer, name = divmod(place, 7)
        assert np.array_equal(weight, getattr(model.layers[layer], order[name]))
        at = 4 * layer + (0, 0, 0, 1, 2, 2, 3)[name]
        wanted = sum(x.T @ x for x in inputs[at::per_window])
        assert np.allclose(hessian, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_model_has_goldens_values(tmp_path: Path) -> None:
    """A prepared model has other weights, each a value of its format, and loses less by them."""
    model, windows = load(tiny.write(tmp_path)), tiny.windows(6)
    options = {"gptq": True, "ties": "RNE"}
    found = prepared(model, "int4-asym", options, lambda: windows)
    assert found.embedding is model.embedding
    kept = lost = plain = 0.0
    for layer, before in zip(found.layers, model.layers, strict=True):
        for name in ("query", "key", "value", "output", "gate", "up", "down"):
            weight, old = getattr(layer, name), getattr(before, name)
            assert weight.dtype == np.float32
            assert weight.shape == old.shape
            kept += float((weight == old).mean()) / 14
            nearest = golden.dequantize(golden.quantize(old, "int4-asym", ties="RNE"))
            lost += float(np.square(weight - old).sum())
            plain += float(np.square(nearest - old).sum())
    assert kept < 0.5
    assert plain < lost < 4 * plain
    given = tiny.losses(model, windows)
    of_nearest = prepared(model, "int4-asym", {"ties": "RNE"}, lambda: windows)
    assert of_nearest is model
    changed = np.square(tiny.losses(found, windows) - given).mean()

    def rounded(operand: str, x: Any, axis: int) -> Any:
        if operand != "weight":
            return x
        return golden.dequantize(golden.quantize(x, "int4-asym", axis=axis, ties="RNE"))

    assert changed < np.square(tiny.losses(model, windows, rounded) - given).mean()
