"""Formats of MX-QLLM that no hardware has: against its own values, and against fractions."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, stimulus, table
from amxfp4.golden.inspection.statistics import block_statistics
from amxfp4.golden.table import REFERENCE_FORMATS, row_of
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FORMATS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.tests.golden.oracle import DATA, TIES, check_dequantize, check_quantize

VECTORS = DATA / "vectors" / "mxqllm_int_public.npz"
MODES = {"s0": "", "s152": "-e5m2", "s143": "-e4m3"}
"""Suffix of formats with one scale, by the scale of a case."""


def _format(element: str, mode: str) -> str:
    two = element.endswith("_asym")
    name = element.removesuffix("_asym").replace("_", "-")
    if name == "int4" and mode != "s0":
        return "int4" if mode == "s152" else "int4-e4m3"
    return f"amx{name}" if two else f"mx{name}{MODES[mode]}"


def _cases() -> list[str]:
    with np.load(VECTORS) as data:
        keys = [key.rpartition("|") for key in data.files]
    return sorted({case for case, _, what in keys if what == "y" and case.split("|")[1] in MODES})


CASES = _cases()


def _comparable(format: str, ties: str, x: Any, y: Any, b: golden.Blocks) -> Any:
    """Blocks in which both definitions are one, of x [n, 32]."""
    row, scale = b.row, b.scale_pos[:, 0]
    good = np.ones(len(x), np.bool_)
    if row.scale.name == "e4m3":
        # Elements k / 4 there, and a scale four times ours: other ones saturate and are subnormal.
        value = formats.decode(scale, row.scale)
        good = (scale >= 1 << row.scale.mantissa_bits) & (value * 4 <= 448)
    if row.element.mantissa_bits == 0 and ties == "RNE":
        # Of two powers of two the even one is the upper there; ours is that of the even code.
        quotient = np.abs(x) / formats.decode(scale, row.scale)[:, None]
        mantissa = np.frexp(quotient)[0]
        good = ~((mantissa == 0.75) | (quotient == 0.125)).any(axis=1)
    return good


@pytest.mark.by_day(13)
@pytest.mark.parametrize("case", CASES)
def test_vectors(case: str) -> None:
    """Values are MX-QLLM's own in every block in which both definitions are one."""
    element, mode, word, ties = case.split("|")
    with np.load(VECTORS) as data:
        x, y = data[f"x_{word}"], data[f"{case}|y"]
    format = _format(element, mode)
    b = golden.quantize(x, format, ties=ties)
    good = _comparable(format, ties, x, y, b)
    assert np.array_equal(golden.dequantize(b)[good], y[good])
    assert good.sum() >= (110 if "e3m0" in format else 214)


def test_vectors_are_of_every_element() -> None:
    """No case is left out, and every element has one."""
    found = {_format(*case.split("|")[:2]) for case in CASES}
    assert found <= {*FORMATS, *REFERENCE_FORMATS}
    elements = {row_of(name).element for name in found}
    signed = {row.element for row in REFERENCE_FORMATS.values() if not row.zero_point}
    assert elements == signed
    assert len(CASES) == 66


ROWS = list(itertools.product(REFERENCE_FORMATS, TIES))


@pytest.mark.by_day(31)
@pytest.mark.parametrize(("format", "ties"), ROWS)
def test_fractions(format: str, ties: str, rng: np.random.Generator) -> None:
    """Codes, scales and values of every family are those of the fractions."""
    row = row_of(format, 16)
    for family in (*stimulus.FAMILIES,):
        words = stimulus.blocks(rng, 2, 16, "fp32", family)
        assert check_quantize(words, "fp32", format, ties) == 2
    codes = rng.integers(0, 1 << row.element.width, (6, 16), np.uint8)
    pos = np.append(rng.integers(0, row.scale.max_magnitude + 1, 5), 255).astype(np.uint8)
    other = rng.integers(0, 1 << min(row.element.width, 7), 6, np.uint8)
    second = other if row.shared == 2 else None
    if row.element.name in ("e4m3", "e5m2"):
        codes &= 0x77  # quantizers write no NaN
    assert check_dequantize(codes, pos, second, format, "fp32") == 96


