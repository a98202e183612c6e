"""Frames: what is taken, what is dropped, and what is sent, byte for byte."""

import struct
import zlib

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from amxfp4.rtl.serial.frames import Crc32, FrameReceiver, FrameSender
from amxfp4.verif.sim.line.model_bridge import escaped

PAYLOAD = 16
END, ESC = 0xC0, 0xDB
GAP = 9
"""Cycles between bytes: as few as there may be."""


def text(sequence, operation, payload, length=None):
    """Lay out what stands between two ENDs, before escapes."""
    head = struct.pack("<BBH", sequence, operation, len(payload) if length is None else length)
    return head + payload + struct.pack("<I", zlib.crc32(head + payload))


class Ends(wiring.Component):
    """A receiver and a sender, each with a checksum."""

    def __init__(self):
        self.receiver, self.sender = FrameReceiver(PAYLOAD), FrameSender(PAYLOAD)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver, m.submodules.sender = self.receiver, self.sender
        for name, end in (("receiver", self.receiver), ("sender", self.sender)):
            m.submodules[f"crc_{name}"] = crc = Crc32()
            m.d.comb += [
                crc.clear.eq(end.crc_clear),
                crc.octet.eq(end.crc_byte),
                crc.take.eq(end.crc_take),
                end.crc_value.eq(crc.value),
            ]
            if name == "sender":
                m.d.comb += end.crc_busy.eq(crc.busy)
        return m


def run(testbench):
    """Run a testbench on both ends."""
    ends = Ends()

    async def run_testbench(ctx):
        await testbench(ctx, ends)

    simulator = Simulator(ends)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run_testbench)
    simulator.run()


async def say(ctx, receiver, data):
    """Give bytes to a receiver; return how many frames were good, and how many dropped."""
    good = dropped = 0
    for byte in data:
        ctx.set(receiver.octet, byte)
        ctx.set(receiver.valid, 1)
        good += ctx.get(receiver.good)
        dropped += ctx.get(receiver.dropped)
        await ctx.tick()
        ctx.set(receiver.valid, 0)
        await ctx.tick().repeat(GAP)
    return good, dropped


async def kept(ctx, receiver, length):
    """Read a payload."""
    found = []
    for n in range(length):
        ctx.set(receiver.address, n)
        await ctx.tick()
        found.append(ctx.get(receiver.data))
    return bytes(found)


PAYLOADS = [
    b"", b"\x00", bytes(range(PAYLOAD)), bytes([END] * PAYLOAD), bytes([ESC] * 7),
    b"\xdb\xdc\xdb\xdd\xc0\xdb", bytes(range(0xD0, 0xE0)),
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda p: f"{len(p)}-{zlib.crc32(p):x}")
def test_good_frames(payload):
    """A frame is taken and kept, whatever its bytes; noise before its END does not matter."""

    async def testbench(ctx, ends):
        receiver = ends.receiver
        for sequence, operation in ((END, 0x5B), (ESC, 3)):
            frame = escaped(text(sequence, operation, payload))
            assert await say(ctx, receiver, frame) == (1, 0)
            assert ctx.get(receiver.header.sequence) == sequence
            assert ctx.get(receiver.header.operation) == operation
            assert ctx.get(receiver.header.length) == len(payload)
            assert await kept(ctx, receiver, len(payload)) == payload
            assert await say(ctx, receiver, b"\x12" + frame) == (1, 1)
        # Without an END between two frames of which the first one is whole.
        assert await say(ctx, receiver, frame + frame[1:] + frame[:1]) == (2, 0)

    run(testbench)


def test_bad_frames():
    """Every way to be wrong is found, and does not cost the next frame."""
    whole = text(1, 2, b"abc")
    frame = escaped(whole)
    bad = [
        *(escaped(whole[:n] + bytes([whole[n] ^ 1 << n % 8]) + whole[n + 1 :])
          for n in range(len(whole))),
        *(escaped(whole[:n]) for n in range(1, len(whole))),
        escaped(whole + b"\0"),
        escaped(text(1, 0x82, b"abc")),
        escaped(text(1, 2, b"abc", length=2)),
        escaped(text(1, 2, b"abc", length=4)),
        escaped(text(1, 2, b"abc", length=3 + 256)),
        escaped(text(1, 2, bytes(PAYLOAD + 1))),
        escaped(text(1, 2, bytes(200))),
        b"\xc0\xdb\xc0",
        frame[:-1] + b"\xdb\xc0",
        frame[:5] + b"\xdb\x61" + frame[6:],
        frame[:5] + b"\xdb\xdb" + frame[5:],
    ]  # fmt: skip

    async def testbench(ctx, ends):
        for wrong in bad:
            assert await say(ctx, ends.receiver, wrong) == (0, 1), wrong.hex()
            assert await say(ctx, ends.receiver, frame) == (1, 0), wrong.hex()
        assert await say(ctx, ends.receiver, b"\xc0\xc0\xc0") == (0, 0)
        # END in the middle ends a frame, and begins one.
        assert await say(ctx, ends.receiver, frame[:6] + frame) == (1, 1)

    run(testbench)


def test_closed():
    """What arrives meanwhile is dropped, and does not touch what is kept."""
    frame, other = escaped(text(1, 2, b"abc")), escaped(text(9, 3, b"XYZXYZ"))

    async def testbench(ctx, ends):
        receiver = ends.receiver
        assert await say(ctx, receiver, frame) == (1, 0)
        for whole in (other, other[:1], other[:9]):
            ctx.set(receiver.closed, 1)
            assert await say(ctx, receiver, whole) == (0, 0)
            ctx.set(receiver.closed, 0)
            assert ctx.get(receiver.header.sequence) == 1
            assert await kept(ctx, receiver, 3) == b"abc"
            # The rest of a frame is none.
            good, _ = await say(ctx, receiver, other[len(whole) :])
            assert good == 0
            assert await say(ctx, receiver, frame) == (1, 0)

    run(testbench)


@pytest.mark.parametrize("payload", PAYLOADS[1:], ids=lambda p: f"{len(p)}-{zlib.crc32(p):x}")
def test_sender(payload):
    """An answer is the frame it must be, and again when it is asked for again."""

    async def testbench(ctx, ends):
        sender = ends.sender
        for address, byte in enumerate(payload):
            ctx.set(sender.address, address)
            ctx.set(sender.data, byte)
            ctx.set(sender.write, 1)
            await ctx.tick()
        ctx.set(sender.write, 0)
        ctx.set(sender.header, {"sequence": END, "operation": 3, "length": len(payload)})
        for pause in (1, 5):
            ctx.set(sender.start, 1)
            await ctx.tick()
            ctx.set(sender.start, 0)
            found = []
            while ctx.get(sender.busy):
                ctx.set(sender.o.ready, 0)
                await ctx.tick().repeat(pause)
                ctx.set(sender.o.ready, 1)
                if ctx.get(sender.o.valid):
                    found.append(ctx.get(sender.o.payload))
                await ctx.tick()
            assert bytes(found) == escaped(text(END, 0x83, payload))

    run(testbench)
