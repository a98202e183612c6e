# amaranth: UnusedElaboratable=no
"""Registers behind AXI4-Lite: every order of the channels, strobes, and what is refused."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from amxfp4.params.registers import Access, Field, Register
from amxfp4.rtl.bus.register_bank import RegisterBank, port_name

OKAY, SLVERR = 0, 2


def _field(name, access, bit, width):
    return Field(name=name, text="", access=access, bit=bit, width=width)


TABLE = (
    Register(
        name="id", offset=0, fields=(_field("value", Access.CONSTANT, 0, 32),),
    ),
    Register(name="word", offset=4, fields=(_field("value", Access.WRITE, 0, 32),)),
    Register(
        name="go", offset=0x10,
        fields=(_field("now", Access.PULSE, 0, 1), _field("later", Access.PULSE, 9, 1)),
    ),
    Register(
        name="seen", offset=0x14,
        fields=(_field("one", Access.CLEAR, 0, 1), _field("two", Access.CLEAR, 8, 1)),
    ),
    Register(
        name="level", offset=0x18,
        fields=(_field("value", Access.READ, 0, 8), _field("mode", Access.WRITE, 8, 3)),
    ),
)  # fmt: skip


class Manager:
    """Drives the bus of a bank, cycle by cycle."""

    def __init__(self, ctx, bank):
        self.ctx, self.bank, self.bus = ctx, bank, bank.bus
        self.pulses = []

    async def tick(self):
        for name in ("go_now", "go_later"):
            if self.ctx.get(getattr(self.bank, name)):
                self.pulses.append(name)
        await self.ctx.tick()

    async def write(self, address, data, strobe=15, *, aw=0, w=0, b=0):
        """Write, address, data and readiness offered after so many cycles; return the response."""
        ctx, bus = self.ctx, self.bus
        done, cycle, answered = set(), 0, 0
        while True:
            for name, start, values in (
                ("aw", aw, {"awaddr": address}), ("w", w, {"wdata": data, "wstrb": strobe}),
            ):  # fmt: skip
                offers = cycle >= start and name not in done
                ctx.set(getattr(bus, f"{name}valid"), offers)
                for port, value in values.items():
                    # What is not valid must not matter.
                    ctx.set(getattr(bus, port), value if offers else 0)
                if offers and ctx.get(getattr(bus, f"{name}ready")):
                    done.add(name)
            valid = ctx.get(bus.bvalid)
            assert not valid or len(done) == 2
            answered += valid
            ready = answered > b
            ctx.set(bus.bready, ready)
            response = ctx.get(bus.bresp)
            await self.tick()
            cycle += 1
            assert cycle < 100
            if valid and ready:
                ctx.set(bus.bready, 0)
                return response

    async def read(self, address, *, r=0):
        """Read, taking the answer after so many cycles; return data and response."""
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.araddr, address)
        ctx.set(bus.arvalid, 1)
        while not ctx.get(bus.arready):
            await self.tick()
        await self.tick()
        ctx.set(bus.arvalid, 0)
        ctx.set(bus.araddr, 0)
        while not ctx.get(bus.rvalid):
            await self.tick()
        for _ in range(r):
            await self.tick()
        answer = ctx.get(bus.rdata), ctx.get(bus.rresp)
        ctx.set(bus.rready, 1)
        await self.tick()
        ctx.set(bus.rready, 0)
        return answer


def run(testbench):
    """Run a testbench that is given a manager."""
    bank = RegisterBank(TABLE, {("id", "value"): 0xC0FFEE00}, address_bits=12)

    async def process(ctx):
        await testbench(ctx, Manager(ctx, bank), bank)

    simulator = Simulator(bank)
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()


@pytest.mark.parametrize(("aw", "w", "b"), [(0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 1, 4), (2, 0, 3)])
def test_writes_in_any_order(aw, w, b):
    async def testbench(ctx, bus, bank):
        for value in (0xDEADBEEF, 0x01234567):
            assert await bus.write(4, value, aw=aw, w=w, b=b) == OKAY
            assert ctx.get(bank.word) == value
            assert await bus.read(4, r=b) == (value, OKAY)

    run(testbench)


def test_strobes():
    async def testbench(ctx, bus, bank):
        expected = 0
        for strobe in range(16):
            word = int(np.random.default_rng(strobe).integers(1 << 32))
            assert await bus.write(4, word, strobe) == OKAY
            mask = sum(0xFF << 8 * n for n in range(4) if strobe >> n & 1)
            expected = (expected & ~mask) | (word & mask)
            assert await bus.read(4) == (expected, OKAY)
        await bus.write(0x10, 0xFFFFFFFF, 0b1100)
        assert bus.pulses == []
        await bus.write(0x10, 0xFFFFFFFF, 0b0010)
        assert bus.pulses == ["go_later"]

    run(testbench)


def test_refused():
    """Addresses that are no register's, and writes where nothing can be written."""

    async def testbench(ctx, bus, bank):
        for address in (8, 0xC, 0x1C, 0x804, 0xFFC, 1, 2, 5, 0x12, 0x1B):
            assert await bus.read(address) == (0, SLVERR)
            assert await bus.write(address, 0xFFFFFFFF) == SLVERR
        assert await bus.write(0, 1) == SLVERR
        assert await bus.read(0) == (0xC0FFEE00, OKAY)
        assert await bus.read(4) == (0, OKAY)
        assert bus.pulses == []

    run(testbench)


def test_fields():
    """Pulses last a cycle; flags stay until cleared, and setting wins; levels are read."""

    async def testbench(ctx, bus, bank):
        assert await bus.write(0x10, 1) == OKAY
        assert bus.pulses == ["go_now"]
        assert await bus.read(0x10) == (0, OKAY)
        ctx.set(bank.seen_one, 1)
        await bus.tick()
        ctx.set(bank.seen_one, 0)
        assert await bus.read(0x14) == (1, OKAY)
        await bus.write(0x14, 0x100)
        assert await bus.read(0x14) == (1, OKAY)
        await bus.write(0x14, 1)
        assert await bus.read(0x14) == (0, OKAY)
        ctx.set(bank.seen_two, 1)
        await bus.write(0x14, 0x100)
        ctx.set(bank.seen_two, 0)
        assert ctx.get(bank.seen_two_held) == 1
        ctx.set(bank.level, 0x5A)
        await bus.write(0x18, 0xFFFFFFFF)
        assert await bus.read(0x18) == (0x75A, OKAY)
        assert ctx.get(bank.level_mode) == 7

    run(testbench)


def test_reads_and_writes_do_not_wait_for_each_other():
    async def testbench(ctx, bus, bank):
        # A read whose answer nobody takes.
        ctx.set(bus.bus.arvalid, 1)
        await bus.tick()
        ctx.set(bus.bus.arvalid, 0)
        assert await bus.write(4, 7) == OKAY
        assert ctx.get(bus.bus.rvalid)
        assert ctx.get(bus.bus.rdata) == 0xC0FFEE00

    run(testbench)


def test_port_name():
    assert port_name("m", "value") == "m"
    assert port_name("status", "idle") == "status_idle"
