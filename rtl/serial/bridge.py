"""The serial bridge's work: requests carried out on AXI4-Lite and on the streams."""

from __future__ import annotations

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from amxfp4.params.protocol import PROTOCOL, TIMEOUT, Operation, Status, Stream
from amxfp4.params.registers import ADDRESS_BITS
from amxfp4.params.serial import EngineUartConfig
from amxfp4.rtl.bus.axi_lite import axi_lite
from amxfp4.rtl.bus.axi_stream import axis_layout
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.serial.beats import BeatHolder
from amxfp4.rtl.serial.frames import HEADER
from amxfp4.rtl.serial.words import WORD, read_states, write_states

__all__ = ["Bridge"]


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
        self.status = Signal(Status, name="status")
        self._sequence = Signal(8, name="sequence_number")
        # What the operations share, of which those of words.py are a part.
        # Bytes taken from the request's payload, and put into the answer's.
        self.taken = Signal(range(config.payload + 1), name="taken")
        self.takes = Signal(name="takes")
        self._filled = Signal(range(config.payload + 1), name="filled")
        # The request's first bytes: an address, a number, or a stream and whether the last comes.
        self.argument = Signal(16, name="argument")
        self.left = Signal(range(max(256, config.payload // config.bytes_c)), name="left")
        # Of a byte in what is worked on: a word, a beat, the arguments.
        widest = max(8, config.bytes_a, config.bytes_b, config.bytes_c)
        self.index = Signal(range(widest), name="index")
        self._timeout = Signal(range(TIMEOUT), name="timeout")
        self._has_last = Signal(name="has_last")  # TLAST was taken
        self._clears = Signal(name="clears")  # drop what waits for the engine

    def elaborate(self, platform):
        m = Module()
        taken, filled, answer = self.taken, self._filled, self.answer
        carried_out = Signal()  # there is an answer to repeat
        m.d.comb += [
            # The address of the next byte, since the memory answers a cycle late.
            self.request_address.eq((taken + self.takes)[: len(self.request_address)]),
            self.answer_address.eq(filled[: len(self.answer_address)]),
            answer.sequence.eq(self._sequence),
            answer.operation.eq(self._operation),
            answer.length.eq(filled),
        ]
        with m.If(self.takes):
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
                        self.status.eq(Status.OK),
                        self._has_last.eq(0),
                        self.index.eq(0),
                        filled.eq(1),  # behind the status, which is known last
                    ]
                    m.next = "CHECK LENGTH"
            self._check(m)
            self._hello(m)
            read_states(m, self)
            write_states(m, self)
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
                m.d.sync += self.status.eq(Status.MALFORMED)
                m.next = "STATUS"
            with m.State("STATUS"):
                self.put(m, self.status, address=0)
                m.next = "SEND ANSWER"
            with m.State("SEND ANSWER"):
                m.d.comb += self.send.eq(1)
                m.next = "SENDING"
            with m.State("SENDING"), m.If(~self.sending):
                m.next = "IDLE"
        return m

    def put(self, m: Module, byte, address: int | None = None) -> None:
        """Write a byte of the answer: the next one, or one that was left out."""
        m.d.comb += [self.answer_data.eq(byte), self.answer_write.eq(1)]
        if address is None:
            m.d.sync += assign_low(self._filled, self._filled + 1)
        else:
            m.d.comb += self.answer_address.eq(address)

    def _check(self, m: Module) -> None:
        """Let no request pass that cannot be carried out."""
        config, length, argument = self.config, self.header.length, self.argument
        allowed = {
            Operation.HELLO: (length == 0, "HELLO"),
            Operation.READ: (length == 3, "ARGUMENT"),
            Operation.WRITE: ((length >= 2 + WORD) & (length[:2] == 2), "ARGUMENT"),
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
            m.d.comb += self.takes.eq(1)
            m.d.sync += [
                argument.eq(Cat(argument[8:], self.request_data)),
                self.index.eq(self.index ^ 1),
            ]
            with m.If(self.index[0]):
                m.next = "CHECK ARGUMENT"

        most_words = min((config.payload - 1) // WORD, 0xFF)
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
                    m.d.sync += self.left.eq(count)
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
                        self.left.eq(most_bytes[exact_log2(config.bytes_c) :]),
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
            self.put(m, Array(C(byte, 8) for byte in text)[self.index])
            m.d.sync += assign_low(self.index, self.index + 1)
            with m.If(self.index == len(text) - 1):
                m.next = "STATUS"

    def _send(self, m: Module) -> None:
        config, index = self.config, self.index
        is_b = self.argument[0]
        ends = self.taken == self.header.length
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
                holder.last.eq(self.argument[8] & ends),
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
            m.d.comb += [shifts.eq(1), self.takes.eq(~ends)]
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
        m.d.comb += count.eq((self.taken - 2)[: len(self.taken)])
        with m.State("COUNT LOW"):
            self.put(m, count[:8])
            m.next = "COUNT HIGH"
        with m.State("COUNT HIGH"):
            self.put(m, count[8:])
            m.next = "STATUS"

    def _receive(self, m: Module) -> None:
        config, index, beat = self.config, self.index, self.c.payload
        with m.State("WAIT TO RECEIVE"):
            with m.If((self.left == 0) | self._has_last):
                m.next = "LAST"
            with m.Elif(self.c.valid):
                m.next = "RECEIVE BEAT"
            with m.Elif(self._timeout == 0):
                m.next = "LAST"
        with m.State("RECEIVE BEAT"):
            # The beat waits at the engine's side while its bytes are copied.
            with m.If(beat.keep.bit_select(index, 1)):
                self.put(m, beat.data[index])
            m.d.sync += assign_low(index, index + 1)
            with m.If(index == config.bytes_c - 1):
                m.d.comb += self.c.ready.eq(1)
                m.d.sync += [
                    index.eq(0),
                    self._has_last.eq(beat.last),
                    self._timeout.eq(TIMEOUT - 1),
                    assign_low(self.left, self.left - 1),
                ]
                m.next = "WAIT TO RECEIVE"
        with m.State("LAST"):
            self.put(m, self._has_last, address=1)
            m.next = "STATUS"
