"""Bytes on a serial line: eight data bits, no parity, one stop bit, the lowest bit first."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib.arith import assign_low

__all__ = ["UartReceiver", "UartTransmitter"]


class UartReceiver(wiring.Component):
    """Takes bytes from a line, each bit in its middle.

    A start bit that is over before its middle was noise. A byte whose stop bit is 0 is dropped,
    and the next one begins only after the line was 1 again: a break is no byte.

    Parameters
    ----------
    divisor : int, at least 4
        Cycles of a bit.

    Members
    -------
    rx : In(1), asynchronous, 1 when idle
    octet : Out(8), with
    valid : Out(1), for one cycle; nobody can refuse

    Latency: 3 cycles and 9.5 bits from the start bit's edge, 10 at most.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "octet": Out(8), "valid": Out(1)})

    def elaborate(self, platform):
        m = Module()
        # The first register may hang between 0 and 1 for a while; the second one sees it settled.
        # Both begin as the idle line, so that a reset is no start bit.
        settling = Signal(init=1)
        line = Signal(init=1)
        m.d.sync += [settling.eq(self.rx), line.eq(settling)]

        countdown = Signal(range(self._divisor))  # cycles until the next bit is looked at
        busy = Signal()
        starts = Signal()
        was_idle = Signal()
        # Bits move in from above; a 1 that began at the top falls out with the last of them.
        bits = Signal(9)
        m.d.comb += self.octet.eq(bits[1:])
        m.d.sync += [self.valid.eq(0), assign_low(countdown, countdown - 1)]
        with m.If(~busy):
            m.d.sync += was_idle.eq(line)
            with m.If(was_idle & ~line):
                m.d.sync += [busy.eq(1), starts.eq(1), countdown.eq((self._divisor - 1) // 2 - 1)]
        with m.Elif(countdown == 0):
            m.d.sync += [starts.eq(0), countdown.eq(self._divisor - 1)]
            with m.If(starts):
                m.d.sync += [bits.eq(1 << 8), busy.eq(~line), was_idle.eq(line)]
            with m.Elif(~bits[0]):
                m.d.sync += bits.eq(Cat(bits[1:], line))
            with m.Else():
                m.d.sync += [self.valid.eq(line), busy.eq(0), was_idle.eq(line)]
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes on a line, without a gap while there are any.

    Parameters
    ----------
    divisor : int, at least 4
        Cycles of a bit.

    Members
    -------
    i : In(stream of 8)
    tx : Out(1), a register, 1 when idle

    Latency: 1 cycle to the start bit.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        countdown = Signal(range(self._divisor))
        # The stop bit is the last 1: when nothing else is left, it is on the line.
        bits = Signal(10, init=1)
        m.d.comb += [self.tx.eq(bits[0]), self.i.ready.eq((bits == 1) & (countdown == 0))]
        with m.If(countdown != 0):
            m.d.sync += assign_low(countdown, countdown - 1)
        with m.Elif(bits != 1):
            m.d.sync += [bits.eq(bits >> 1), countdown.eq(self._divisor - 1)]
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [
                bits.eq(Cat(C(0, 1), self.i.payload, C(1, 1))),
                countdown.eq(self._divisor - 1),
            ]
        return m
