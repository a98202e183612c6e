"""Frames of the bridge: SLIP around a header, a payload and a checksum (docs/units/bridge.md)."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from amxfp4.params.protocol import ANSWER, END, ESC, ESC_END, ESC_ESC
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["HEADER", "Crc32", "FrameReceiver", "FrameSender"]

_CRC_POLYNOMIAL = 0xEDB88320
_CRC_GOOD = 0xDEBB20E3
"""What the register holds after a message and its own CRC, whatever the message."""
_HEADER_BYTES = 4
_CRC_BYTES = 4


HEADER = data.StructLayout({"sequence": 8, "operation": 8, "length": 16})
"""What stands before a payload; `length` in bytes."""


class Crc32(wiring.Component):
    """CRC-32 as IEEE 802.3 has it, bit by bit: a line is slower than that.

    Members
    -------
    clear : In(1), begin a message
    octet : In(8), with
    take : In(1); not while `busy`
    busy : Out(1), the last byte is worked on
    value : Out(32), the register: the CRC of what was taken, inverted

    Latency: 8 cycles a byte.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "clear": In(1),
                "octet": In(8),
                "take": In(1),
                "busy": Out(1),
                "value": Out(32, init=0xFFFFFFFF),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The 1 behind a byte says, when it is all that is left, that its bits are used up.
        bits = Signal(9, init=1)
        m.d.comb += self.busy.eq(bits != 1)
        with m.If(self.busy):
            feedback = (bits[0] ^ self.value[0]).replicate(32) & _CRC_POLYNOMIAL
            m.d.sync += [bits.eq(bits >> 1), self.value.eq((self.value >> 1) ^ feedback)]
        with m.Elif(self.take):
            m.d.sync += bits.eq(Cat(self.octet, 1))
        with m.If(self.clear):
            m.d.sync += [bits.eq(1), self.value.eq(self.value.init)]
        return m


