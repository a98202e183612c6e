"""Which operands of a model a mode quantizes, and the rows of the table: formats are data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amxfp4 import golden
from amxfp4.golden.products.accumulators import ACCUMULATORS
from amxfp4.golden.table import any_row
from amxfp4.params.checks import choose
from amxfp4.params.weights import WEIGHT_FORMATS

from . import prepared
from .model import Array, Multiply, Operand, Quantize, as_is, fp32
from .operands import Fidelity, Kept

__all__ = [
    "BASELINE",
    "FORMATS_MEASURED",
    "FP32",
    "MODES",
    "MODES_MEASURED",
    "NOISE",
    "Row",
    "described",
    "multiplier",
    "quantizer",
    "rows_of",
]

_ACTIVATIONS = frozenset({"input", "query", "key", "probability", "value"})
MODES = {
    "activations": _ACTIVATIONS,
    "weights": frozenset({"weight"}),
    "both": _ACTIVATIONS | {"weight"},
    "kv": frozenset({"key", "value"}),
}
"""Operands that a mode quantizes (`amxfp4.accuracy.model.OPERANDS`), as MX-QLLM does for
arXiv 2411.09909: linear layers, Q K^T after the rotation, P V; embedding, norms and the last
product stay in FP32. ``kv``: keys and values alone, as in a cache."""
MODES_MEASURED = ("activations", "both")
"""What is measured by default: the modes that `amxfp4.accuracy.results.verdicts` asks about."""
BASELINE = "amxfp4"
"""The format that the others are compared with, in the same mode."""
NOISE = 1e-6
"""Relative perturbation of the embedding that no format is to be blamed for: 8 units in FP32's last
place. Quantizers turn some of it into another code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of the table: a format, what it quantizes, and how.

    Parameters
    ----------
    label
        What the table calls it.
    format
        As `golden.quantize` takes it; empty for FP32, in which nothing is quantized.
    options
        Keywords of `golden.quantize`, such as ``{"tensor_scale": "auto"}``, and those of
        `amxfp4.accuracy.prepared`, such as ``{"gptq": True}``; JSON can hold them.
    mode
        A key of `MODES`; empty for FP32.
    perturbation
        Relative noise of the embedding (`amxfp4.accuracy.model.final`).
    acc
        Accumulator of all products but the last, as `golden.matmul` takes it; empty for FP32 sums
        of BLAS. Both operands must be quantized: mode ``both``.

    Raises
    ------
    ValueError
        `format`, `mode`, `acc` or an option is unknown, or they do not go together: weight formats
        and GPTQ are for mode ``weights``, accumulators for ``both``.
    """

    label: str
    format: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    mode: str = ""
    perturbation: float = 0.0
    acc: str = ""

    def __post_init__(self) -> None:
        if self.format or self.mode:
            any_row(self.format)
            choose("mode", self.mode, MODES)
            if self.mode != "weights" and _weights_alone(self.format, self.options):
                raise ValueError(f"mode must be weights for {self.label!r}, not {self.mode!r}")
            prepared.check(self.options, self.mode)
        if self.acc and self.mode != "both":
            raise ValueError(f"mode must be both with acc={self.acc}, not {self.mode!r}")

    @property
    def measured(self) -> dict[str, Any]:
        """What its figures depend on: all but the label, as JSON holds it."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)[1:]}
        return fields | {"options": dict(self.options)}


def _weights_alone(format: str, options: Mapping[str, Any]) -> bool:
    return format in WEIGHT_FORMATS or options.get("gptq") is True


FP32 = Row(label="FP32")
FORMATS_MEASURED = (
    "mxfp4", "mxfp4-rceil", "mxfp4-e5m2", "mxfp4-e4m3", "mxfp4 rotation=full",
    "amxfp4", "amxfp4-e4m3", "amxfp4-pot", "amxfp4-ue5m3",
    "amxfp4 second=2", "amxfp4-ue5m3 second=5", "amxfp4-ue5m3 search=[0,3]",
    "nvfp4 tensor_scale=auto", "nvfp4-46 tensor_scale=auto", "nvfp4 tensor_scale=auto second=5",
    "nvfp4 tensor_scale=auto search=[0,3]", "nvfp4-ue5m3",
    "int4", "int4-asym", "int4-asym-e4m3",
)  # fmt: skip
"""What is measured by default: what the questions are about, and one of every kind; NVFP4 with its
factor."""


