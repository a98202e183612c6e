"""Configuration of the engine behind a serial line: the engine's, and the line's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amxfp4.params.engine import EngineConfig
from amxfp4.params.fields import OneOf, Range, field

__all__ = ["BAUDS", "CLOCKS", "LARGEST_ERROR", "LEAST_DIVISOR", "PAYLOADS", "EngineUartConfig"]

CLOCKS = (1_000_000, 500_000_000)
"""The slowest and the fastest clock, in Hz."""
BAUDS = (9_600, 12_000_000)
"""The lowest and the highest bit rate, in bits a second."""
PAYLOADS = (64, 128, 256, 512, 1024, 2048, 4096)
"""Most bytes of a frame's payload."""
LEAST_DIVISOR = 4
"""Least cycles of a bit, so that it can be sampled in its middle."""
LARGEST_ERROR = 50
"""The bit rate differs from the one asked for by at most one part in this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineUartConfig(EngineConfig):
    """Configuration of `engine_uart`: that of `engine`, and the line to it (docs/units/bridge.md).

    `clock` is the frequency of ``clk`` in Hz, `baud` the bits a second on the line, `payload` the
    most bytes that a frame carries.
    """

    unit: ClassVar[str] = "engine_uart"

    clock: int = field("Frequency of clk in Hz", Range(*CLOCKS), 25_000_000)
    baud: int = field("Bits per second on the line", Range(*BAUDS), 1_000_000)
    payload: int = field("Most bytes in a frame", OneOf(PAYLOADS), 256)

    def __post_init__(self) -> None:
        EngineConfig.__post_init__(self)
        # Two bytes of a payload are not the stream's.
        widest = max(self.bytes_a, self.bytes_b, self.bytes_c)
        if self.payload < widest + 2:
            raise ValueError(
                f"payload must be at least 2 more than the widest stream's {widest} bytes, "
                f"not {self.payload!r}"
            )
        if self.divisor < LEAST_DIVISOR:
            raise ValueError(
                f"baud must be at most a quarter of the clock, {self.clock // LEAST_DIVISOR} of "
                f"{self.clock} Hz, not {self.baud!r}"
            )
        if abs(self.clock - self.divisor * self.baud) * LARGEST_ERROR > self.divisor * self.baud:
            raise ValueError(
                f"baud must be within 2 % of the clock over an integer, {self.clock} Hz / "
                f"{self.divisor} being {self.clock / self.divisor:.0f}, not {self.baud!r}"
            )

    @property
    def divisor(self) -> int:
        """Cycles of a bit."""
        return round(self.clock / self.baud)
