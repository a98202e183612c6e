"""Every check of the weight formats can fail: golden, made wrong on purpose, is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden.weights import dequantizer, quantizer
from amxfp4.params import weights
from amxfp4.verif.tests.golden.weights.exact import check_vectors, check_weights
from amxfp4.verif.tests.golden.weights.stimulus import FAMILIES

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]
Coder: Any = quantizer._Coder


def _family(family: str, format: str = "afpq-nf4", packed: bool = False) -> int:
    x = FAMILIES[family](np.random.default_rng(1), format.partition("-")[2], 6)
    return check_weights(x, format, packed=packed)


def _padded(packed: bool = False) -> int:
    return check_weights(np.ones((1, 5), np.float32), "afpq-fp4", packed=packed)


def _nan() -> int:
    x = np.array([np.nan, 1], np.float32)
    b = golden.quantize(x, "afpq-nf4")
    assert (b.codes == 7).all()
    assert np.isnan(golden.dequantize(b)).all()
    return x.size


def _vectors(case: str = "nf4|asym|g128") -> int:
    return check_vectors(case)


def _steps(change: Callable[[Any], Any]) -> Mutant:
    """Make a mutant of other thresholds."""
    real = quantizer._steps

    def other_steps(patch: Patch) -> None:
        patch.setattr(quantizer, "_steps", lambda values: change(real(values)))

    return other_steps


def _one_step(steps: Any) -> Any:
    return np.where(np.arange(len(steps)) == 4, np.nextafter(steps, np.float32(9)), steps)


_ties_up = _steps(lambda steps: np.nextafter(steps, np.float32(-9)))
_moved = _steps(_one_step)
_second_zero = _steps(lambda steps: np.where(np.arange(len(steps)) == 7, np.float32(0), steps))


def _method(name: str, change: Callable[..., Any]) -> Mutant:
    """Make a mutant of a method of the coder: `change` gets the real one first."""
    real = getattr(Coder, name)

    def other_method(patch: Patch) -> None:
        patch.setattr(Coder, name, lambda *args: change(real, *args))

    return other_method


_swapped = _method("_quotients", lambda real, self, x, scales: real(self, x, scales[::-1]))
_one_scale = _method(
    "_scales", lambda real, self, x: [np.maximum(*both) for both in [real(self, x)] for _ in both]
)
_not_again = _method("_code_again", lambda real, *args: None)
_unrounded_scales = _method(
    "_code_again", lambda real, self, codes, scales, kept: real(self, codes, scales, scales)
)


def _reciprocal(real: Any, self: Any, x: Any, scales: Any) -> Any:
    inverse = [np.where(s > 0, np.float32(1) / s, np.float32(0))[:, None] for s in scales]
    return x * np.where(x > 0, inverse[0], inverse[-1])


_by_reciprocal = _method("_quotients", _reciprocal)
_empty_group = _method("_scales", lambda real, self, x: [s * x.any(1) for s in real(self, x)])
_scale_ulp = _method(
    "_scales", lambda real, self, x: [np.nextafter(s, np.float32(np.inf)) for s in real(self, x)]
)


def _fp16_last(patch: Patch) -> None:
    """Take values to FP32 where they belong in FP16."""
    real = dequantizer._values
    patch.setattr(dequantizer, "_values", lambda t, p, n, packed: real(t, p, n, False))


def _swapped_values(patch: Patch) -> None:
    real = dequantizer._values
    patch.setattr(dequantizer, "_values", lambda t, p, n, packed: real(t, n, p, packed))


def _minus_zero(patch: Patch) -> None:
    real = dequantizer._values

    def values(*arguments: Any) -> Any:
        found = real(*arguments)
        found[found == 0] = -0.0
        return found

    patch.setattr(dequantizer, "_values", values)


def _unrounded_table(patch: Patch) -> None:
    """Take a value of QLoRA's table that was not rounded to FP16."""
    row = weights.WEIGHT_FORMATS["afpq-nf4"]
    changed = dataclasses.replace(row, values=(*row.values[:-2], 0.7229568362236023, 1.0))
    patch.setitem(weights.WEIGHT_FORMATS, "afpq-nf4", changed)


def _zero_code(patch: Patch) -> None:
    patch.setattr(weights.WeightFormat, "zero", property(lambda self: 0))


MUTANTS: list[tuple[Mutant, Callable[..., int], dict[str, Any]]] = [
    (_ties_up, _family, {"family": "ties"}),
    (_ties_up, _family, {"family": "ties", "format": "fpq-fp3"}),
    (_moved, _family, {"family": "ties"}),
    (_moved, _family, {"family": "ties", "format": "fpq-fp4"}),
    (_second_zero, _family, {"family": "usual", "format": "afpq-fp4"}),
    (_second_zero, _vectors, {"case": "fp4|asym|g-1"}),
    (_swapped, _family, {"family": "skewed"}),
    (_swapped, _vectors, {}),
    (_one_scale, _family, {"family": "skewed"}),
    (_one_scale, _vectors, {}),
    (_not_again, _family, {"family": "fp16_scales", "packed": True}),
    (_unrounded_scales, _family, {"family": "fp16_scales", "packed": True}),
    (_by_reciprocal, _family, {"family": "ties"}),
    (_empty_group, _family, {"family": "one_sided"}),
    (_empty_group, _vectors, {"case": "fp3|sym|g128"}),
    (_scale_ulp, _family, {"family": "usual", "format": "fpq-fp4"}),
    (_scale_ulp, _vectors, {}),
    (_fp16_last, _family, {"family": "usual", "packed": True}),
    (_fp16_last, _vectors, {}),
    (_swapped_values, _family, {"family": "skewed"}),
    (_minus_zero, _family, {"family": "usual"}),
    (_unrounded_table, _family, {"family": "usual"}),
    (_zero_code, _padded, {}),
    (_zero_code, _nan, {}),
]


@pytest.mark.parametrize(("mutate", "check", "options"), MUTANTS)
def test_mutant_is_found(
    mutate: Mutant,
    check: Callable[..., int],
    options: dict[str, Any],
    monkeypatch: Patch,
) -> None:
    """The check passes as things are, and fails on the mutant."""
    assert check(**options) > 0
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check(**options)
