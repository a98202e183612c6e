"""Configuration of `engine`: that of its array, and of the memories and buses around it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.array import WIDEST, ArrayConfig
from amxfp4.params.fields import OneOf, field
from amxfp4.params.formats import FORMATS, INPUTS, BlockFormat, block_format
from amxfp4.params.quantizer import TIES, QuantizerConfig

__all__ = ["DEPTHS", "LARGEST_MN", "NONE", "RECORDS", "STREAM_BYTES", "EngineConfig"]

STREAM_BYTES = (4, 8, 16, 32, 64)
"""Widths of an AXI4-Stream's TDATA, in bytes."""
DEPTHS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Blocks of a row or column that a half of an operand memory can hold."""
LARGEST_MN = (1 << 20) - 1
"""The largest M and N of a job."""
RECORDS = "records"
"""`input` of an engine that takes A as block records, quantized already."""
NONE = "none"
"""`requantize` of an engine that returns words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig(ArrayConfig):
    """Configuration of `engine`: that of `array`, and what stands around it.

    `input` is the format of A's words, or ``records`` where A is quantized already; `ties` is the
    rule of every quantizer inside. `requantize` is the block format of C, or ``none`` for words of
    the format `output`. `depth_a` and `depth_b` are blocks of a row and of a column that half a
    memory holds. `bytes_a`, `bytes_b` and `bytes_c` are the widths of the three streams.
    """

    unit: ClassVar[str] = "engine"
    # Amaranth numbers all inputs of a module in 16 bits: where results leave the array they stand
    # beside a handshake and the tile's size, which are 22 bits at most.
    _most_results: ClassVar[int] = WIDEST - 32

    input: str = field(
        "Format of a word of A; records, where A is quantized already",
        OneOf((*INPUTS, RECORDS)), "bf16",
    )  # fmt: skip
    ties: str = field("Rounding of halfway values in the quantizers", TIES, "RNA")
    requantize: str = field("Block format of C; none for words", OneOf((NONE, *FORMATS)), NONE)
    depth_a: int = field("Blocks of a row of A in half of its memory", OneOf(DEPTHS), 64)
    depth_b: int = field("Blocks of a column of B in half of its memory", OneOf(DEPTHS), 64)
    bytes_a: int = field("Width of stream A in bytes", OneOf(STREAM_BYTES), 8)
    bytes_b: int = field("Width of stream B in bytes", OneOf(STREAM_BYTES), 8)
    bytes_c: int = field("Width of stream C in bytes", OneOf(STREAM_BYTES), 8)

    def __post_init__(self) -> None:
        ArrayConfig.__post_init__(self)
        if self.requantize != NONE and (self.block % self.cols or self.cols & (self.cols - 1)):
            raise ValueError(
                f"cols must divide the block size {self.block} to requantize, not {self.cols!r}"
            )

    @property
    def array(self) -> ArrayConfig:
        """Configuration of the array."""
        names = {f.name for f in dataclasses.fields(ArrayConfig)}
        return ArrayConfig(**{name: getattr(self, name) for name in names})

    @property
    def quantizer(self) -> QuantizerConfig | None:
        """Configuration of the quantizer of A; ``None`` where A comes as records."""
        if self.input == RECORDS:
            return None
        words = self.bytes_a * 8 // INPUTS[self.input].width
        return QuantizerConfig(
            format=self.format_a, block=self.block, lanes=min(words, self.block),
            input=self.input, ties=self.ties,
        )  # fmt: skip

    @property
    def requantizer(self) -> QuantizerConfig | None:
        """Configuration of the quantizer of C; ``None`` where C leaves as words."""
        if self.requantize == NONE:
            return None
        return QuantizerConfig(
            format=self.requantize, block=self.block, lanes=self.cols,
            input=self.output, ties=self.ties,
        )  # fmt: skip

    @property
    def row_c(self) -> BlockFormat | None:
        """Block format of C; ``None`` where C leaves as words."""
        return None if self.requantize == NONE else block_format(self.requantize, self.block)

    @property
    def largest_k(self) -> int:
        """The largest K of a job."""
        return min(self.depth_a, self.depth_b) * self.block
