"""OrangeCrab r0.2: an ECP5 of 25 or 85 thousand LUTs on a Feather, with USB straight to the FPGA.

There is no chip that makes a serial line of its USB, and a core that does would be larger than the
bridge. The line is at the Feather's own serial pins, 3.3 V: connect a USB-serial adapter's TX to
pin 0 (RX, N17), its RX to pin 1 (TX, M18), and its ground to GND.

| LED | on means |
|---|---|
| green | blinks: the clock runs (`led_alive`) |
| blue | in the last quarter second a request was answered, or a job was in flight |
| red | a frame was dropped, or the last job failed (`led_error`) |
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from amxfp4.synth.boards.board import ECP5, Board, Pins

__all__ = ["ORANGECRAB", "with_dfu_suffix"]

_VENDOR, _PRODUCT = 0x1209, 0x5AF0
"""USB numbers of the board's bootloader."""


def with_dfu_suffix(bitstream: bytes) -> bytes:
    """Add what tells dfu-util which device a file is for (USB DFU 1.1, appendix B)."""
    fields = struct.pack("<HHHH3sB", 0xFFFF, _PRODUCT, _VENDOR, 0x0100, b"UFD", 16)
    crc = zlib.crc32(bitstream + fields) ^ 0xFFFFFFFF  # that of DFU is not inverted
    return bitstream + fields + struct.pack("<I", crc)


def _platform(device: str) -> Any:
    from amaranth.build import Attrs
    from amaranth_boards import orangecrab_r0_2
    from amaranth_boards.resources import UARTResource

    platform = getattr(orangecrab_r0_2, f"OrangeCrabR0_2_{device}Platform")()
    # With nothing connected the line is idle.
    attrs = Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
    platform.add_resources([UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=attrs)])
    return platform


def _pins(platform: Any) -> Pins:
    uart, led = platform.request("uart", dir="-"), platform.request("rgb_led", dir="-")
    leds = ((led.r, ("error",)), (led.g, ("alive",)), (led.b, ("link", "busy")))
    return Pins(rx=uart.rx, tx=uart.tx, leds=leds)


ORANGECRAB = Board(
    name="orangecrab",
    title="OrangeCrab r0.2, pins 0 (RX) and 1 (TX) at 1 Mbaud",
    family=ECP5,
    clock=48_000_000,
    devices={"25F": lambda: _platform("25F"), "85F": lambda: _platform("85F")},
    pins=_pins,
    options={
        "rows": 2, "cols": 2, "lanes": 4, "depth_a": 256, "depth_b": 256,
        "bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "baud": 1_000_000, "payload": 1024,
    },
    programmer=("dfu-util", "-a", "0", "-D"),
    package="Debian: sudo apt install dfu-util",
    finish=with_dfu_suffix,
    environment={"DFU_SUFFIX": "true"},
)  # fmt: skip
