# amaranth: UnusedElaboratable=no
"""The buffer of a block: whole blocks in order, the stream contract, throughput and reset."""

from __future__ import annotations

import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.quantizer import buffer as quantizer_buffer
from amxfp4.verif.check import planted

BEATS = (1, 2, 4, 32)
every = pytest.mark.parametrize("beats", BEATS)
LAST_IN, LAST_OUT = 1 << 8, 1 << 9


class _Marked(wiring.Component):
    """A buffer whose beats carry what it said of them: last of a block, on entry and on leaving."""

    def __init__(self, beats: int) -> None:
        self._beats = beats
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(10))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = quantizer_buffer.BlockBuffer(9, self._beats)
        m.d.comb += [
            buffer.i.valid.eq(self.i.valid),
            buffer.i.payload.eq(Cat(self.i.payload, buffer.is_last_in)),
            self.i.ready.eq(buffer.i.ready),
            self.o.valid.eq(buffer.o.valid),
            self.o.payload.eq(Cat(buffer.o.payload, buffer.is_last_out)),
            buffer.o.ready.eq(self.o.ready),
        ]
        return m


def _marked(payloads: list[int], beats: int) -> list[int]:
    marks = LAST_IN + LAST_OUT
    return [p + marks * (n % beats == beats - 1) for n, p in enumerate(payloads)]


def _sometimes(rng, chance: float):
    choices = rng.random(10_000) < chance
    return lambda cycle: bool(choices[cycle])


def _payloads(rng, count: int) -> list[int]:
    return [int(word) for word in rng.integers(0, 256, count)]


def _check_stalls(rng, run_stream, beats: int, offer: float, accept: float) -> None:
    """Assert that whole blocks arrive once, in order, marked, none before its last beat entered."""
    payloads = _payloads(rng, 6 * max(beats, 16))
    # Half as long again as the slower side takes on average, and a block.
    cycles = int(1.5 * len(payloads) / min(offer, accept)) + 100
    traffic = run_stream(
        lambda: _Marked(beats), payloads,
        offer=_sometimes(rng, offer), accept=_sometimes(rng, accept), cycles=cycles,
    )  # fmt: skip
    assert traffic.taken == payloads
    assert traffic.given == _marked(payloads, beats)
    assert traffic.most_inside <= beats
    entered, left = traffic.taken_at[beats - 1 :: beats], traffic.given_at[::beats]
    assert all(last < first for last, first in zip(entered, left, strict=True))


@every
@pytest.mark.parametrize(("offer", "accept"), [(0.9, 0.3), (0.3, 0.9), (0.5, 0.5)])
def test_sim_random_stalls(rng, run_stream, beats, offer, accept):
    """Under random stalls on both sides whole blocks arrive once, in order, contract kept."""
    _check_stalls(rng, run_stream, beats, offer, accept)


def _check_full_throughput(run_stream, beats: int) -> None:
    """Assert that neither side waits, and that a block leaves the cycle after its last beat."""
    count = 4 * max(beats, 8)
    traffic = run_stream(lambda: _Marked(beats), list(range(count)), cycles=count + 50)
    assert traffic.taken_at == list(range(count))
    latency = quantizer_buffer.BlockBuffer.latency
    assert traffic.given_at == [cycle + beats - 1 + latency for cycle in range(count)]


@every
def test_sim_full_throughput(run_stream, beats):
    """Unstalled, a beat enters in every cycle, and a block follows the one before it at once."""
    _check_full_throughput(run_stream, beats)


@every
def test_sim_gives_nothing_before_a_block_is_whole(run_stream, beats):
    """One beat short of a block, nothing leaves, however long it takes."""
    payloads = list(range(3 * beats - 1))
    traffic = run_stream(lambda: _Marked(beats), payloads, cycles=200)
    assert traffic.taken == payloads
    assert traffic.given == _marked(payloads, beats)[: 2 * beats]


def _check_fills(run_stream, beats: int) -> None:
    """Assert that a block fills the buffer, and that a beat that leaves makes room for another."""
    payloads = list(range(4 * beats))
    once = beats + 2
    traffic = run_stream(
        lambda: _Marked(beats), payloads, cycles=100 + 4 * beats,
        accept=lambda cycle: cycle == once or cycle >= 80,
    )  # fmt: skip
    assert [cycle for cycle in traffic.taken_at if cycle < 80] == [*range(beats), once]
    assert traffic.most_inside == beats
    assert traffic.given == _marked(payloads, beats)


