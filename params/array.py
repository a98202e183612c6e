"""Configuration of `array`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.dot import DotConfig
from amxfp4.params.fields import Range, field

__all__ = ["WIDEST", "ArrayConfig"]

WIDEST = 1 << 16
"""Bits of the widest port: what every tool for Verilog must take (IEEE 1364), and Amaranth's limit.

Yosys and Verilator take more, but Amaranth raises an error for a wider wire, once it has elaborated
all that is inside.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayConfig(DotConfig):
    """Configuration of `array`: that of `dot`, and `rows` and `cols`, 1 to 64 each."""

    unit: ClassVar[str] = "array"
    _most_results: ClassVar[int] = WIDEST

    rows: int = field("Rows of the array", Range(1, 64), 4)
    cols: int = field("Columns of the array", Range(1, 64), 4)

    def __post_init__(self) -> None:
        DotConfig.__post_init__(self)
        a, b = self.rows_ab
        for what, limit, row, rest in (
            ("results", self._most_results, self.cols * self.result_bits, 0),
            ("blocks of a step", WIDEST, a.record_bits, self.cols * b.record_bits + 1),
        ):
            if self.rows > (most := (limit - rest) // row):
                raise ValueError(
                    f"rows must be from 1 to {most} with cols = {self.cols}, as all {what} are "
                    f"one port of at most {limit} bits, not {self.rows!r}"
                )

    @property
    def element(self) -> DotConfig:
        """Configuration of one processing element."""
        names = {f.name for f in dataclasses.fields(DotConfig)}
        return DotConfig(**{name: getattr(self, name) for name in names})
