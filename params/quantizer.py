"""Configuration of `quantizer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.config import BlockStreamConfig, cuts_of
from amxfp4.params.fields import Names, OneOf, Range, field
from amxfp4.params.formats import FORMATS, INPUTS, FloatFormat, Ties
from amxfp4.params.second import SECOND, check_second

__all__ = ["MAXIMA", "QUANTIZER_PIPELINE", "TIES", "QuantizerConfig"]

TIES = OneOf(tuple(map(str, Ties)))

MAXIMA = ("tree", "scan")
"""How a quantizer finds the maxima of a block: comparing keys in pairs, or bit by bit."""

QUANTIZER_PIPELINE = ("maxima", "second", "record")
"""Where a quantizer may hold a pipeline register, in the order of the data path.

A block that takes several beats has to wait in each place; ``second`` is one only where two scales
are weighed.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizerConfig(BlockStreamConfig):
    """Configuration of `quantizer`.

    `format`, `block`, `input`, `ties` and `second` (docs/numerics.md) say what is computed. `lanes`
    (elements per beat, a power of two from 1 to `block`, by default `block`), `maxima` (one of
    `MAXIMA`) and `pipeline` (names out of `QUANTIZER_PIPELINE`, separated by commas; by default
    ``maxima,record``, and all of them unless `lanes` is `block`) say how, and never change a bit of
    the result.
    """

    unit: ClassVar[str] = "quantizer"

    format: str = field("Block format", OneOf(tuple(FORMATS)), "amxfp4")
    input: str = field("Format of an input word", OneOf(tuple(INPUTS)), "bf16")
    ties: str = field("Rounding of halfway values", TIES, "RNA")
    maxima: str = field("Circuit that finds the maxima of a block", OneOf(MAXIMA), "tree")
    second: int = field(
        "How many codes above the first a second scale is; 0: there is none", Range(*SECOND), 0
    )
    pipeline: str = field(
        "Pipeline registers, separated by commas", Names(QUANTIZER_PIPELINE),
        unset="maxima,record; second too with --second or nvfp4-46 and several beats",
    )  # fmt: skip

    def __post_init__(self) -> None:
        BlockStreamConfig.__post_init__(self)
        check_second(self.row, self.second)
        weighs = self.second or self.row.compares_errors
        places = [n for n in QUANTIZER_PIPELINE if n != "second" or weighs]
        whole = ",".join(places)
        if self.pipeline is None:
            object.__setattr__(self, "pipeline", whole if self.beats > 1 else "maxima,record")
        if self.beats > 1 and self.pipeline != whole:
            raise ValueError(
                f"pipeline must be {whole} unless lanes is {self.block} (the block size), "
                f"not {self.pipeline!r}"
            )
        for name in cuts_of(self.pipeline):
            if name not in places:
                raise ValueError(
                    f"pipeline must be of {', '.join(places)} without second, not {self.pipeline!r}"
                )

    @property
    def cuts(self) -> frozenset[str]:
        """Names of the pipeline registers."""
        return cuts_of(self.pipeline)

    @property
    def word(self) -> FloatFormat:
        """The format of an input word."""
        return INPUTS[self.input]
