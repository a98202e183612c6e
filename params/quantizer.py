"""Configuration of `quantizer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.config import BlockStreamConfig, cuts_of
from amxfp4.params.fields import Names, OneOf, field
from amxfp4.params.formats import INPUTS, QUANTIZED, FloatFormat, Ties

__all__ = ["MAXIMA", "QUANTIZER_PIPELINE", "TIES", "QuantizerConfig"]

TIES = OneOf(tuple(map(str, Ties)))

MAXIMA = ("tree", "scan")
"""How a quantizer finds the maxima of a block: comparing keys in pairs, or bit by bit."""

QUANTIZER_PIPELINE = ("maxima", "record")
"""Where a quantizer may hold a pipeline register, in the order of the data path.

A block that takes several beats has to wait in both places.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizerConfig(BlockStreamConfig):
    """Configuration of `quantizer`.

    `format`, `block`, `input` and `ties` say what is computed. `lanes` (elements per beat, a
    power of two from 1 to `block`, by default `block`), `maxima` (one of `MAXIMA`) and `pipeline`
    (names out of `QUANTIZER_PIPELINE`, separated by commas; all of them unless `lanes` is `block`)
    say how, and never change a bit of the result.
    """

    unit: ClassVar[str] = "quantizer"

    format: str = field("Block format", OneOf(QUANTIZED), "amxfp4")
    input: str = field("Format of an input word", OneOf(tuple(INPUTS)), "bf16")
    ties: str = field("Rounding of halfway values", TIES, "RNA")
    maxima: str = field("Circuit that finds the maxima of a block", OneOf(MAXIMA), "tree")
    pipeline: str = field(
        "Pipeline registers, separated by commas", Names(QUANTIZER_PIPELINE), "maxima,record"
    )

    def __post_init__(self) -> None:
        BlockStreamConfig.__post_init__(self)
        whole = ",".join(QUANTIZER_PIPELINE)
        if self.beats > 1 and self.pipeline != whole:
            raise ValueError(
                f"pipeline must be {whole} unless lanes is {self.block} (the block size), "
                f"not {self.pipeline!r}"
            )

    @property
    def cuts(self) -> frozenset[str]:
        """Names of the pipeline registers."""
        return cuts_of(self.pipeline)

    @property
    def word(self) -> FloatFormat:
        """The format of an input word."""
        return INPUTS[self.input]
