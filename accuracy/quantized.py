"""Which operands of a model a mode quantizes, and the rows of the table: formats are data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from amxfp4 import golden
from amxfp4.golden.table import any_row
from amxfp4.params.checks import choose
from amxfp4.params.formats import FORMATS
from amxfp4.params.weights import WEIGHT_FORMATS

from . import prepared
from .model import Array, Quantize, as_is

__all__ = [
    "BASELINE",
    "FORMATS_MEASURED",
    "FP32",
    "MODES",
    "NOISE",
    "Row",
    "described",
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
        Relative noise of the embedding (`amxfp4.accuracy.model.losses`).

    Raises
    ------
    ValueError
        `format`, `mode` or an option is unknown, or they do not go together: weight formats and
        GPTQ are for mode ``weights``.
    """

    label: str
    format: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    mode: str = ""
    perturbation: float = 0.0

    def __post_init__(self) -> None:
        if self.format or self.mode:
            any_row(self.format)
            choose("mode", self.mode, MODES)
            if self.mode != "weights" and _weights_alone(self.format, self.options):
                raise ValueError(f"mode must be weights for {self.label!r}, not {self.mode!r}")
            prepared.check(self.options, self.mode)

    @property
    def measured(self) -> dict[str, Any]:
        """What its figures depend on: all but the label."""
        return {
            "format": self.format, "options": dict(self.options), "mode": self.mode,
            "perturbation": self.perturbation,
        }  # fmt: skip


def _weights_alone(format: str, options: Mapping[str, Any]) -> bool:
    return format in WEIGHT_FORMATS or options.get("gptq") is True


FP32 = Row(label="FP32")
FORMATS_MEASURED = (
    *FORMATS, "nvfp4 tensor_scale=auto", "nvfp4-46 tensor_scale=auto",
    "amxfp4-ue5m3 search=[0,3]", "nvfp4 tensor_scale=auto search=[0,3]",
)  # fmt: skip
"""What is measured by default: every format; NVFP4 with its factor; scales that are searched."""


def described(text: str) -> tuple[str, dict[str, Any]]:
    """Read a format and options of `Row` from words.

    Parameters
    ----------
    text
        Such as ``nvfp4 tensor_scale=auto block=32 gptq=true``; values are JSON, or else texts.

    Raises
    ------
    TypeError, ValueError
        `golden.quantize` does not take them.
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
    golden.quantize(np.zeros((1, 1), np.float32), format, **prepared.of_golden(options))
    prepared.check(options, "")
    return format, options


def rows_of(
    formats: Sequence[str] = FORMATS_MEASURED, modes: Sequence[str] = tuple(MODES)
) -> list[Row]:
    """Rows of formats in every mode, after FP32 and beside the rows that show noise and baseline.

    Parameters
    ----------
    formats
        As `described` reads them, which is also what the table calls them. Weight formats and GPTQ
        have a row in mode ``weights`` alone.

    Raises
    ------
    TypeError, ValueError
        A format or a mode is unknown, or options are none of `golden.quantize`.
    """
    rows = [FP32, Row(label="FP32, embedding perturbed", perturbation=NOISE)]
    told = {text: described(text) for text in dict.fromkeys([BASELINE, *formats])}
    for text, fields in told.items():
        if "weights" not in modes and _weights_alone(*fields):
            raise ValueError(f"mode must be weights for {text!r}, not {' or '.join(modes)}")
    for mode in modes:
        rows += [
            Row(label=text, format=format, options=options, mode=mode)
            for text, (format, options) in told.items()
            if mode == "weights" or not _weights_alone(format, options)
        ]
        label = f"{BASELINE}, embedding perturbed"
        rows.append(Row(label=label, format=BASELINE, mode=mode, perturbation=NOISE))
    return rows


def quantizer(row: Row) -> Quantize:
    """Make what puts the values of a row's format in the place of the operands it quantizes.

    Every value is that of `golden.dequantize` of `golden.quantize`, bit for bit.
    """
    if not row.format or row.options.get("gptq") is True:
        return as_is  # or the model has its weights already
    quantized, options = MODES[row.mode], prepared.of_golden(row.options)

    def values(operand: str, x: Array, axis: int) -> Array:
        if operand not in quantized:
            return x
        return golden.dequantize(golden.quantize(x, row.format, axis=axis, **options))

    return values
