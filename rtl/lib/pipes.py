"""Flow control: the pieces from which every unit's handshake is made.

All of them keep Amaranth's stream contract: once valid, a payload stays until it is taken, and
valid never depends on ready. Control registers are reset; data registers are not, since nothing
reads them before they are written.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect

__all__ = ["Queue", "SkidBuffer", "StreamRegister"]


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


class SkidBuffer(wiring.Component):
    """Two payloads: one on its way, and one that was taken before the stall behind was known.

    Passes one payload per cycle, and no signal passes combinationally from side to side: the
    place for it is where a unit ends and someone else's wires begin.

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
        spare = Signal.like(self.o.payload, name="spare", reset_less=True)
        has_spare = Signal()
        m.d.comb += [self.o.payload.eq(held), self.i.ready.eq(~has_spare)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | has_spare),
                held.eq(Mux(has_spare, Value.cast(spare), Value.cast(self.i.payload))),
                has_spare.eq(0),
            ]
        with m.Elif(self.i.valid & ~has_spare):
            m.d.sync += [spare.eq(self.i.payload), has_spare.eq(1)]
        return m


class Queue(wiring.Component):
    """First in, first out: `depth` payloads.

    Passes one payload per cycle, also when full and being read. A short queue is a chain of
    stages, which needs no multiplexer to read; a long one is a memory, which FPGAs have.

    Parameters
    ----------
    shape
        Shape of the payload.
    depth : int, at least 1

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)

    Latency: `latency` cycles through an empty queue.

    Raises
    ------
    TypeError
        `depth` is not an integer.
    ValueError
        `depth` is less than 1.
    """

    _LONGEST_CHAIN = 2

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"depth must be an integer, not {depth!r}")
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth!r}")
        self._shape = shape
        self._depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def latency(self) -> int:
        """Cycles from a payload's entry to its appearance at the output of an empty queue."""
        return self._depth if self._depth <= self._LONGEST_CHAIN else 1

    def elaborate(self, platform):
        m = Module()
        if self._depth <= self._LONGEST_CHAIN:
            source = wiring.flipped(self.i)
            for n in range(self._depth):
                m.submodules[f"stage_{n}"] = stage = StreamRegister(self._shape)
                connect(m, source, stage.i)
                source = stage.o
            connect(m, source, wiring.flipped(self.o))
            return m

        m.submodules.memory = memory = Memory(shape=self._shape, depth=self._depth, init=[])
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        level = Signal(range(self._depth + 1))
        write_at = Signal(range(self._depth))
        read_at = Signal(range(self._depth))
        push = Signal()
        pop = Signal()

        def after(address):
            # The depth need not be a power of two.
            return (address + 1 == self._depth), address + 1

        m.d.comb += [
            self.o.valid.eq(level != 0),
            self.i.ready.eq((level != self._depth) | self.o.ready),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
            write.addr.eq(write_at),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            read.addr.eq(read_at),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += level.eq((level + push - pop)[: len(level)])
        for moving, address in ((push, write_at), (pop, read_at)):
            wraps, next_address = after(address)
            with m.If(moving):
                m.d.sync += address.eq(next_address[: len(address)])
                with m.If(wraps):
                    m.d.sync += address.eq(0)
        return m
