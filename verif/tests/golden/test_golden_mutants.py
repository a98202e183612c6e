"""Every kind of check can fail: the golden model, made wrong on purpose, is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import dequantizer, formats, reference, rounding, stimulus
from amxfp4.golden.coding import coder
from amxfp4.golden.products import accumulators, limbs, operands
from amxfp4.params.formats import FORMATS, FP32, Ties, block_format
from amxfp4.verif.tests.golden.oracle import (
    DATA,
    blocks_of,
    check_dequantize,
    check_matmul,
    check_quantize,
    check_reference,
    powers,
)

Patch = pytest.MonkeyPatch


def _quantize(format: str = "amxfp4", ties: str = "RNA", family: str | None = None) -> int:
    words = stimulus.blocks(np.random.default_rng(1), 150, 32, "fp32", family, formats=[format])
    return check_quantize(words, "fp32", format, ties)


def _reference() -> int:
    with np.load(DATA / "vectors" / "reference_public.npz") as data:
        return check_reference(data, "amxfp4|bf16|RNA")


def _records(format: str, seed: int) -> Any:
    return stimulus.records(np.random.default_rng(seed), 12, block_format(format, 16), nan=0.05)


def _dequantize() -> int:
    codes, pos, neg = _records("amxfp4", 1)
    return check_dequantize(codes, pos, neg, "amxfp4", "bf16")


def _product(format: str = "amxfp4", acc: str = "exact", bits: Any = None) -> int:
    a, b = (blocks_of(_records(format, seed), format, 4) for seed in (1, 2))
    return check_matmul(a, b, acc, "fp32", bits)


def _tie() -> int:
    # 2^30 + 2^6 + 2^-30: above the middle of two FP32 values by less than FP64 can say.
    a = powers([-15, 15, 3], [1, 1, 1], "amxfp4")
    return check_matmul(a, a)


def _tie_of_block() -> int:
    # 1 - 2^-25 - 2^-65 in one block, from three of the four pairs of signs.
    codes_a, codes_b = np.zeros((2, 1, 1, 16), np.uint8)
    codes_a[..., :3], codes_b[..., :3] = [2, 2, 10], [2, 10, 2]
    one, low, lower = (np.array([[127 - e]], np.uint8) for e in (0, 25, 65))
    a = golden.Blocks(codes_a, one, lower, "amxfp4-pot", (1, 16))
    b = golden.Blocks(codes_b, one, low, "amxfp4-pot", (1, 16))
    return check_matmul(a, b, "fp32")


@pytest.fixture(autouse=True)
def _fresh_tables(monkeypatch: Patch) -> None:
    """Make tables anew for each mutant."""
    monkeypatch.setattr(coder, "_tables", coder._Tables)


def _other_ties(patch: Patch) -> None:
    other = {Ties.RNA: Ties.RNE, Ties.RNE: Ties.RNA}
    for name in ("scale_thresholds", "element_thresholds"):
        real = getattr(formats, name)
        patch.setattr(coder, name, lambda row, ties, real=real: real(row, other[ties]))


def _element_ulp(patch: Patch) -> None:
    real = formats.element_thresholds
    off = np.zeros((7, 1), np.int32)
    off[3] = 1
    patch.setattr(coder, "element_thresholds", lambda row, ties: real(row, ties) + off)


def _scale_ulp(patch: Patch) -> None:
    real = formats.scale_thresholds
    patch.setattr(coder, "scale_thresholds", lambda row, ties: real(row, ties) - 1)


def _swapped_scales(patch: Patch) -> None:
    real = coder.Coder._encode

    def encode(self: Any, key: Any, count: Any) -> Any:
        return real(self, key, count)[::-1]

    patch.setattr(coder.Coder, "_encode", encode)


def _zero_scale(patch: Patch) -> None:
    patch.setattr(coder, "one_code", lambda row: 0)


def _nan_ignored(patch: Patch) -> None:
    def tables(*args: Any) -> Any:
        result = coder._Tables(*args)
        result.first_nan = 1 << 40
        return result

    patch.setattr(coder, "_tables", tables)


def _swapped_dequantize(patch: Patch) -> None:
    real = dequantizer._expand
    patch.setattr(dequantizer, "_expand", lambda c, p, n, table: real(c, n, p, table))


def _lost_digit(patch: Patch) -> None:
    real = limbs._limb_tables

    def tables(row: Any, width: int) -> Any:
        digits, unit = real(row, width)
        return [np.zeros_like(digits[0]), *digits[1:]], unit

    patch.setattr(limbs, "_limb_tables", tables)


def _wide_digits(patch: Patch) -> None:
    patch.setattr(limbs, "_limb_widths", lambda a, b, length: (36, 36))


def _rounded_twice(patch: Patch) -> None:
    def add(parts: Any) -> Any:
        return np.asarray(sum(parts[1:], parts[0]) + 0.0)

    patch.setattr(rounding, "round_to_odd", add)
    patch.setattr(accumulators, "round_to_odd", add)


def _truncated(patch: Patch) -> None:
    real = rounding.convert

    def convert(bits: Any, source: Any, target: Any) -> Any:
        cut = ~np.uint64((1 << 29) - 1) if source is rounding.FP64 else ~np.uint32(0)
        return real(bits & cut, source, target)

    patch.setattr(rounding, "convert", convert)


def _truncated_fp32(patch: Patch) -> None:
    def cut(x: Any) -> Any:
        return (x.view(np.int64) & -(1 << 29)).view(np.float64)

    patch.setattr(accumulators, "round_to_fp32", cut)


def _nan_scale_as_zero(patch: Patch) -> None:
    real = operands.Operand.of.__func__  # type: ignore[attr-defined]

    def of(cls: Any, b: golden.Blocks) -> operands.Operand:
        o = real(cls, b)
        return operands.Operand(o.row, o.codes, o.sides * ~o.nan, np.zeros_like(o.nan))

    patch.setattr(operands.Operand, "of", classmethod(of))


def _swapped_classes(patch: Patch) -> None:
    real = operands.Operand.classes
    patch.setattr(
        operands.Operand,
        "classes",
        lambda self: [(v, s) for (v, _), (_, s) in zip(real(self), real(self)[::-1], strict=True)],
    )


def _no_trunc(patch: Patch) -> None:
    patch.setattr(np, "trunc", np.floor)


FIXED: dict[str, Any] = {"acc": "fixed", "bits": (3, 12)}
MUTANTS: list[tuple[Callable[[Patch], None], Callable[..., int], dict[str, Any]]] = [
    (_other_ties, _quantize, {"family": "exact_ties"}),
    (_other_ties, _quantize, {"family": "exact_ties", "ties": "RNE", "format": "nvfp4"}),
    (_other_ties, _reference, {}),
    (_element_ulp, _quantize, {}),
    (_element_ulp, _quantize, {"format": "mxfp4"}),
    (_element_ulp, _reference, {}),
    (_scale_ulp, _quantize, {"family": "exact_ties"}),
    (_scale_ulp, _quantize, {"family": "exact_ties", "format": "mxfp4-roundup"}),
    (_swapped_scales, _quantize, {"family": "skewed"}),
    (_swapped_scales, _reference, {}),
    (_zero_scale, _quantize, {"family": "positive_only"}),
    (_nan_ignored, _quantize, {"family": "with_nan"}),
    (_swapped_dequantize, _dequantize, {}),
    (_swapped_dequantize, _reference, {}),
    (_lost_digit, _product, {}),
    (_wide_digits, _tie, {}),
    (_rounded_twice, _tie, {}),
    (_rounded_twice, _tie_of_block, {}),
    (_truncated, _product, {}),
    (_truncated_fp32, _product, {"acc": "fp32"}),
    (_nan_scale_as_zero, _product, {}),
    (_nan_scale_as_zero, _product, {"acc": "fp32"}),
    (_swapped_classes, _product, {"acc": "fp32"}),
    (_swapped_classes, _product, FIXED),
    (_no_trunc, _product, FIXED),
]


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


def test_flags_are_compared(monkeypatch: Patch) -> None:
    """A lost flag is found although every value is right."""
    real = accumulators.Fixed.add

    def add(*arguments: Any) -> accumulators.Sum:
        total = real(*arguments)
        assert total.flags is not None
        return accumulators.Sum(total.terms, total.flags & np.array([True, False]))

    assert _product(**FIXED) > 0
    monkeypatch.setattr(accumulators.Fixed, "add", add)
    with pytest.raises(AssertionError):
        _product(**FIXED)


def test_threshold_tables_are_all_used(monkeypatch: Patch) -> None:
    """Any single threshold moved by one FP32 value fails the exhaustive boundary check."""
    row = block_format("amxfp4", 32)
    real = formats.element_thresholds
    scale = np.array([6.0], np.float32)
    for k in range(7):
        keys = real(row, Ties.RNA)[:, 0x3C].astype(np.int64)
        words = np.zeros((1, 32), np.uint32)
        words[0, 0] = scale.view(np.uint32)[0]
        words[0, 1:22] = np.concatenate([keys - 1, keys, keys + 1])
        for off in (-1, 1):
            with monkeypatch.context() as patch:
                delta = (np.arange(7)[:, None] == k) * np.int32(off)
                patch.setattr(coder, "element_thresholds", lambda r, t, d=delta: real(r, t) + d)
                with pytest.raises(AssertionError):
                    check_quantize(words, "fp32", "amxfp4", "RNA")
        assert check_quantize(words, "fp32", "amxfp4", "RNA") == 1


def test_oracle_is_not_the_model(monkeypatch: Patch) -> None:
    """Breaking a helper of the model leaves the oracle as it was."""
    before = reference.quantize_block([reference.word_value(0x40C00000, FP32)], FORMATS["amxfp4"])
    monkeypatch.setattr(formats, "magnitude_value", lambda fmt, magnitude: 0)
    monkeypatch.setattr(rounding, "convert", None)
    after = reference.quantize_block([reference.word_value(0x40C00000, FP32)], FORMATS["amxfp4"])
    assert before == after
    assert before.codes[0] == 7
