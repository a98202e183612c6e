"""Configuration of `dot`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.config import BLOCK, LANES, UnitConfig, cuts_of
from amxfp4.params.fields import Names, OneOf, Range, field
from amxfp4.params.formats import (
    FORMATS,
    OUTPUTS,
    BlockFormat,
    FloatFormat,
    block_format,
)

__all__ = ["ACCUMULATIONS", "CLASS_SUMS", "FIXED_BITS", "PIPELINE", "SCALING", "DotConfig"]

ACCUMULATIONS = ("exact", "fixed", "fp32")
"""How a sum over blocks is kept (docs/numerics.md)."""

FIXED_BITS: dict[str, tuple[int, int]] = {"e5m2": (12, 8), "e4m3": (10, 8), "ue5m3": (13, 8)}
"""What an operand's scale format adds to `frac_bits` and to `int_bits` by default.

On the real tensors this project ships with (a layer of SmolLM2-135M) every product of two E5M2 or
two E4M3 operands is exact with 20 fraction bits, and sums stay below 2^13 (below 2^7 but for one
tensor with an outlier of 79, multiplied with itself). E5M2 gets 4 bits more than that; for E4M3,
20 bits reach the unit of the smallest product, and nothing can be inexact. Both get 3 more
integer bits.
"""

CLASS_SUMS = ("masked", "merged", "grouped")
"""How products find their sign class: in one tree each, in pairs, or in groups of four."""

SCALING = ("parallel", "serial")
"""How the terms of a block are scaled: all at once, or one after another in the same hardware."""

PIPELINE = ("input", "sums", "terms", "aligned", "normalised", "rounded")
"""Where a dot product may hold a pipeline register, in the order of the data path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DotConfig(UnitConfig):
    """Configuration of `dot`.

    `format_a`, `format_b`, `block`, `acc`, `output`, `max_blocks`, `frac_bits` and `int_bits` say
    what is computed. `lanes` (element pairs per cycle, a power of two from 1 to `block`),
    `class_sums`, `scaling` and `pipeline` (names out of `PIPELINE`, separated by commas) say how,
    and never change a bit of the result.

    `acc` is ``exact`` by default, ``fp32`` where a scale is a power of two. `max_blocks` (exact
    only) is the longest sum that cannot overflow; `frac_bits` and `int_bits` (fixed only) are the
    accumulator's. `scaling` is ``serial`` by default where it costs no cycle: where a block has as
    many beats as terms, more than one, and `acc` is not ``fp32``. `pipeline` is by default every
    register that shortens a path: all of them unless `acc` is ``fp32``.
    """

    unit: ClassVar[str] = "dot"

    format_a: str = field("Block format of A", OneOf(tuple(FORMATS)), "amxfp4")
    format_b: str = field("Block format of B", OneOf(tuple(FORMATS)), "amxfp4")
    block: int = field("Elements per block", BLOCK, unset="the formats'")
    lanes: int = field("Element pairs per cycle", LANES, unset="the block size")
    acc: str = field(
        "Accumulation over blocks", OneOf(ACCUMULATIONS),
        unset="exact; fp32 where a scale is a power of two",
    )  # fmt: skip
    output: str = field("Format of a result", OneOf(tuple(OUTPUTS)), "fp32")
    max_blocks: int | None = field(
        "Blocks of the longest sum, for acc=exact", Range(4096, 1 << 24), unset="4096"
    )
    frac_bits: int | None = field(
        "Fraction bits of the accumulator, for acc=fixed", Range(0, 128), unset="by the formats"
    )
    int_bits: int | None = field(
        "Integer bits of the accumulator, for acc=fixed", Range(0, 128), unset="by the formats"
    )
    class_sums: str = field("How products are summed by sign class", OneOf(CLASS_SUMS), "grouped")
    scaling: str = field(
        "How the terms of a block are scaled",
        OneOf(SCALING),
        unset="serial where it costs no cycle",
    )
    pipeline: str = field(
        "Pipeline registers, separated by commas", Names(PIPELINE),
        unset="all that shorten a path",
    )  # fmt: skip

    def __post_init__(self) -> None:
        rows = [
            block_format(name, self.block, parameter=parameter)
            for parameter, name in (("format_a", self.format_a), ("format_b", self.format_b))
        ]
        if rows[0].block != rows[1].block:
            sizes = " and ".join(f"{r.block} ({r.name})" for r in rows)
            raise ValueError(f"block must be given when the formats' own differ, {sizes}, not None")
        set_field = functools.partial(object.__setattr__, self)
        block = rows[0].block
        set_field("format_a", rows[0].name)
        set_field("format_b", rows[1].name)
        set_field("block", block)
        set_field("lanes", block if self.lanes is None else LANES.check("lanes", self.lanes, block))
        self._check_fields()
        bounded = not any(row.power_of_two for row in rows)
        acc = self.acc or ("exact" if bounded else "fp32")
        if acc != "fp32" and not bounded:
            power_of_two = next(row.name for row in rows if row.power_of_two)
            raise ValueError(f"acc must be fp32 for the scales of {power_of_two}, not {acc!r}")
        set_field("acc", acc)
        frac_bits, int_bits = (
            sum(FIXED_BITS.get(row.scale.name, (0, 0))[n] for row in rows) for n in range(2)
        )
        for parameter, mode, default in (
            ("max_blocks", "exact", 4096),
            ("frac_bits", "fixed", frac_bits),
            ("int_bits", "fixed", int_bits),
        ):
            value = getattr(self, parameter)
            if acc == mode:
                set_field(parameter, default if value is None else value)
            elif value is not None:
                raise ValueError(
                    f"{parameter} must be left out unless acc is {mode}, not {value!r}"
                )
        if self.pipeline is None:
            # An FP32 sum is normalised as it is.
            idle = "normalised" if acc == "fp32" else ""
            set_field("pipeline", ",".join(name for name in PIPELINE if name != idle))
        terms = rows[0].scales * rows[1].scales
        can_be_serial = acc != "fp32" and 1 < terms <= self.beats
        scaling = SCALING[can_be_serial] if self.scaling is None else self.scaling
        if scaling == "serial" and not can_be_serial:
            raise ValueError(
                "scaling must be parallel in fp32 mode, with a single term, or with fewer beats "
                f"in a block ({self.beats}) than terms ({terms}), not {scaling!r}"
            )
        set_field("scaling", scaling)

    @property
    def rows_ab(self) -> tuple[BlockFormat, BlockFormat]:
        """Rows of the format table of A and B."""
        return block_format(self.format_a, self.block), block_format(self.format_b, self.block)

    @property
    def word(self) -> FloatFormat:
        """The format of a result."""
        return OUTPUTS[self.output]

    @property
    def flags(self) -> int:
        """Flag bits of a result: inexact and overflow, in fixed mode."""
        return 2 if self.acc == "fixed" else 0

    @property
    def result_bits(self) -> int:
        """Bits of a result: its word and its flags."""
        return self.word.width + self.flags

    @property
    def beats(self) -> int:
        """Cycles per block, K / lanes."""
        return self.block // self.lanes

    @property
    def cuts(self) -> frozenset[str]:
        """Names of the pipeline registers."""
        return cuts_of(self.pipeline)
