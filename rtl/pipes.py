"""Flow control: the piece from which every unit's handshake is made.

It keeps Amaranth's stream contract: once valid, a payload stays until it is taken, and valid never
depends on ready. Control registers are reset; data registers are not, since nothing reads them
before they are written.
"""

from __future__ import annotations

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamRegister"]


class StreamRegister(wiring.Component):
    """One pipeline stage: holds one payload.

    Passes one payload per cycle. Ready is combinational from the output's ready, so a chain of
    these stalls as one.

    Parameters
    ----------
    shape
        Shape of the payload.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)

    Latency: 1 cycle.
    """

    latency = 1

    def __init__(self, shape: ShapeLike) -> None:
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        held = Signal.like(self.o.payload, name="held", reset_less=True)
        m.d.comb += self.o.payload.eq(held)
        with m.If(~self.o.valid | self.o.ready):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += self.o.valid.eq(self.i.valid)
            m.d.sync += held.eq(self.i.payload)
        return m