class FrameReceiver(wiring.Component):
    """Takes a request off the line and keeps it; says when one is whole and right.

    Bytes come at least 10 cycles from one another.

    Parameters
    ----------
    payload : int
        Most bytes of a payload, a power of two.

    Members
    -------
    octet : In(8), with
    valid : In(1)
    closed : In(1), drop what arrives; the header and the payload stay
    header : Out(HEADER)
    address : In, of a byte of the payload, which is
    data : Out(8), in the next cycle
    good : Out(1), for one cycle: a request is there
    dropped : Out(1), for one cycle: a frame was none
    crc_clear, crc_take : Out(1), crc_byte : Out(8), crc_value : In(32), of a `Crc32`
    """

    def __init__(self, payload: int) -> None:
        self._payload = payload
        super().__init__(
            {
                "octet": In(8),
                "valid": In(1),
                "closed": In(1),
                "header": Out(HEADER),
                "address": In(range(payload)),
                "data": Out(8),
                "good": Out(1),
                "dropped": Out(1),
                "crc_clear": Out(1),
                "crc_byte": Out(8),
                "crc_take": Out(1),
                "crc_value": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self._payload, init=[])
        write = memory.write_port()
        read = memory.read_port()

        # Where the next byte belongs: the header lies below 0, the payload from 0, the CRC behind.
        # A frame that is too long ends at `far`, where no frame that is right does.
        width = (2 * self._payload).bit_length()
        far = self._payload + _CRC_BYTES + 1
        first = (1 << width) - _HEADER_BYTES
        place = Signal(width, init=first)
        # `lost` is a frame of which something is wrong or missing already.
        escaped = Signal()
        lost = Signal()
        ends = Signal()
        content = Signal(8)
        unescapes = (self.octet == ESC_END) | (self.octet == ESC_ESC)
        m.d.comb += [
            ends.eq(self.valid & (self.octet == END)),
            content.eq(
                Mux(escaped, Mux(self.octet == ESC_END, END, ESC), self.octet),
            ),
            self.crc_byte.eq(content),
            self.crc_take.eq(self.valid & ~ends & (escaped | (self.octet != ESC))),
            self.crc_clear.eq(ends & ~self.closed),
            read.addr.eq(self.address),
            self.data.eq(read.data),
            write.addr.eq(place[: len(write.addr)]),
            write.data.eq(content),
            write.en.eq(self.crc_take & ~self.closed & (place < self._payload)),
        ]
        with m.If(self.valid):
            m.d.sync += escaped.eq(~escaped & (self.octet == ESC))
            with m.If(escaped & ~unescapes):
                m.d.sync += lost.eq(1)
        with m.If(self.crc_take & ~self.closed):
            with m.If(place != far):
                m.d.sync += assign_low(place, place + 1)
            with m.If(place[-1]):
                # Four bytes move through: they are in their places when the last one is in.
                whole = self.header.as_value()
                m.d.sync += whole.eq(Cat(whole[8:], content))
        whole_length = place == (self.header.length + _CRC_BYTES)
        right = (
            ~lost & ~escaped & whole_length & (self.crc_value == _CRC_GOOD)
            & (self.header.length <= self._payload) & ~self.header.operation[7]
        )  # fmt: skip
        with m.If(ends):
            m.d.comb += [
                self.good.eq(right & ~self.closed),
                self.dropped.eq(~right & ((place != first) | escaped) & ~self.closed),
            ]
            m.d.sync += [place.eq(first), lost.eq(0), escaped.eq(0)]
        with m.If(self.closed):
            # What began meanwhile has lost its beginning.
            m.d.sync += [place.eq(first), lost.eq(1), escaped.eq(0)]
        return m


class FrameSender(wiring.Component):
    """Keeps an answer, and sends it whenever asked.

    Parameters
    ----------
    payload : int
        Most bytes of a payload, a power of two.

    Members
    -------
    header : In(HEADER), of the answer, held while `busy`
    address : In, of a byte of the payload to write, with
    data : In(8)
    write : In(1), not while `busy`
    start : In(1), send the answer
    busy : Out(1), it is being sent
    o : Out(stream of 8), the frame
    crc_clear, crc_take : Out(1), crc_byte : Out(8), crc_busy : In(1), crc_value : In(32), of a
    `Crc32`
    """

    def __init__(self, payload: int) -> None:
        self._payload = payload
        super().__init__(
            {
                "header": In(HEADER),
                "address": In(range(payload)),
                "data": In(8),
                "write": In(1),
                "start": In(1),
                "busy": Out(1),
                "o": Out(stream.Signature(8)),
                "crc_clear": Out(1),
                "crc_byte": Out(8),
                "crc_take": Out(1),
                "crc_busy": In(1),
                "crc_value": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self._payload, init=[])
        write = memory.write_port()
        read = memory.read_port()
        at = Signal(range(self._payload + 1))  # bytes of the part that were sent
        # The memory answers a cycle late, and a byte takes many: `at` is address enough.
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.data),
            write.en.eq(self.write),
            read.addr.eq(at[: len(read.addr)]),
        ]

        content = Signal(8)
        is_content = Signal()
        escaping = Signal()
        ends_part = Signal()
        sent = Signal()
        done = Signal()
        escape = is_content & ((content == END) | (content == ESC))
        m.d.comb += [
            sent.eq(self.o.valid & self.o.ready),
            # A byte is done with once it, or the second half of its escape, was sent.
            done.eq(sent & (~escape | escaping)),
            self.o.payload.eq(content),
            self.crc_byte.eq(content),
            self.crc_take.eq(done & is_content),
        ]
        with m.If(escape):
            second = Mux(content == END, ESC_END, ESC_ESC)
            m.d.comb += self.o.payload.eq(Mux(escaping, second, ESC))
            with m.If(sent):
                m.d.sync += escaping.eq(~escaping)
        with m.If(done):
            m.d.sync += assign_low(at, Mux(ends_part, 0, at + 1))

        header = self.header.as_value() | (ANSWER << 8)
        # What the checksum needs is in place before a byte is offered, and so is the memory's.
        settled = Signal()
        m.d.sync += settled.eq(self.busy & ~sent & ~self.crc_busy)
        with m.FSM(name="part") as part:
            m.d.comb += self.busy.eq(~part.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += self.crc_clear.eq(self.start)
                with m.If(self.start):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [content.eq(END), ends_part.eq(1)]
                with m.If(done):
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [
                    content.eq(header.word_select(at[:2], 8)),
                    is_content.eq(1),
                    ends_part.eq(at[:2] == _HEADER_BYTES - 1),
                ]
                with m.If(done & ends_part):
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                # Every answer has a status, so that there is a byte.
                m.d.comb += [
                    content.eq(read.data),
                    is_content.eq(1),
                    ends_part.eq(at + 1 == self.header.length),
                ]
                with m.If(done & ends_part):
                    m.next = "CRC"
            with m.State("CRC"):
                # The register gives its low byte, inverted. Fed with that byte as it stands, it
                # only shifts, and the next one comes down.
                m.d.comb += [
                    content.eq(~self.crc_value[:8]),
                    self.crc_byte.eq(self.crc_value[:8]),
                    is_content.eq(1),
                    ends_part.eq(at[:2] == _CRC_BYTES - 1),
                ]
                with m.If(done & ends_part):
                    m.next = "END"
            with m.State("END"):
                m.d.comb += [content.eq(END), ends_part.eq(1)]
                with m.If(done):
                    m.next = "IDLE"
        m.d.comb += self.o.valid.eq(settled)
        return m
