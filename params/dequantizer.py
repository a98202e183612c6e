"""Configuration of `dequantizer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.config import BlockStreamConfig
from amxfp4.params.fields import OneOf, field
from amxfp4.params.formats import FORMATS, OUTPUTS, FloatFormat
from amxfp4.params.weights import WEIGHT_FORMATS

__all__ = ["DequantizerConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DequantizerConfig(BlockStreamConfig):
    """Configuration of `dequantizer`.

    `format`, `block` and `output` say what is computed; `lanes` (elements per beat, a power of
    two from 1 to `block`, by default `block`) says how fast and never changes a bit of the result.
    """

    unit: ClassVar[str] = "dequantizer"

    output: str = field("Format of an output word", OneOf(tuple(OUTPUTS)), "bf16")

    def __post_init__(self) -> None:
        if isinstance(self.format, str) and self.format in WEIGHT_FORMATS:
            raise ValueError(
                f"format must be one of {', '.join(FORMATS)}, not {self.format!r}: "
                "weight_dequantizer takes weight formats"
            )
        BlockStreamConfig.__post_init__(self)

    @property
    def word(self) -> FloatFormat:
        """The format of an output word."""
        return OUTPUTS[self.output]
