# amaranth: UnusedElaboratable=no
"""Proofs of flow control: the stream contract, and that nothing is lost, doubled or reordered."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, Cat, Fragment, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib import pipes
from amxfp4.rtl.lib.pipes import Queue, SkidBuffer, StreamRegister
from amxfp4.rtl.quantizer import buffer as quantizer_buffer
from amxfp4.verif.check import planted
from amxfp4.verif.check.prove import Verdict, decide, signals

WIDTH = 4
"""Bits of the numbers that are sent; more numbers than any pipe here can hold."""


def contract(m: Module, output) -> None:
    """Claim that what `output` offers stays until it is taken."""
    waiting, offered = Signal(name="waiting"), Signal.like(Value.cast(output.payload))
    payload = Value.cast(output.payload)
    m.d.sync += [waiting.eq(output.valid & ~output.ready), offered.eq(payload)]
    with m.If(waiting):
        m.d.comb += [Assert(output.valid), Assert(payload == offered)]


class Numbers(wiring.Component):
    """Sends 0, 1, 2, ... through a pipe whenever it likes, and claims to receive the same.

    `inside(m, pipe, received, count)` claims what holds of the registers inside, given how many
    numbers left and how many are under way, so that one step of induction is enough. If the pipe
    is a buffer of `beats` numbers, a number leaves only when the last of its block is there, the
    buffer tells the last ones, and it never refuses a number while it gives one.
    """

    def __init__(self, pipe, inside=None, beats: int = 0) -> None:
        self.pipe, self.inside, self.beats = pipe, inside, beats
        super().__init__({"offer": In(1), "accept": In(1)})

    def elaborate(self, platform):
        m = Module()
        pipe = self.pipe
        inner = pipe.elaborate(None)
        sent, received = Signal(WIDTH), Signal(WIDTH)
        withheld = Signal()
        m.d.comb += [
            pipe.i.valid.eq(self.offer),
            pipe.i.payload.eq(sent),
            pipe.o.ready.eq(self.accept),
        ]
        # The sender keeps the contract too.
        m.d.sync += withheld.eq(pipe.i.valid & ~pipe.i.ready)
        with m.If(withheld):
            m.d.comb += Assume(self.offer)
        with m.If(pipe.i.valid & pipe.i.ready):
            m.d.sync += sent.eq(sent + 1)
        with m.If(pipe.o.valid & pipe.o.ready):
            m.d.sync += received.eq(received + 1)
        with m.If(pipe.o.valid):
            m.d.comb += Assert(pipe.o.payload == received)
        contract(m, pipe.o)
        count = Signal(WIDTH)
        m.d.comb += count.eq(sent - received)
        if self.beats:
            last = self.beats - 1
            with m.If(pipe.o.valid):
                m.d.comb += Assert(count + (received & last) >= self.beats)
            with m.If(pipe.o.valid & pipe.o.ready):
                m.d.comb += Assert(pipe.i.ready)
            m.d.comb += [
                Assert(pipe.is_last_in == (sent & last == last)),
                Assert(pipe.is_last_out == (received & last == last)),
            ]
        if self.inside:
            self.inside(m, inner, received, count)
        # After `inside`, which may look into the module while it is still one.
        m.submodules.pipe = inner
        return m


def _register(m, inner, received, count):
    m.d.comb += Assert(count <= 1)
    fragment = Fragment.get(inner, None)
    (valid,) = signals(fragment, "o__valid")
    m.d.comb += Assert(count == valid)


def _skid(m, inner, received, count):
    """Claim that a spare number is the second of two."""
    fragment = Fragment.get(inner, None)
    valid, has_spare, spare = (
        signals(fragment, name)[0] for name in ("o__valid", "has_spare", "spare")
    )
    m.d.comb += [Assert(count == valid + has_spare), Assert(valid | ~has_spare)]
    with m.If(has_spare):
        m.d.comb += Assert(spare == (received + 1)[:WIDTH])


def _chain(m, inner, received, count):
    """Claim that the numbers under way stand in a row, oldest last."""
    stages = [inner.submodules[name] for name in ("stage_1", "stage_0")]
    older = 0
    for stage in stages:
        with m.If(stage.o.valid):
            m.d.comb += Assert(stage.o.payload == (received + older)[:WIDTH])
        older = older + stage.o.valid
    m.d.comb += Assert(count == older)


def _memory(depth):
    def claim(m, inner, received, count):
        memory = inner.submodules.memory
        first, place = memory.read_ports[0].addr, memory.write_ports[0].addr
        slots = [memory.read_port(domain="comb") for _ in range(depth)]
        (level,) = signals(Fragment.get(inner, None), "level")
        m.d.comb += [
            Assert(level == count),
            Assert(level <= depth),
            Assert((first < depth) & (place < depth)),
            Assert((place == first + level) | (place + depth == first + level)),
        ]
        for n, slot in enumerate(slots):
            at = Signal(range(2 * depth), name=f"at_{n}")
            m.d.comb += at.eq(first + n)
            m.d.comb += slot.addr.eq(at - ((at >= depth) * depth))
            with m.If(n < level):
                m.d.comb += Assert(slot.data == (received + n)[:WIDTH])

    return claim


def _block(beats):
    """Claim that the numbers under way stand in their places, oldest first."""

    def claim(m, inner, received, count):
        last = beats - 1
        if beats > 1:
            memory = inner.submodules.memory
            first, place = memory.read_ports[0].addr, memory.write_ports[0].addr
            slots = [memory.read_port(domain="comb") for _ in range(beats)]
            m.d.comb += [
                Assert(first == received & last),
                Assert(place == (received + count) & last),
            ]
            for n, slot in enumerate(slots):
                m.d.comb += slot.addr.eq((first + n) & last)
                with m.If(n < count):
                    m.d.comb += Assert(slot.data == (received + n)[:WIDTH])
        # This elaborates the memory: no port can be had of it from here on.
        (valid,) = signals(Fragment.get(inner, None), "o__valid")
        m.d.comb += [
            Assert(count <= beats),
            Assert(valid == (count + (received & last) >= beats)),
        ]

    return claim


PIPES = {
    "register": (lambda: StreamRegister(WIDTH), _register),
    "skid": (lambda: SkidBuffer(WIDTH), _skid),
    "queue_2": (lambda: Queue(WIDTH, 2), _chain),
    "queue_3": (lambda: Queue(WIDTH, 3), _memory(3)),
    "queue_4": (lambda: Queue(WIDTH, 4), _memory(4)),
    "queue_5": (lambda: Queue(WIDTH, 5), _memory(5)),
}

BUFFERS = (1, 2, 4, 8)


@pytest.mark.parametrize("pipe", PIPES)
def test_nothing_is_lost_doubled_or_changed(pipe):
    """For ever, under any offers and stalls: same numbers, same order, contract kept."""
    build, inside = PIPES[pipe]
    assert decide(Numbers(build(), inside), depth=3) is Verdict.PROVEN


@pytest.mark.parametrize("beats", BUFFERS)
def test_blocks_leave_whole(beats):
    """The same of a block's buffer; and no number leaves before the last of its block is there."""
    buffer = quantizer_buffer.BlockBuffer(WIDTH, beats)
    assert decide(Numbers(buffer, _block(beats), beats), depth=3) is Verdict.PROVEN


