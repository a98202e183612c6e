"""ULX3S (Radiona): an ECP5 of 12 to 85 thousand LUTs, and a USB plug that is a serial line.

The engine talks through the USB port US1 (an FT231X). LEDs, from the edge inwards:

| LED | 1 means |
|---|---|
| D0 | blinks: the clock runs (`led_alive`) |
| D1 | a request was answered in the last quarter second (`led_link`) |
| D2 | a job was in flight in the last quarter second (`led_busy`) |
| D3 | a frame was dropped, or the last job failed (`led_error`) |
| D4 to D7 | nothing: they are dark |
"""

from __future__ import annotations

from typing import Any

from amxfp4.synth.boards.board import ECP5, Board, Pins

__all__ = ["ULX3S"]


def _platform(device: str) -> Any:
    from amaranth_boards import ulx3s

    return getattr(ulx3s, f"ULX3S_{device}_Platform")()


def _pins(platform: Any) -> Pins:
    uart = platform.request("uart", dir="-")
    leds = [platform.request("led", n, dir="-") for n in range(8)]
    names = [("alive",), ("link",), ("busy",), ("error",), (), (), (), ()]
    return Pins(rx=uart.rx, tx=uart.tx, leds=tuple(zip(leds, names, strict=True)))


ULX3S = Board(
    name="ulx3s",
    title="ULX3S, US1 at 1 Mbaud",
    family=ECP5,
    clock=25_000_000,
    devices={
        "85F": lambda: _platform("85F"),
        "45F": lambda: _platform("45F"),
        "25F": lambda: _platform("25F"),
        "12F": lambda: _platform("12F"),
    },
    pins=_pins,
    # Streams of four bytes are wider than the line; C's width is that of a row of the array.
    options={
        "rows": 2, "cols": 2, "lanes": 8, "depth_a": 256, "depth_b": 256,
        "bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "baud": 1_000_000, "payload": 1024,
    },
    programmer=("openFPGALoader", "-b", "ulx3s", "-m"),
    package="Debian: sudo apt install openfpgaloader",
    environment={"OPENFPGALOADER": "true"},
)  # fmt: skip
