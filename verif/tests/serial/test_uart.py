"""The serial line: every byte, at every divisor that matters, from clocks that are off."""

import math

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from amxfp4.rtl.serial.uart import UartReceiver, UartTransmitter

DIVISORS = (4, 5, 7, 25)
BYTES = (0x55, 0x00, 0xFF, 0xC0, 0x01, 0x80, 0xAA)
# Fractions of a cycle matter where a bit has few of them.
PHASES = {4: (0.0, 0.3, 0.6, 0.9), 5: (0.0, 0.3, 0.6, 0.9), 7: (0.0, 0.6), 25: (0.3,)}


def frames(data):
    """Levels of the line, a bit each."""
    return [bit for byte in data for bit in (0, *(byte >> n & 1 for n in range(8)), 1)]


def received(divisor, levels, *, error=0.0, phase=0.0):
    """Play levels into a receiver, from a clock that is off by `error`; return its bytes."""
    receiver = UartReceiver(divisor)
    found = []
    length = divisor * (1 + error)

    async def testbench(ctx):
        for cycle in range(math.ceil(length * len(levels)) + 3 * divisor + 20):
            place = math.floor((cycle - 5 - phase) / length)
            ctx.set(receiver.rx, levels[place] if 0 <= place < len(levels) else 1)
            await ctx.tick()
            if ctx.get(receiver.valid):
                found.append(ctx.get(receiver.octet))

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return found


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("error", [-0.02, 0.0, 0.02])
def test_receiver(divisor, error):
    """Bytes without a gap arrive, whatever the phase of the sender's clock."""
    for phase in PHASES[divisor]:
        assert received(divisor, frames(BYTES), error=error, phase=phase) == list(BYTES)


def test_receiver_has_limits():
    """A clock that is off by a tenth is not understood: the test above can fail."""
    assert received(7, frames(BYTES), error=0.1) != list(BYTES)
    assert received(7, frames(BYTES), error=-0.1) != list(BYTES)


@pytest.mark.parametrize("divisor", DIVISORS)
def test_receiver_drops_invalid_bytes(divisor):
    """Bytes without a stop bit and breaks are dropped, and the next byte arrives."""
    spike = [1] * 20
    assert received(divisor, [*spike, *frames([0x42])]) == [0x42]
    broken = [0, *[0, 1] * 4, 0]
    assert received(divisor, [*broken, 1, 1, *frames([0x42])]) == [0x42]
    assert received(divisor, [0] * 25 + [1] + frames([0x42])) == [0x42]
    assert received(divisor, [0] * 25) == []


def test_receiver_ignores_a_spike():
    """A start bit that ends before its middle is noise."""
    receiver = UartReceiver(25)
    found = []

    async def testbench(ctx):
        line = [1] * 5 + [0] * 8 + [1] * 40
        line += [level for level in frames([0x5A]) for _ in range(25)] + [1] * 40
        for level in line:
            ctx.set(receiver.rx, level)
            await ctx.tick()
            if ctx.get(receiver.valid):
                found.append(ctx.get(receiver.octet))

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert found == [0x5A]


@pytest.mark.parametrize("divisor", DIVISORS)
def test_transmitter(divisor):
    """Every bit takes `divisor` cycles, and nothing stands between bytes."""
    transmitter = UartTransmitter(divisor)
    line = []

    async def send(ctx):
        ctx.set(transmitter.i.valid, 1)
        for byte in BYTES:
            ctx.set(transmitter.i.payload, byte)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)

    async def watch(ctx):
        assert ctx.get(transmitter.tx) == 1
        for _ in range(10 * divisor * len(BYTES) + 3 * divisor):
            await ctx.tick()
            line.append(ctx.get(transmitter.tx))

    simulator = Simulator(transmitter)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(watch)
    simulator.run()
    expected = [level for level in frames(BYTES) for _ in range(divisor)]
    assert line[: len(expected)] == expected
    assert set(line[len(expected) :]) == {1}


class Loop(wiring.Component):
    """A transmitter and a receiver on one line."""

    def __init__(self, divisor):
        self.transmitter, self.receiver = UartTransmitter(divisor), UartReceiver(divisor)
        super().__init__({"byte": In(8), "got": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter, m.submodules.receiver = self.transmitter, self.receiver
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
        return m


def test_every_byte():
    """Every byte that is sent arrives."""
    loop = Loop(4)
    found = []

    async def send(ctx):
        ctx.set(loop.transmitter.i.valid, 1)
        for byte in range(256):
            ctx.set(loop.transmitter.i.payload, byte)
            await ctx.tick().until(loop.transmitter.i.ready)
        ctx.set(loop.transmitter.i.valid, 0)

    async def receive(ctx):
        for _ in range(256):
            (byte,) = await ctx.tick().sample(loop.receiver.octet).until(loop.receiver.valid)
            found.append(byte)

    simulator = Simulator(loop)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    assert found == list(range(256))