class Faulty(StreamRegister):
    """A register with one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        super().__init__(WIDTH)

    def elaborate(self, platform):
        m = Module()
        m.submodules.good = good = StreamRegister(WIDTH)
        m.d.comb += [
            good.i.valid.eq(self.i.valid),
            good.i.payload.eq(self.i.payload),
            good.o.ready.eq(self.o.ready),
            self.i.ready.eq(good.i.ready),
            self.o.valid.eq(good.o.valid),
            self.o.payload.eq(good.o.payload),
        ]
        match self.fault:
            case "loses":
                m.d.comb += self.i.ready.eq(1)
            case "doubles":
                m.d.comb += good.o.ready.eq(self.o.ready & ~good.o.payload.all())
            case "changes":
                m.d.comb += self.o.payload.eq(good.o.payload ^ (good.o.payload == 9))
            case "withdraws":
                late = Signal()
                m.d.sync += late.eq(~late)
                m.d.comb += self.o.valid.eq(good.o.valid & late)
                m.d.comb += good.o.ready.eq(self.o.ready & late)
        return m


@pytest.mark.parametrize("fault", ["loses", "doubles", "changes", "withdraws"])
def test_faults_are_refuted(fault):
    """A pipe that loses, doubles, changes or withdraws has a counterexample."""
    assert decide(Numbers(Faulty(fault)), depth=40) is Verdict.REFUTED


@pytest.mark.parametrize("shape", [range(6), range(5)], ids=["level", "address"])
def test_narrow_queue_is_refuted(monkeypatch, shape):
    """A queue of five whose level, or whose addresses, have a bit too few."""
    monkeypatch.setattr(
        pipes, "Signal", lambda given=None, **options: Signal(2 if given == shape else given)
    )
    assert decide(Numbers(Queue(WIDTH, 5)), depth=20) is Verdict.REFUTED


@pytest.mark.parametrize(
    ("old", "new"),
    [("with m.If(self.is_last_in):", "with m.If(1):"),
     ("with m.If(self.is_last_out):", "with m.If(1):"),
     ("| (place_in != place_out)", "| 1"),
     ("~self.o.valid | leaves | (place_in", "~self.o.valid | (place_in"),
     ("write.en.eq(enters)", "write.en.eq(self.i.valid)"),
     ("place_in == self._beats - 1", "place_in == self._beats - 2"),
     ("place_out == self._beats - 1", "place_out == 0"),
     ("place_in = Signal(range(self._beats))", "place_in = Signal(1)")],
)  # fmt: skip
def test_faulty_buffers_are_refuted(monkeypatch, old, new):
    """A buffer that overwrites, withholds, gives parts of a block or counts with a bit too few."""
    planted.bug(monkeypatch, "quantizer.buffer", old, new)
    buffer = quantizer_buffer.BlockBuffer(WIDTH, 4)
    assert decide(Numbers(buffer, beats=4), depth=20) is Verdict.REFUTED


class Reached(wiring.Component):
    """Claims that a buffer is never full, read and filled at once, between two blocks."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(2)), "o": Out(stream.Signature(2))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = quantizer_buffer.BlockBuffer(2, 4)
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        taken = Signal(range(8))
        m.d.sync += taken.eq(
            (taken + (buffer.i.valid & buffer.i.ready) - (buffer.o.valid & buffer.o.ready))[:3]
        )
        full = Cat(taken == 4, buffer.i.ready, buffer.i.valid, buffer.is_last_out)
        m.d.comb += Assert(~full.all())
        return m


def test_full_buffer_is_reached():
    """The states that the proofs are about occur: a full buffer that takes and gives at once."""
    assert decide(Reached(), depth=12) is Verdict.REFUTED


class ReachedQueue(wiring.Component):
    """Claims that a queue is never full and read at once."""

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(2)), "o": Out(stream.Signature(2))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(2, 3)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        taken = Signal(range(8))
        m.d.sync += taken.eq(
            (taken + (queue.i.valid & queue.i.ready) - (queue.o.valid & queue.o.ready))[:3]
        )
        m.d.comb += Assert(~Cat(taken == 3, queue.i.ready, queue.i.valid).all())
        return m


def test_full_queue_is_reached():
    """The states that the proofs are about occur: a full queue that takes and gives at once."""
    assert decide(ReachedQueue(), depth=8) is Verdict.REFUTED