ROW_OPTIONS = {"acc": ACCUMULATORS}
"""Options that are fields of `Row`, and their values; every other one is of `golden.quantize` or of
`amxfp4.accuracy.prepared`."""


def described(text: str) -> dict[str, Any]:
    """Read a format and its options from words: fields of `Row`.

    Parameters
    ----------
    text
        Such as ``nvfp4 tensor_scale=auto block=32``, ``amxfp4 acc=fp32`` or ``int4 gptq=true``;
        values are JSON, or else texts.

    Raises
    ------
    TypeError, ValueError
        `golden` does not take them.
    """
    format, *words = text.split() or [""]
    options: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"options of {format} must be NAME=VALUE, not {word!r}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    fields = {name: options.pop(name) for name in ROW_OPTIONS if name in options}
    for name, value in fields.items():
        choose(name, value, ROW_OPTIONS[name])
    q = golden.quantize(np.zeros((1, 1), np.float32), format, **prepared.of_golden(options))
    prepared.check(options, "")
    if "acc" in fields:
        golden.matmul(q, q, acc=fields["acc"])
    return {"format": format, "options": options, **fields}


def rows_of(
    formats: Sequence[str] = FORMATS_MEASURED, modes: Sequence[str] = MODES_MEASURED
) -> list[Row]:
    """Rows of formats in every mode, after FP32 and beside the rows that show noise and baseline.

    Parameters
    ----------
    formats
        As `described` reads them, which is also what the table calls them. One with an accumulator
        has a row in mode ``both`` alone, and the same with FP32 sums beside it; weight formats and
        GPTQ have one in mode ``weights`` alone.

    Raises
    ------
    TypeError, ValueError
        A format or a mode is unknown, options are none of `golden.quantize`, or an accumulator is
        asked for in no mode that has one.
    """
    rows = [FP32, Row(label="FP32, embedding perturbed", perturbation=NOISE)]
    told = {text: described(text) for text in [BASELINE, *formats]}
    for text, fields in list(told.items()):
        if "acc" in fields:
            if "both" not in modes:
                raise ValueError(f"mode must be both for {text!r}, not {' or '.join(modes)}")
            plain = " ".join(word for word in text.split() if not word.startswith("acc="))
            told.setdefault(plain, described(plain))
        if "weights" not in modes and _weights_alone(fields["format"], fields["options"]):
            raise ValueError(f"mode must be weights for {text!r}, not {' or '.join(modes)}")
    for mode in modes:
        rows += [
            Row(label=text, mode=mode, **fields)
            for text, fields in told.items()
            if mode == "both" or "acc" not in fields
            if mode == "weights" or not _weights_alone(fields["format"], fields["options"])
        ]
        label = f"{BASELINE}, embedding perturbed"
        rows.append(Row(label=label, format=BASELINE, mode=mode, perturbation=NOISE))
    return rows


def quantizer(row: Row, fidelity: Fidelity | None = None) -> Quantize:
    """Make what puts the values of a row's format in the place of the operands it quantizes.

    Every value is that of `golden.dequantize` of `golden.quantize`, bit for bit; with an
    accumulator the blocks themselves, for `multiplier`.
    """
    if not row.format or row.options.get("gptq") is True:
        return as_is  # or the model has its weights already
    quantized, options = MODES[row.mode], prepared.of_golden(row.options)

    def values(operand: str, x: Array, axis: int) -> Operand:
        if operand not in quantized:
            return x
        blocks = golden.quantize(x, row.format, axis=axis, **options)
        y = golden.dequantize(blocks)
        if fidelity is not None:
            fidelity.add(operand, x, y)
        return Kept(blocks) if row.acc else y

    return values


def multiplier(row: Row) -> Multiply:
    """Make what multiplies quantized operands: FP32 sums of BLAS, or `golden.matmul`."""
    if not row.acc:
        return fp32

    def multiply(a: Operand, b: Operand) -> Array:
        product: Any = golden.matmul(a.blocks, b.blocks, acc=row.acc)
        values: Array = product[0] if row.acc == "fixed" else product
        return values

    return multiply
