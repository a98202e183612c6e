"""The serial bridge's work: requests carried out on AXI4-Lite and on the streams."""

from __future__ import annotations

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from amxfp4.params.protocol import PROTOCOL, TIMEOUT, Operation, Status, Stream
from amxfp4.params.serial import EngineUartConfig
from amxfp4.rtl.bus.axi_lite import OKAY, axi_lite
from amxfp4.rtl.bus.axi_stream import axis_layout
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.serial.beats import BeatHolder
from amxfp4.rtl.serial.frames import HEADER

__all__ = ["Bridge"]

ADDRESS_BITS = 12
"""Of the engine's control bus."""
_WORD = 4
"""Bytes of a register."""


class Bridge(wiring.Component):
    """Carries out requests, and says which answer to send (docs/units/bridge.md, Operations).

    A request with the sequence of the last one that was carried out is answered once more, and
    nothing else. Request and answer lie in memories of others, read and written byte by byte.

    Parameters
    ----------
    config : EngineUartConfig

    Members
    -------
    request : In(1), for one cycle: there is one; not while `busy`
    header : In(HEADER), of the request, held while `busy`
    request_address : Out, of a byte of the request's payload, which is
    request_data : In(8), in the next cycle
    answer : Out(HEADER), of the last answer
    answer_address, answer_data, answer_write : Out, a byte of the answer's payload
    send : Out(1), for one cycle: send the answer
    sending : In(1), from the next cycle until it is sent
    busy : Out(1)
    control : Out(axi_lite(ADDRESS_BITS))
    a, b : Out(stream of axis_layout), the beats of one are those of an AXI4-Stream
    c : In(stream of axis_layout)
    resets : Out(1), reset the engine in this cycle
    """

    def __init__(self, config: EngineUartConfig) -> None:
        self.config = config
        at = range(config.payload)
        super().__init__(
            {
                "request": In(1),
                "header": In(HEADER),
                "request_address": Out(at),
                "request_data": In(8),
                "answer": Out(HEADER),
                "answer_address": Out(at),
                "answer_data": Out(8),
                "answer_write": Out(1),
                "send": Out(1),
                "sending": In(1),
                "busy": Out(1),
                "control": Out(axi_lite(ADDRESS_BITS)),
                "a": Out(stream.Signature(axis_layout(config.bytes_a))),
                "b": Out(stream.Signature(axis_layout(config.bytes_b))),
                "c": In(stream.Signature(axis_layout(config.bytes_c))),
                "resets": Out(1),
            }
        )
        self._operation = Signal(7, name="operation")
        self._status = Signal(Status, name="status")
        self._sequence = Signal(8, name="sequence_number")
        # Bytes taken from the request's payload, and put into the answer's.
        self._taken = Signal(range(config.payload + 1), name="taken")
        self._takes = Signal(name="takes")
        self._filled = Signal(range(config.payload + 1), name="filled")
        # The request's first bytes: an address, a number, or a stream and whether the last comes.
        self._argument = Signal(16, name="argument")
        self._left = Signal(range(max(256, config.payload // config.bytes_c)), name="left")
        # Of a byte in what is worked on: a word, a beat, the arguments.
        widest = max(8, config.bytes_a, config.bytes_b, config.bytes_c)
        self._index = Signal(range(widest), name="index")
        self._timeout = Signal(range(TIMEOUT), name="timeout")
        self._has_last = Signal(name="has_last")  # TLAST was taken
        self._clears = Signal(name="clears")  # drop what waits for the engine

    def elaborate(self, platform):
        m = Module()
        taken, filled, answer = self._taken, self._filled, self.answer
        carried_out = Signal()  # there is an answer to repeat
        m.d.comb += [
            # The address of the next byte, since the memory answers a cycle late.
            self.request_address.eq((taken + self._takes)[: len(self.request_address)]),
            self.answer_address.eq(filled[: len(self.answer_address)]),
            answer.sequence.eq(self._sequence),
            answer.operation.eq(self._operation),
            answer.length.eq(filled),
        ]
        with m.If(self._takes):
            m.d.sync += assign_low(taken, taken + 1)
        # No operation waits longer than this from one beat to the next.
        m.d.sync += assign_low(self._timeout, self._timeout - (self._timeout != 0))

        is_repeated = (
            carried_out & (self.header.sequence == self._sequence)
            & (self.header.operation != Operation.HELLO)
        )  # fmt: skip
        with m.FSM(name="step") as step:
            m.d.comb += self.busy.eq(~step.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += taken.eq(0)
                with m.If(self.request & is_repeated):
                    m.next = "SEND ANSWER"
                with m.Elif(self.request):
                    m.d.sync += [
                        carried_out.eq(1),
                        self._sequence.eq(self.header.sequence),
                        self._operation.eq(self.header.operation[:7]),
                        self._status.eq(Status.OK),
                        self._has_last.eq(0),
                        self._index.eq(0),
                        filled.eq(1),  # behind the status, which is known last
                    ]
                    m.next = "CHECK LENGTH"
            self._check(m)
            self._hello(m)
            self._read(m)
            self._write(m)
            self._send(m)
            self._receive(m)
            with m.State("RESET"):
                # By the next cycle nothing is offered to the engine.
                m.d.comb += self._clears.eq(1)
                m.next = "RESET ENGINE"
            with m.State("RESET ENGINE"):
                m.d.comb += self.resets.eq(1)
                m.next = "STATUS"
            with m.State("MALFORMED"):
                m.d.sync += self._status.eq(Status.MALFORMED)
                m.next = "STATUS"
            with m.State("STATUS"):
                self._put(m, self._status, address=0)
                m.next = "SEND ANSWER"
            with m.State("SEND ANSWER"):
                m.d.comb += self.send.eq(1)
                m.next = "SENDING"
            with m.State("SENDING"), m.If(~self.sending):
                m.next = "IDLE"
        return m

    def _put(self, m: Module, byte, address: int | None = None) -> None:
        """Write a byte of the answer: the next one, or one that was left out."""
        m.d.comb += [self.answer_data.eq(byte), self.answer_write.eq(1)]
        if address is None:
            m.d.sync += assign_low(self._filled, self._filled + 1)
        else:
            m.d.comb += self.answer_address.eq(address)

    def _check(self, m: Module) -> None:
        """Let no request pass that cannot be carried out."""
        config, length, argument = self.config, self.header.length, self._argument
        allowed = {
            Operation.HELLO: (length == 0, "HELLO"),
            Operation.READ: (length == 3, "ARGUMENT"),
            Operation.WRITE: ((length >= 2 + _WORD) & (length[:2] == 2), "ARGUMENT"),
            Operation.SEND: (length >= 3, "ARGUMENT"),
            Operation.RECEIVE: (length == 2, "ARGUMENT"),
            Operation.RESET: (length == 0, "RESET"),
        }
        with m.State("CHECK LENGTH"):
            m.next = "MALFORMED"
            with m.Switch(self._operation):
                for operation, (is_right, next_state) in allowed.items():
                    with m.Case(operation), m.If(is_right):
                        m.next = next_state
        with m.State("ARGUMENT"):
            m.d.comb += self._takes.eq(1)
            m.d.sync += [
                argument.eq(Cat(argument[8:], self.request_data)),
                self._index.eq(self._index ^ 1),
            ]
            with m.If(self._index[0]):
                m.next = "CHECK ARGUMENT"

        most_words = min((config.payload - 1) // _WORD, 0xFF)
        most_bytes = Signal(range(config.payload))
        most = config.payload - 2
        m.d.comb += assign_low(most_bytes, Mux(argument > most, most, argument))
        # Without `last` there are whole beats behind the argument.
        whole_a, whole_b = (
            length[: exact_log2(width)] == 2 for width in (config.bytes_a, config.bytes_b)
        )
        stream_of, last = argument[:8], argument[8:]
        is_whole = Mux(stream_of == Stream.B, whole_b, whole_a)
        with m.State("CHECK ARGUMENT"):
            m.next = "MALFORMED"
            with m.Switch(self._operation):
                with m.Case(Operation.READ):
                    count = self.request_data
                    m.d.sync += self._left.eq(count)
                    # A large payload holds as many as the count can say.
                    fits = count <= most_words if most_words < 0xFF else C(1)
                    with m.If((count != 0) & fits):
                        m.next = "READ"
                with m.Case(Operation.WRITE):
                    m.next = "FILL WORD"
                with m.Case(Operation.SEND):
                    m.d.sync += self._timeout.eq(TIMEOUT - 1)
                    with m.If((stream_of <= Stream.B) & (last <= 1) & (last[0] | is_whole)):
                        m.next = "WAIT TO SEND"
                with m.Case(Operation.RECEIVE):
                    m.d.sync += [
                        self._left.eq(most_bytes[exact_log2(config.bytes_c) :]),
                        self._timeout.eq(TIMEOUT - 1),
                    ]
                    with m.If(argument >= config.bytes_c):
                        m.d.sync += self._filled.eq(2)  # behind `last`, which is known later
                        m.next = "WAIT TO RECEIVE"

    def _hello(self, m: Module) -> None:
        config = self.config
        text = bytes([PROTOCOL]) + b"".join(
            value.to_bytes(width, "little") for value, width in ((config.payload, 2),
                                                                 (config.clock, 4))
        )  # fmt: skip
        with m.State("HELLO"):
            self._put(m, Array(C(byte, 8) for byte in text)[self._index])
            m.d.sync += assign_low(self._index, self._index + 1)
            with m.If(self._index == len(text) - 1):
                m.next = "STATUS"

    def _next_register(self, m: Module) -> None:
        m.d.sync += assign_low(self._argument, self._argument + _WORD)

    def _refuse(self, m: Module) -> None:
        m.d.sync += self._status.eq(Status.REFUSED)
        m.next = "STATUS"

    @property
    def _is_outside(self) -> Value:
        """Whether the address is one that the engine's bus does not have."""
        return self._argument[ADDRESS_BITS:].any()

    def _read(self, m: Module) -> None:
        bus, index = self.control, self._index
        m.d.comb += bus.araddr.eq(self._argument[:ADDRESS_BITS])
        with m.State("READ"):
            with m.If(self._is_outside):
                self._refuse(m)
            with m.Else():
                m.d.comb += bus.arvalid.eq(1)
                with m.If(bus.arready):
                    m.next = "READ ANSWER"
        with m.State("READ ANSWER"), m.If(bus.rvalid):
            # The word waits on the bus while its bytes are copied.
            with m.If(bus.rresp != OKAY):
                m.d.comb += bus.rready.eq(1)
                self._refuse(m)
            with m.Else():
                self._put(m, bus.rdata.word_select(index[:2], 8))
                m.d.sync += assign_low(index[:2], index[:2] + 1)
                with m.If(index[:2] == _WORD - 1):
                    m.d.comb += bus.rready.eq(1)
                    m.d.sync += assign_low(self._left, self._left - 1)
                    self._next_register(m)
                    m.next = "READ"
                    with m.If(self._left == 1):
                        m.next = "STATUS"

    def _write(self, m: Module) -> None:
        bus, index = self.control, self._index
        word = Signal(8 * _WORD)
        m.d.comb += [
            bus.awaddr.eq(self._argument[:ADDRESS_BITS]),
            bus.wdata.eq(word),
            bus.wstrb.eq(0b1111),
        ]
        with m.State("FILL WORD"):
            m.d.comb += self._takes.eq(1)
            m.d.sync += [
                word.eq(Cat(word[8:], self.request_data)),
                assign_low(index[:2], index[:2] + 1),
            ]
            with m.If(index[:2] == _WORD - 1):
                m.d.sync += [bus.awvalid.eq(~self._is_outside), bus.wvalid.eq(~self._is_outside)]
                m.next = "WRITE ANSWER"
        with m.State("WRITE ANSWER"):
            m.d.comb += bus.bready.eq(1)
            with m.If(bus.awready):
                m.d.sync += bus.awvalid.eq(0)
            with m.If(bus.wready):
                m.d.sync += bus.wvalid.eq(0)
            with m.If(self._is_outside | (bus.bvalid & (bus.bresp != OKAY))):
                self._refuse(m)
            with m.Elif(bus.bvalid):
                self._next_register(m)
                m.next = "FILL WORD"
                with m.If(self._taken == self.header.length):
                    m.next = "STATUS"

    def _send(self, m: Module) -> None:
        config, index = self.config, self._index
        is_b = self._argument[0]
        ends = self._taken == self.header.length
        shifts = Signal()
        offers = Signal()
        m.submodules.holder_a = holder_a = BeatHolder(config.bytes_a)
        m.submodules.holder_b = holder_b = BeatHolder(config.bytes_b)
        for holder, port, chosen in ((holder_a, self.a, ~is_b), (holder_b, self.b, is_b)):
            wiring.connect(m, holder.o, wiring.flipped(port))
            m.d.comb += [
                holder.octet.eq(Mux(ends, 0, self.request_data)),
                holder.keep.eq(~ends),
                holder.shift.eq(shifts & chosen),
                holder.offer.eq(offers & chosen),
                holder.last.eq(self._argument[8] & ends),
                holder.clear.eq(self._clears),
            ]
        waits = Mux(is_b, self.b.valid, self.a.valid)
        with m.State("WAIT TO SEND"):
            with m.If(ends):
                m.next = "COUNT LOW"
            with m.Elif(~waits):
                m.next = "FILL BEAT"
            with m.Elif(self._timeout == 0):
                m.next = "COUNT LOW"
        with m.State("FILL BEAT"):
            m.d.comb += [shifts.eq(1), self._takes.eq(~ends)]
            m.d.sync += assign_low(index, index + 1)
            with m.If(index == Mux(is_b, config.bytes_b - 1, config.bytes_a - 1)):
                m.d.sync += index.eq(0)
                m.next = "OFFER BEAT"
        with m.State("OFFER BEAT"):
            m.d.comb += offers.eq(1)
            m.d.sync += self._timeout.eq(TIMEOUT - 1)
            m.next = "WAIT TO SEND"
        # What was taken of the request, bar stream and `last`, is with the stream, or waits here.
        count = Signal(16)
        m.d.comb += count.eq((self._taken - 2)[: len(self._taken)])
        with m.State("COUNT LOW"):
            self._put(m, count[:8])
            m.next = "COUNT HIGH"
        with m.State("COUNT HIGH"):
            self._put(m, count[8:])
            m.next = "STATUS"

    def _receive(self, m: Module) -> None:
        config, index, beat = self.config, self._index, self.c.payload
        with m.State("WAIT TO RECEIVE"):
            with m.If((self._left == 0) | self._has_last):
                m.next = "LAST"
            with m.Elif(self.c.valid):
                m.next = "RECEIVE BEAT"
            with m.Elif(self._timeout == 0):
                m.next = "LAST"
        with m.State("RECEIVE BEAT"):
            # The beat waits at the engine's side while its bytes are copied.
            with m.If(beat.keep.bit_select(index, 1)):
                self._put(m, beat.data[index])
            m.d.sync += assign_low(index, index + 1)
            with m.If(index == config.bytes_c - 1):
                m.d.comb += self.c.ready.eq(1)
                m.d.sync += [
                    index.eq(0),
                    self._has_last.eq(beat.last),
                    self._timeout.eq(TIMEOUT - 1),
                    assign_low(self._left, self._left - 1),
                ]
                m.next = "WAIT TO RECEIVE"
        with m.State("LAST"):
            self._put(m, self._has_last, address=1)
            m.next = "STATUS"
