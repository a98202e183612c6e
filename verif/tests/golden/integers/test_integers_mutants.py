"""What checks integers can fail: faults put into the model, each of which a check finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, integers, quantizer, rounding, stimulus
from amxfp4.golden.products import limbs, operands
from amxfp4.params.formats import block_format
from amxfp4.verif.tests.golden.oracle import (
    blocks_of,
    check_dequantize,
    check_matmul,
    check_quantize,
)

Patch = pytest.MonkeyPatch


def _quantize(format: str = "int4-asym", family: str = "offset", ties: str = "RNA") -> int:
    words = stimulus.blocks(np.random.default_rng(1), 60, 16, "fp32", family, formats=[format])
    return check_quantize(words, "fp32", format, ties)


def _inexact_sum() -> int:
    """Check a sum that is above a boundary by less than FP64 holds."""
    x = np.zeros((1, 16), np.float32)
    x[0, :2] = 15 * 1.125, -(2.0**-60)
    return check_quantize(x.view(np.uint32), "fp32", "int4-asym", "RNE")


def _records(format: str, seed: int) -> Any:
    return stimulus.records(np.random.default_rng(seed), 12, block_format(format, 16), nan=0.05)


def _dequantize(format: str = "int4-asym") -> int:
    codes, pos, other = _records(format, 1)
    return check_dequantize(codes, pos, other, format, "bf16")


def _product(format: str = "int4-asym", acc: str = "fp32") -> int:
    a, b = (blocks_of(_records(format, seed), format, 4) for seed in (1, 2))
    return check_matmul(a, b, acc)


def _largest() -> int:
    codes, scale = np.full((1, 1, 16), 8, np.uint8), np.full((1, 1), 0x7B, np.uint8)
    b = golden.Blocks(codes, scale, None, "int4", (1, 16))
    return check_matmul(b, b)


def _sum_to_nearest(patch: Patch) -> None:
    patch.setattr(integers, "round_to_odd", sum)


def _other_ends(patch: Patch) -> None:
    real = integers.range_codes
    patch.setattr(quantizer, "range_codes", lambda p, n, *rest: real(n, p, *rest))


def _largest_end(patch: Patch) -> None:
    real = rounding.round_to_odd
    patch.setattr(integers, "round_to_odd", lambda ends: real([np.maximum(*ends)]))


def _ties_of_scale(patch: Patch) -> None:
    real = integers._range_thresholds
    patch.setattr(integers, "_range_thresholds", lambda row, ties: np.nextafter(real(row, ties), 0))


def _bound_off(patch: Patch) -> None:
    real = np.clip
    patch.setattr(np, "clip", lambda x, low, high, **how: real(x, low + (low > 0), high, **how))


def _zero_point_below(patch: Patch) -> None:
    """One less, where the zero point is a tie."""
    real = integers.range_codes

    def codes(p: Any, n: Any, cut: int, row: Any, ties: Any, steps: Any) -> Any:
        return real(p, n, cut, row, ties, steps + 1)

    patch.setattr(quantizer, "range_codes", codes)


def _nan_keeps_zero_point(patch: Patch) -> None:
    real = quantizer._Coder._encode

    def encode(self: Any, key: Any, count: Any) -> Any:
        pos, zero = real(self, key, count)
        return pos, np.where(pos == self.tables.nan, 1, zero).astype(np.uint8)

    patch.setattr(quantizer._Coder, "_encode", encode)


def _sign_and_magnitude(patch: Patch) -> None:
    """Negative codes as E2M1 has them."""
    real = integers.count_integers

    def count(key: Any, steps: Any, zero: Any, element: Any, reached: Any, codes: Any) -> None:
        real(key, steps, zero, element, reached, codes)
        codes[codes > 8] = 24 - codes[codes > 8]

    patch.setattr(quantizer, "count_integers", count)


def _no_minus_8(patch: Patch) -> None:
    real = formats.element_values
    for module in (formats, operands, limbs, golden.dequantizer):
        patch.setattr(module, "element_values", lambda row: np.maximum(real(row), -7))
    golden.dequantizer._value_bits.cache_clear()


def _zero_point_lost(patch: Patch) -> None:
    real = formats.element_index
    for module in (operands, golden.dequantizer):
        patch.setattr(module, "element_index", lambda row, codes, zero: real(row, codes, zero * 0))


def _most_of_encoders(patch: Patch) -> None:
    """Limbs as wide as the largest code that is written."""
    patch.setattr(limbs, "element_values", lambda row: np.clip(formats.element_values(row), -7, 7))


MUTANTS: list[tuple[Callable[[Patch], None], Callable[..., int], dict[str, Any]]] = [
    (_sum_to_nearest, _inexact_sum, {}),
    (_other_ends, _quantize, {}),
    (_largest_end, _quantize, {"family": "normal"}),
    (_ties_of_scale, _quantize, {"family": "exact_ties", "ties": "RNE"}),
    (_bound_off, _quantize, {"family": "exact_ties"}),
    (_zero_point_below, _quantize, {"family": "exact_ties"}),
    (_nan_keeps_zero_point, _quantize, {"family": "with_nan"}),
    (_sign_and_magnitude, _quantize, {"format": "int4", "family": "normal"}),
    (_no_minus_8, _dequantize, {"format": "int4"}),
    (_no_minus_8, _product, {"format": "int4"}),
    (_zero_point_lost, _dequantize, {}),
    (_zero_point_lost, _product, {}),
    (_zero_point_lost, _product, {"acc": "exact"}),
    (_most_of_encoders, _largest, {}),
]


@pytest.fixture(autouse=True)
def _fresh_tables(monkeypatch: Patch) -> Any:
    """Make tables anew for each mutant, and let none outlive it."""
    monkeypatch.setattr(quantizer, "_tables", quantizer._Tables)
    monkeypatch.setattr(limbs, "_limb_tables", limbs._limb_tables.__wrapped__)
    yield
    golden.dequantizer._value_bits.cache_clear()


@pytest.mark.parametrize(("mutate", "check", "options"), MUTANTS)
def test_mutant_is_found(
    mutate: Callable[[Patch], None],
    check: Callable[..., int],
    options: dict[str, Any],
    monkeypatch: Patch,
) -> None:
    """The check passes as things are, and fails on the mutant."""
    assert check(**options) > 0
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check(**options)
