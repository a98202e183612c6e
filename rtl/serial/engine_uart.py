# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The engine behind a serial line: what a board holds."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.serial import EngineUartConfig
from amxfp4.rtl.bus.axi_stream import receive, transmit
from amxfp4.rtl.engine.engine import Engine
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.share import Shared
from amxfp4.rtl.serial.bridge import Bridge
from amxfp4.rtl.serial.frames import Crc32, FrameReceiver, FrameSender
from amxfp4.rtl.serial.uart import UartReceiver, UartTransmitter

__all__ = ["EVENTS", "EngineUart", "Leds"]

EVENTS = ("link", "busy", "error")
"""Events that are shown."""
_TICKS = 8
"""Of the LEDs' clock, in a second."""
_GLOW = 3
"""Ticks that an event is shown: the first may be over at once, the others are a quarter second."""


class Leds(wiring.Component):
    """Makes events long enough to be seen.

    Parameters
    ----------
    clock : int
        Hz.
    events : tuple of str

    Members
    -------
    alive : Out(1), toggles every second
    NAME_happens : In(1), for each event
    NAME : Out(1), from the next cycle and for a quarter second or little more
    """

    def __init__(self, clock: int, events: tuple[str, ...]) -> None:
        self._clock, self._events = clock, events
        members: dict[str, wiring.Member] = {"alive": Out(1)}
        for name in events:
            members |= {f"{name}_happens": In(1), name: Out(1)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        countdown = Signal(range(self._clock // _TICKS))
        tick = Signal()
        ticks = Signal(range(_TICKS))
        m.d.comb += tick.eq(countdown == 0)
        m.d.sync += assign_low(countdown, Mux(tick, self._clock // _TICKS - 1, countdown - 1))
        with m.If(tick):
            m.d.sync += assign_low(ticks, ticks + 1)
            with m.If(ticks == _TICKS - 1):
                m.d.sync += self.alive.eq(~self.alive)
        for name in self._events:
            left = Signal(range(_GLOW + 1), name=f"{name}_left")
            m.d.comb += getattr(self, name).eq(left != 0)
            with m.If(getattr(self, f"{name}_happens")):
                m.d.sync += left.eq(_GLOW)
            with m.Elif(tick & (left != 0)):
                m.d.sync += assign_low(left, left - 1)
        return m


class EngineUart(wiring.Component):
    """Matrix products at the end of two wires; docs/units/bridge.md is its contract.

    Parameters
    ----------
    config : EngineUartConfig

    Members
    -------
    rx : In(1), asynchronous
    tx : Out(1)
    led_alive, led_link, led_busy, led_error : Out(1)

    Latency: `latency` cycles, those of the engine; the line takes thousands.
    """

    def __init__(self, config: EngineUartConfig) -> None:
        self.config = config
        leds = {f"led_{name}": Out(1) for name in ("alive", "link", "busy", "error")}
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), **leds})
        self._engine = Engine(config, leds=True)

    @property
    def latency(self) -> int:
        """Cycles from the last beat of B of a job of one block to the first one of C, inside."""
        return self._engine.latency

    def elaborate(self, platform):
        m = Module()
        config, engine = self.config, self._engine
        m.submodules.uart_receiver = uart_receiver = UartReceiver(config.divisor)
        m.submodules.uart_transmitter = uart_transmitter = UartTransmitter(config.divisor)
        m.submodules.crc = crc = Crc32()
        m.submodules.receiver = receiver = FrameReceiver(config.payload)
        m.submodules.sender = sender = FrameSender(config.payload)
        m.submodules.bridge = bridge = Bridge(config)
        m.submodules.engine = Shared(engine, "engine", config, reset=bridge.resets)
        wiring.connect(m, sender.o, uart_transmitter.i)
        m.d.comb += [
            uart_receiver.rx.eq(self.rx),
            self.tx.eq(uart_transmitter.tx),
            receiver.octet.eq(uart_receiver.octet),
            receiver.valid.eq(uart_receiver.valid),
            receiver.closed.eq(bridge.busy),
            receiver.address.eq(bridge.request_address),
            # Only one of them is at work at a time.
            crc.clear.eq(receiver.crc_clear | sender.crc_clear),
            crc.octet.eq(Mux(bridge.busy, sender.crc_byte, receiver.crc_byte)),
            crc.take.eq(Mux(bridge.busy, sender.crc_take, receiver.crc_take)),
            receiver.crc_value.eq(crc.value),
            sender.crc_value.eq(crc.value),
            sender.crc_busy.eq(crc.busy),
            bridge.request.eq(receiver.good),
            bridge.header.eq(receiver.header),
            bridge.request_data.eq(receiver.data),
            sender.header.eq(bridge.answer),
            sender.address.eq(bridge.answer_address),
            sender.data.eq(bridge.answer_data),
            sender.write.eq(bridge.answer_write),
            sender.start.eq(bridge.send),
            bridge.sending.eq(sender.busy),
        ]
        wiring.connect(m, bridge.control, engine.s_axi)
        transmit(m, bridge.a, engine.s_axis_a)
        transmit(m, bridge.b, engine.s_axis_b)
        receive(m, engine.m_axis_c, bridge.c)

        m.submodules.leds = leds = Leds(config.clock, EVENTS)
        m.d.comb += [
            leds.link_happens.eq(bridge.send),
            leds.busy_happens.eq(engine.busy),
            leds.error_happens.eq(receiver.dropped),
            self.led_alive.eq(leds.alive),
            self.led_link.eq(leds.link),
            self.led_busy.eq(leds.busy),
            self.led_error.eq(leds.error | engine.failed),
        ]
        return m
