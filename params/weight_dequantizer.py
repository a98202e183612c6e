"""Configuration of `weight_dequantizer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.config import UnitConfig
from amxfp4.params.fields import Lanes, OneOf, field
from amxfp4.params.formats import BF16, FP16, FloatFormat
from amxfp4.params.weights import WEIGHT_BLOCKS, WEIGHT_FORMATS, WeightFormat, weight_format

__all__ = ["WEIGHT_OUTPUTS", "WeightDequantizerConfig"]

_BLOCK = WEIGHT_BLOCKS[0]

WEIGHT_OUTPUTS: dict[str, FloatFormat] = {f.name: f for f in (FP16, BF16)}
"""What the unit writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightDequantizerConfig(UnitConfig):
    """Configuration of `weight_dequantizer`.

    `format` and `output` say what is computed; `lanes` (elements per beat, a power of two from 1 to
    128, the elements of a group) says how fast and never changes a bit of the result.
    """

    unit: ClassVar[str] = "weight_dequantizer"

    format: str = field("Weight format", OneOf(tuple(WEIGHT_FORMATS)), "afpq-nf4")
    lanes: int = field("Elements per cycle", OneOf(Lanes.values), 32)
    output: str = field("Format of an output word", OneOf(tuple(WEIGHT_OUTPUTS)), "fp16")

    def __post_init__(self) -> None:
        self._check_fields()

    @property
    def row(self) -> WeightFormat:
        """The row of the table of weight formats: groups of 128 with FP16 scales."""
        return weight_format(self.format, _BLOCK, packed=True)

    @property
    def word(self) -> FloatFormat:
        """The format of an output word."""
        return WEIGHT_OUTPUTS[self.output]

    @property
    def beats(self) -> int:
        """Beats of `lanes` words per group, 128 / lanes."""
        return self.row.block // self.lanes
