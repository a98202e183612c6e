"""Configuration of `array`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.checks import check_range
from amxfp4.params.dot import DotConfig

__all__ = ["ArrayConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayConfig(DotConfig):
    """Configuration of `array`: that of `dot`, and `rows` and `cols`, 1 to 64 each."""

    unit: ClassVar[str] = "array"

    rows: int = 4
    cols: int = 4

    def __post_init__(self) -> None:
        DotConfig.__post_init__(self)
        check_range("rows", self.rows, 1, 64)
        check_range("cols", self.cols, 1, 64)

    @property
    def element(self) -> DotConfig:
        """Configuration of one processing element."""
        names = {f.name for f in dataclasses.fields(DotConfig)}
        return DotConfig(**{name: getattr(self, name) for name in names})
