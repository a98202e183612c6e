"""Configuration of `array`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.dot import DotConfig
from amxfp4.params.fields import Range, field

__all__ = ["ArrayConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayConfig(DotConfig):
    """Configuration of `array`: that of `dot`, and `rows` and `cols`, 1 to 64 each."""

    unit: ClassVar[str] = "array"

    rows: int = field("Rows of the array", Range(1, 64), 4)
    cols: int = field("Columns of the array", Range(1, 64), 4)

    @property
    def element(self) -> DotConfig:
        """Configuration of one processing element."""
        names = {f.name for f in dataclasses.fields(DotConfig)}
        return DotConfig(**{name: getattr(self, name) for name in names})
