"""iCEBreaker (1BitSquared): an iCE40UP5K, 5280 logic cells, and a USB plug that is a serial line.

The board has two LEDs of its own; its break-off section on PMOD 2, if it is still there, has
five, of which four are used.

| LED | on the break-off section | on means |
|---|---|---|
| LED1, red | D5, red | a frame was dropped, or the last job failed (`led_error`) |
| LED2, green | D1 | blinks: the clock runs (`led_alive`) |
| | D2 | a request was answered in the last quarter second (`led_link`) |
| | D3 | a job was in flight in the last quarter second (`led_busy`) |
"""

from __future__ import annotations

from typing import Any

from amxfp4.synth.boards.board import ICE40, Board, Pins

__all__ = ["ICEBREAKER"]


def _platform() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    platform = ICEBreakerPlatform()
    platform.add_resources(platform.break_off_pmod)
    return platform


def _pins(platform: Any) -> Pins:
    uart = platform.request("uart", dir="-")
    leds = {
        ("led_r", 0): ("error",), ("led_g", 0): ("alive",), ("led_r", 1): ("error",),
        ("led_g", 1): ("alive",), ("led_g", 2): ("link",), ("led_g", 3): ("busy",),
    }  # fmt: skip
    requested = tuple((platform.request(*led, dir="-"), names) for led, names in leds.items())
    return Pins(rx=uart.rx, tx=uart.tx, leds=requested)


ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker, its USB at 1 Mbaud",
    family=ICE40,
    clock=12_000_000,
    devices={"UP5K": _platform},
    pins=_pins,
    # Blocks of 16: every register and multiplexer for a record is half as wide as with 32.
    options={
        "format_a": "nvfp4", "format_b": "nvfp4", "input": "records",
        "acc": "fixed", "frac_bits": 12, "int_bits": 12,
        "rows": 1, "cols": 1, "lanes": 1, "depth_a": 16, "depth_b": 16,
        "bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "baud": 1_000_000, "payload": 256,
    },
    programmer=("iceprog",),
    package="Debian: sudo apt install fpga-icestorm",
)  # fmt: skip
