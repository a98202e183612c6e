# amaranth: UnusedElaboratable=no
"""Flow control: order, no loss, no duplication, the stream contract, throughput and reset."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib.pipes import Queue, SkidBuffer, StreamRegister

PIPES = {"register": lambda: StreamRegister(8), "skid": lambda: SkidBuffer(8)} | {
    f"queue_{depth}": (lambda depth=depth: Queue(8, depth)) for depth in (1, 2, 3, 5, 33)
}
CAPACITY = {"register": 1, "skid": 2} | {f"queue_{depth}": depth for depth in (1, 2, 3, 5, 33)}
pipes = pytest.mark.parametrize("pipe", PIPES)


def _sometimes(rng, chance: float):
    choices = rng.random(10_000) < chance
    return lambda cycle: bool(choices[cycle])


def _payloads(rng, count: int) -> list[int]:
    return [int(word) for word in rng.integers(0, 256, count)]


@pytest.mark.by_day(2)
@pipes
@pytest.mark.parametrize(("offer", "accept"), [(0.9, 0.3), (0.3, 0.9), (0.5, 0.5)])
def test_sim_random_stalls(rng, run_stream, pipe, offer, accept):
    """Under random stalls on both sides everything arrives once, in order, contract kept."""
    payloads = _payloads(rng, 150)
    traffic = run_stream(
        PIPES[pipe], payloads, cycles=750,
        offer=_sometimes(rng, offer), accept=_sometimes(rng, accept),
    )  # fmt: skip
    assert traffic.given == traffic.taken == payloads
    assert traffic.most_inside <= CAPACITY[pipe]


@pipes
def test_sim_fills_to_its_depth(run_stream, pipe):
    """With nobody reading, just as many payloads enter as the depth says, and all come out."""
    traffic = run_stream(PIPES[pipe], list(range(60)), accept=lambda c: c >= 80, cycles=200)
    assert sum(cycle < 80 for cycle in traffic.taken_at) == CAPACITY[pipe]
    assert traffic.most_inside == CAPACITY[pipe]
    assert traffic.given == list(range(60))


@pipes
def test_sim_full_throughput(run_stream, pipe):
    """Unstalled, a payload leaves every cycle, `latency` cycles after it entered."""
    traffic = run_stream(PIPES[pipe], list(range(100)), cycles=140)
    assert traffic.taken_at == list(range(100))
    latency = PIPES[pipe]().latency
    assert traffic.given_at == [cycle + latency for cycle in range(100)]


@pytest.mark.parametrize("pipe", [pipe for pipe in PIPES if pipe != "skid"])
def test_sim_full_throughput_when_full(run_stream, pipe):
    """A full pipe that is read takes a payload in the same cycle."""
    traffic = run_stream(PIPES[pipe], list(range(100)), accept=lambda c: c >= 40, cycles=200)
    depth = CAPACITY[pipe]
    assert traffic.given_at == list(range(40, 140))
    assert traffic.taken_at[depth:] == list(range(40, 140 - depth))


def test_sim_skid_ready_is_a_register(run_stream):
    """A full skid buffer that is read takes a payload a cycle later, and then one each cycle."""
    traffic = run_stream(PIPES["skid"], list(range(100)), accept=lambda c: c >= 40, cycles=200)
    assert traffic.taken_at == [0, 1, *range(41, 139)]
    assert traffic.given_at == list(range(40, 140))


@pipes
def test_sim_reset_in_flight(rng, run_stream, pipe):
    """A reset empties the pipe; what enters afterwards arrives whole and in order."""
    traffic = run_stream(
        PIPES[pipe],
        _payloads(rng, 200),
        offer=_sometimes(rng, 0.8),
        accept=_sometimes(rng, 0.6),
        reset=lambda cycle: cycle in (30, 31, 77, 150),
        cycles=600,
    )
    assert traffic.resets == 4
    assert len(traffic.given) > 150
    assert traffic.given == traffic.taken


@pytest.mark.parametrize("build", [StreamRegister, SkidBuffer, lambda shape: Queue(shape, 3)])
def test_sim_structured_payload(rng, run_stream, build):
    """A payload with a layout passes as its bits."""
    layout = data.StructLayout({"low": 3, "words": data.ArrayLayout(4, 2)})
    payloads = [int(word) for word in rng.integers(0, 1 << layout.size, 50)]
    assert run_stream(lambda: build(layout), payloads, cycles=100).given == payloads


@pytest.mark.parametrize("depth", [0, -1])
def test_init_wrong_depth(depth):
    """A queue of no payloads is an error."""
    with pytest.raises(ValueError, match=rf"^depth must be at least 1, not {depth}$"):
        Queue(8, depth)


class _Broken(wiring.Component):
    """A register with one fault, for the checks to find."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        full, held = Signal(), Signal(8)
        take, give = Signal(), Signal()
        m.d.comb += [
            self.o.valid.eq(full),
            self.o.payload.eq(held),
            self.i.ready.eq(~full | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            give.eq(full & self.o.ready),
        ]
        with m.If(take):
            m.d.sync += [full.eq(1), held.eq(self.i.payload)]
        with m.Elif(give):
            m.d.sync += full.eq(0)
        if self.fault == "valid waits for ready":
            m.d.comb += self.o.valid.eq(full & self.o.ready)
        elif self.fault == "payload follows ready":
            m.d.comb += self.o.payload.eq(Mux(self.o.ready, held, 0))
        elif self.fault == "withdraws":
            with m.If(full & ~self.o.ready):
                m.d.sync += full.eq(0)
        elif self.fault == "overwrites":
            m.d.comb += self.i.ready.eq(1)
        elif self.fault == "repeats":
            with m.If(give & ~take & held[0]):
                m.d.sync += [full.eq(1), held[0].eq(0)]
        return m


@pytest.mark.parametrize(
    "fault",
    ["valid waits for ready", "payload follows ready", "withdraws", "overwrites", "repeats"],
)
def test_checks_find_faults(rng, run_stream, fault):
    """The checks of this file fail on pipes that break the contract, lose or repeat payloads."""

    def check(fault: str) -> None:
        payloads = _payloads(rng, 100)
        traffic = run_stream(
            lambda: _Broken(fault), payloads, cycles=400,
            offer=_sometimes(rng, 0.7), accept=_sometimes(rng, 0.5),
        )  # fmt: skip
        assert traffic.given == traffic.taken == payloads

    check("none")
    with pytest.raises(AssertionError):
        check(fault)
