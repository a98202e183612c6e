"""Weight formats of AFPQ (arXiv 2311.01792): one row each, as data.

Elements are indexes into a table of values, groups are 128 elements or a whole row, and scales are
FP32 or FP16 numbers. Of the hardware `weight_dequantizer` alone reads them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from amxfp4.params.checks import check_among, choose
from amxfp4.params.formats import ALIASES, FORMATS, BlockFormat, block_format

__all__ = [
    "WEIGHT_BLOCKS",
    "WEIGHT_FORMATS",
    "WHOLE_ROW",
    "WeightFormat",
    "WeightName",
    "any_format",
    "weight_format",
]

WHOLE_ROW = -1
"""In place of a group's size: one group a row."""
WEIGHT_BLOCKS = (128, WHOLE_ROW)
"""Elements per group."""

_FP4 = (-6.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_FP3 = (-4.0, -2.0, -1.0, 0.0, 0.0, 1.0, 2.0, 4.0)
# The normal-float tables of QLoRA (arXiv 2305.14314), each value rounded to FP16.
_NF4 = (
    -1.0, -0.6962890625, -0.52490234375, -0.39501953125, -0.284423828125, -0.184814453125,
    -0.091064453125, 0.0, 0.07958984375, 0.160888671875, 0.24609375, 0.337890625, 0.440673828125,
    0.5625, 0.72314453125, 1.0,
)  # fmt: skip
_NF3 = (
    -1.0, -0.53515625, -0.2469482421875, 0.0, 0.183349609375, 0.382080078125, 0.623046875, 1.0,
)  # fmt: skip

WeightName = Literal[
    "afpq-fp4", "afpq-fp3", "afpq-nf4", "afpq-nf3", "fpq-fp4", "fpq-fp3", "fpq-nf4", "fpq-nf3"
]
"""Names of the rows, for the types of what takes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFormat:
    """One row of the table of weight formats (docs/numerics.md), at one size of groups.

    Parameters
    ----------
    name
    values
        What each code stands for, FP16 values in ascending order. A table with two zeros is one
        of numbers with a sign; its second zero is decoded, and never written.
    sides
        Scales of a group: 2, of the positive and of the negative elements, or 1.
    block
        Elements of a group, or `WHOLE_ROW`.
    packed
        Whether scales are FP16 and elements were coded again with them.
    """

    name: str
    values: tuple[float, ...]
    sides: int
    block: int = WEIGHT_BLOCKS[0]
    packed: bool = False

    @property
    def asymmetric(self) -> bool:
        """Whether positive and negative elements have a scale each."""
        return self.sides == 2

    @property
    def shared(self) -> int:
        """Numbers that the elements of a group share: its scales."""
        return self.sides

    @property
    def bits(self) -> int:
        """Bits of an element's code."""
        return (len(self.values) - 1).bit_length()

    @property
    def zero(self) -> int:
        """The code that encoders write for zero."""
        return self.values.index(0.0)

    @property
    def scale_bits(self) -> int:
        """Bits of a scale."""
        return 16 if self.packed else 32

    def size(self, length: int) -> int:
        """Elements of a group along an axis of `length` elements."""
        return length if self.block == WHOLE_ROW else self.block

    @property
    def record_bits(self) -> int:
        """Bits of a record of hardware: a group of 128 codes and its scales."""
        return self.bits * WEIGHT_BLOCKS[0] + self.scale_bits * self.sides

    @property
    def record_bytes(self) -> int:
        """Bytes of a record."""
        return self.record_bits // 8

    @property
    def bits_per_element(self) -> float:
        """Storage per element of whole groups, scales included; of a long row, the code's."""
        scales = 0.0 if self.block == WHOLE_ROW else self.sides * self.scale_bits / self.block
        return self.bits + scales


WEIGHT_FORMATS: dict[str, WeightFormat] = {
    name: WeightFormat(name=name, values=values, sides=sides)
    for prefix, sides in (("afpq", 2), ("fpq", 1))
    for table, values in (("fp4", _FP4), ("fp3", _FP3), ("nf4", _NF4), ("nf3", _NF3))
    for name in (f"{prefix}-{table}",)
}
"""Every weight format, by name, in groups of 128 with FP32 scales."""


def weight_format(
    name: object, block: int | None = None, packed: bool = False, *, parameter: str = "format"
) -> WeightFormat:
    """Row of the table of weight formats called `name`.

    Parameters
    ----------
    name
        A key of `WEIGHT_FORMATS`.
    block
        128 or -1, one group a row; ``None`` for 128.
    packed
        Whether scales are FP16.
    parameter
        What error messages call `name`.

    Raises
    ------
    TypeError
        A parameter is of the wrong kind.
    ValueError
        `name` is unknown, or `block` another number.
    """
    row = choose(parameter, name, WEIGHT_FORMATS)
    if not isinstance(packed, bool):
        raise TypeError(f"packed must be True or False, not {packed!r}")
    size = row.block if block is None else check_among("block", block, WEIGHT_BLOCKS)
    return dataclasses.replace(row, block=size, packed=packed)


def any_format(
    name: str | BlockFormat, block: int | None = None, packed: bool = False
) -> BlockFormat | WeightFormat:
    """Row of either table called `name`; `packed` is for weight formats alone.

    Raises
    ------
    TypeError
        A parameter is of the wrong kind.
    ValueError
        `name` is in neither table, `block` is none of its format's, or `packed` is for another one.
    """
    if isinstance(name, str) and name not in ALIASES:
        choose("format", name, {**FORMATS, **WEIGHT_FORMATS})
    if isinstance(name, str) and name in WEIGHT_FORMATS:
        return weight_format(name, block, packed)
    row = block_format(name, block)
    if packed:
        known = ", ".join(WEIGHT_FORMATS)
        raise ValueError(f"packed must be False for formats other than {known}, not {packed!r}")
    return row