def test_other_elements_are_found() -> None:
    """Values of one element are not those of another."""
    with np.load(VECTORS) as data:
        x, y = data["x_fp32"], data["fp6_e2m3|s0|fp32|RNA|y"]
    for wrong in ("mxfp6-e3m2", "mxint6", "mxfp6-e2m3-e5m2"):
        assert not np.array_equal(golden.dequantize(golden.quantize(x, wrong)), y)


@pytest.mark.nightly("two tables of 8-bit elements")
def test_narrow_count_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes of 8 bits with a zero point need more than a byte to count in."""
    words = stimulus.blocks(np.random.default_rng(1), 2, 16, "fp32", "normal")
    assert check_quantize(words, "fp32", "mxint8-asym", "RNA") == 2
    real: Any = np.empty
    monkeypatch.setattr(np, "empty", lambda shape, kind=float: real(
        shape, np.uint8 if kind is np.uint16 else kind))  # fmt: skip
    with pytest.raises(AssertionError):
        check_quantize(words, "fp32", "mxint8-asym", "RNA")


@pytest.mark.parametrize("format", ["mxint6", "mxfp6-e2m3", "amxfp3-e2m0", "mxint5-asym"])
def test_files_and_statistics(format: str, rng: np.random.Generator, tmp_path: Path) -> None:
    """Wider codes take a byte each; they decode, are counted, and say what they are."""
    b = golden.quantize(rng.standard_normal((3, 40)).astype(np.float32), format)
    path = tmp_path / "x.safetensors"
    golden.save_blocks(path, {"x": b})
    back = golden.load_blocks(path)["x"]
    assert np.array_equal(back.codes, b.codes)
    assert all(map(np.array_equal, back.shared, b.shared))
    size = b.codes.size if b.row.element.width > 4 else b.codes.size // 2
    assert size <= path.stat().st_size - len(path.read_bytes().split(b"}}")[0]) < size + 200
    found = block_statistics(b)
    y = golden.dequantize(b)
    assert found.elements == found.codes.sum() == 120
    assert found.zeros == (y == 0).sum()
    assert found.rms == pytest.approx(np.sqrt(np.mean(np.square(y.astype(np.float64)))))


ROW = np.ones(32, np.float32)
WIDE = golden.quantize(ROW[None], "mxint3")
BAD: dict[str, tuple[Any, str]] = {
    "quantizer": (lambda: QuantizerConfig(format="mxint8"), "format must be one of amxfp4, "),
    "dot": (lambda: DotConfig(format_a="mxfp6-e2m3"), "format_a must be one of amxfp4, "),
    "record": (lambda: golden.pack(golden.quantize(ROW, "mxint8")),
               "format must be of elements of 4 bits for records, not mxint8 of 8"),
    "unpack": (lambda: golden.unpack(np.zeros((1, 13), np.uint8), "mxint3", (32,)),
               "format must be of elements of 4 bits for records, not mxint3 of 3"),
    "product": (lambda: golden.matmul(WIDE, WIDE),
                "a must be of a format that hardware multiplies, not mxint3"),
    "codes": (lambda: golden.Blocks(np.full((1, 1, 32), 64, np.uint8), np.zeros((1, 1), np.uint8),
                                    None, "mxfp6-e2m3", (1, 32)),
              "codes must be at most 63, not 64"),
    "unknown": (lambda: golden.quantize(ROW, "mxint7"), "format must be one of"),
    "packed": (lambda: table.any_row("mxint8", packed=True),
               "format must be one of"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused(case: str) -> None:
    """What is for hardware alone refuses them in one line."""
    make, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make()
    assert "\n" not in str(error.value)
