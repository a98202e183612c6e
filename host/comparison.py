"""Compares products with golden, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.engine import Matrix
from amxfp4.params.engine import EngineConfig

__all__ = ["Difference", "difference"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How a product differs."""

    count: int
    """Elements, or bytes of records, that differ."""
    place: tuple[int, ...]
    """The first one: row and column; of records, row, block and byte."""
    expected: int
    got: int
    digits: int

    def __str__(self) -> str:
        where = "".join(f"[{n}]" for n in self.place)
        what = "elements" if len(self.place) == 2 else "bytes of records"
        return (
            f"{self.count} {what} of C differ, the first is C{where}: expected "
            f"0x{self.expected:0{self.digits}X}, got 0x{self.got:0{self.digits}X}"
        )


def _bits(config: EngineConfig, c: Matrix) -> npt.NDArray[Any]:
    if isinstance(c, Blocks):
        return golden.pack(c)
    # The bits as received: rounding to BF16 again would make all NaNs one.
    bits = np.ascontiguousarray(c, np.float32).view(np.uint32).reshape(c.shape)
    width = config.word.width
    return (bits >> (32 - width)).astype(f"u{width // 8}")


def difference(config: EngineConfig, got: Matrix, wanted: Matrix) -> Difference | None:
    """Compare two products; ``None`` if every bit is equal."""
    have, want = _bits(config, got), _bits(config, wanted)
    if have.shape != want.shape:
        raise ValueError(f"got must be of shape {want.shape}, not {have.shape}")
    wrong = np.argwhere(have != want)
    if not len(wrong):
        return None
    first = tuple(int(n) for n in wrong[0])
    return Difference(
        count=len(wrong), place=first, expected=int(want[first]), got=int(have[first]),
        digits=have.dtype.itemsize * 2,
    )  # fmt: skip
