"""Between the unit and a board's pins: a reset after power is on, and LEDs."""

from __future__ import annotations

from amaranth.hdl import C, Cat, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io

from amxfp4.synth.boards.board import Board

__all__ = ["BoardTop"]

_STATUS = ("alive", "link", "busy", "error")
_RESET_CYCLES = 1 << 10
"""Tens of microseconds, after which memories and clocks have settled on every board."""


class BoardTop(Elaboratable):
    """The unit, taken as the Verilog ``engine_uart.v``, on a board.

    Parameters
    ----------
    board : Board
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def elaborate(self, platform):
        m = Module()
        pins = self._board.pins(platform)
        m.submodules.rx = rx = io.Buffer("i", pins.rx)
        m.submodules.tx = tx = io.Buffer("o", pins.tx)
        cycles = Signal(range(_RESET_CYCLES))
        resets = Signal(init=1)
        with m.If(cycles == _RESET_CYCLES - 1):
            m.d.sync += resets.eq(0)
        with m.Else():
            m.d.sync += cycles.eq(cycles + 1)
        status = {name: Signal(name=f"led_{name}") for name in _STATUS}
        m.submodules.unit = Instance(
            "engine_uart",
            i_clk=ClockSignal(),
            i_rst=resets,
            i_rx=rx.i,
            o_tx=tx.o,
            **{f"o_led_{name}": signal for name, signal in status.items()},
        )
        for n, (port, names) in enumerate(pins.leds):
            m.submodules[f"light_{n}"] = light = io.Buffer("o", port)
            lit = Cat(*(status[name] for name in names)).any() if names else C(0, 1)
            m.d.comb += light.o.eq(lit)
        return m
