"""Beats of the engine's streams, out of the bytes that come over the line."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.bus.axi_stream import axis_layout

__all__ = ["BeatHolder"]


class BeatHolder(wiring.Component):
    """One beat of a stream: filled byte by byte, then offered until it is taken.

    Parameters
    ----------
    width : int
        Bytes of a beat.

    Members
    -------
    octet : In(8), with
    keep : In(1), its TKEEP; a byte that only fills the beat up is 0
    shift : In(1), take them; `width` times, not while the beat is offered
    offer : In(1), the beat is whole, with
    last : In(1), its TLAST
    clear : In(1), drop the beat
    o : Out(stream of axis_layout(width))
    """

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__(
            {
                "octet": In(8),
                "keep": In(1),
                "shift": In(1),
                "offer": In(1),
                "last": In(1),
                "clear": In(1),
                "o": Out(stream.Signature(axis_layout(width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held = Signal(axis_layout(self._width), reset_less=True)
        m.d.comb += self.o.payload.eq(held)
        with m.If(self.shift):
            m.d.sync += [
                held.data.as_value().eq(Cat(held.data.as_value()[8:], self.octet)),
                held.keep.eq(Cat(held.keep[1:], self.keep)),
            ]
        with m.If(self.offer):
            m.d.sync += [self.o.valid.eq(1), held.last.eq(self.last)]
        with m.Elif(self.clear | self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
