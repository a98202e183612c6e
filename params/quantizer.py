"""Configuration of `quantizer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.checks import choose
from amxfp4.params.config import BlockStreamConfig, cuts_of, normal_pipeline
from amxfp4.params.formats import INPUTS, FloatFormat, Ties

__all__ = ["MAXIMA", "QUANTIZER_PIPELINE", "QuantizerConfig"]

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

    input: str = "bf16"
    ties: str = "RNA"
    maxima: str = "tree"
    pipeline: str = "maxima,record"

    def __post_init__(self) -> None:
        BlockStreamConfig.__post_init__(self)
        choose("input", self.input, INPUTS)
        choose("ties", self.ties, {str(t): t for t in Ties})
        choose("maxima", self.maxima, dict.fromkeys(MAXIMA))
        object.__setattr__(self, "ties", str(self.ties))
        pipeline = normal_pipeline(self.pipeline, QUANTIZER_PIPELINE)
        whole = ",".join(QUANTIZER_PIPELINE)
        if self.beats > 1 and pipeline != whole:
            raise ValueError(
                f"pipeline must be {whole} unless lanes is {self.block} (the block size), "
                f"not {self.pipeline!r}"
            )
        object.__setattr__(self, "pipeline", pipeline)

    @property
    def cuts(self) -> frozenset[str]:
        """Names of the pipeline registers."""
        return cuts_of(self.pipeline)

    @property
    def word(self) -> FloatFormat:
        """The format of an input word."""
        return INPUTS[self.input]