def _check_room(run_stream, beats: int) -> None:
    """Assert that room made while no beat is offered is found by the next one."""
    traffic = run_stream(
        lambda: _Marked(beats), list(range(beats + 1)), cycles=100 + beats,
        offer=lambda cycle: cycle < beats - 1 or cycle in (40, 60),
        accept=lambda cycle: cycle == 50,
    )  # fmt: skip
    assert traffic.taken_at == [*range(beats - 1), 40, 60]


@every
def test_sim_fills_to_a_block(run_stream, beats):
    """With nobody reading a block enters, and then one beat for every beat that leaves."""
    _check_fills(run_stream, beats)
    _check_room(run_stream, beats)


@every
def test_sim_reset_in_flight(rng, run_stream, beats):
    """A reset empties the buffer; what enters afterwards arrives in whole blocks, in order."""
    when = {30, 31, 77, 150, 251}
    traffic = run_stream(
        lambda: quantizer_buffer.BlockBuffer(8, beats), _payloads(rng, 12 * max(beats, 20)),
        offer=_sometimes(rng, 0.8), accept=_sometimes(rng, 0.6), reset=when.__contains__,
    )  # fmt: skip
    assert traffic.resets == len(when)
    assert len(traffic.given) > 150
    assert traffic.given == traffic.taken[: len(traffic.given)]
    assert len(traffic.taken) - len(traffic.given) < beats


@every
@pytest.mark.parametrize("turn", range(6))
def test_sim_reset_starts_a_block(rng, run_stream, beats, turn):
    """After a reset at any point of a block, the next beat is the first of a new block."""
    payloads, when = _payloads(rng, 3 * max(beats, 4)), turn + turn * beats // 3
    traffic = run_stream(
        lambda: _Marked(beats), payloads[:when] + payloads, cycles=300,
        offer=lambda cycle: cycle != when, reset=lambda cycle: cycle == when,
    )  # fmt: skip
    assert traffic.resets == 1
    assert traffic.given[-len(payloads) :] == _marked(payloads, beats)


@every
def test_sim_structured_payload(rng, run_stream, beats):
    """A beat with a layout passes as its bits."""
    layout = data.StructLayout({"low": 3, "words": data.ArrayLayout(4, 2)})
    payloads = [int(word) for word in rng.integers(0, 1 << layout.size, 2 * beats)]
    traffic = run_stream(lambda: quantizer_buffer.BlockBuffer(layout, beats), payloads, cycles=100)
    assert traffic.given == payloads


FAULTS = {
    "gives beats of a part": (4, "with m.If(self.is_last_in):", "with m.If(1):"),
    "never empty": (4, "self.o.valid.eq(0)", "self.o.valid.eq(1)"),
    "empty after a beat": (4, "with m.If(self.is_last_out):", "with m.If(1):"),
    "overwrites": (4, "| (place_in != place_out)", "| 1"),
    "refuses what follows": (4, "~self.o.valid | leaves |", "~self.o.valid |"),
    "writes what it refuses": (4, "write.en.eq(enters)", "write.en.eq(self.i.valid)"),
    "holds what it refuses": (
        1, "enters):\n                m.d.sync += held", "1):\n                m.d.sync += held",
    ),
    "finds no room made earlier": (4, "| (place_in != place_out)", ""),
    "last one early": (4, "place_in == self._beats - 1", "place_in == self._beats - 2"),
    "last one of those leaving early": (
        4, "place_out == self._beats - 1", "place_out == self._beats - 2",
    ),
    "reads the wrong place": (4, "read.addr.eq(place_out)", "read.addr.eq(place_in)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_checks_find_planted_bugs(rng, run_stream, monkeypatch, fault):
    """A buffer that loses, doubles, mixes, withholds or withdraws beats is found."""
    beats, old, new = FAULTS[fault]

    def check() -> None:
        _check_stalls(rng, run_stream, beats, 0.7, 0.5)
        _check_full_throughput(run_stream, beats)
        _check_fills(run_stream, beats)
        _check_room(run_stream, beats)

    check()
    planted.bug(monkeypatch, "quantizer.buffer", old, new)
    with pytest.raises(AssertionError):
        check()
