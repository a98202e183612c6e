"""A block waits until it is whole: then it leaves beat by beat, while the next one streams in."""

from __future__ import annotations

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib.arith import assign_low

__all__ = ["BlockBuffer"]


class BlockBuffer(wiring.Component):
    """Holds the beats of one block; gives none before the last is there.

    A beat of the next block takes the place of the beat that leaves, so a block's beats are all the
    places there are, and both sides count them alike. Passes one beat per cycle without a bubble
    between blocks. `i.ready` is combinational from `o.ready`.

    Parameters
    ----------
    shape
        Shape of a beat.
    beats : int, a power of two
        Beats of a block.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)
    is_last_in : Out(1), the next beat to enter is its block's last
    is_last_out : Out(1), the next beat to leave is its block's last

    Latency: 1 cycle from a block's last beat in to its first beat out.
    """

    latency = 1

    def __init__(self, shape: ShapeLike, beats: int) -> None:
        self._shape = shape
        self._beats = beats
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "is_last_in": Out(1),
                "is_last_out": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Where beats enter and leave: the same count, since a block is as long as the buffer.
        place_in = Signal(range(self._beats))
        place_out = Signal(range(self._beats))
        enters = Signal()
        leaves = Signal()
        m.d.comb += [
            self.is_last_in.eq(place_in == self._beats - 1),
            self.is_last_out.eq(place_out == self._beats - 1),
            enters.eq(self.i.valid & self.i.ready),
            leaves.eq(self.o.valid & self.o.ready),
            # While a block leaves, the next one follows it and never overtakes.
            self.i.ready.eq(~self.o.valid | leaves | (place_in != place_out)),
        ]
        with m.If(leaves):
            m.d.sync += assign_low(place_out, place_out + 1)
            with m.If(self.is_last_out):
                m.d.sync += self.o.valid.eq(0)
        with m.If(enters):
            m.d.sync += assign_low(place_in, place_in + 1)
            with m.If(self.is_last_in):
                m.d.sync += self.o.valid.eq(1)

        if self._beats == 1:
            held = Signal.like(self.o.payload, name="held", reset_less=True)
            m.d.comb += self.o.payload.eq(held)
            with m.If(enters):
                m.d.sync += held.eq(self.i.payload)
            return m
        m.submodules.memory = memory = Memory(shape=self._shape, depth=self._beats, init=[])
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(place_in),
            write.data.eq(self.i.payload),
            write.en.eq(enters),
            read.addr.eq(place_out),
            self.o.payload.eq(read.data),
        ]
        return m
