# amaranth: UnusedElaboratable=no
"""Packing and unpacking: no unit is lost, doubled or moved, whatever the widths and the stalls."""

import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from amxfp4.gen.netlist import to_verilog
from amxfp4.rtl.lib.gearbox import Packer, Unpacker
from amxfp4.rtl.lib.share import ModuleLibrary

UNIT = 4


def _beats(units, entry, rng, full):
    """Cut a packet into beats: full ones but the last, or of any size."""
    beats = []
    while units:
        count = entry if full else int(rng.integers(1, entry + 1))
        beats.append((units[:count], len(units) <= count))
        units = units[count:]
    return beats


def _word(units):
    return sum(int(unit) << UNIT * n for n, unit in enumerate(units))


def _run(dut, packets, rng, *, full, consume, eager):
    """Send packets; return the units of each as the consumer took them, and the cycles."""
    entry = dut.i.payload.units.shape().length
    sent = [beat for packet in packets for beat in _beats(packet, entry, rng, full)]
    got, cycles = [[] for _ in packets], 0

    async def testbench(ctx):
        nonlocal cycles
        waiting, packet = list(sent), 0
        while packet < len(packets):
            cycles += 1
            assert cycles < 50_000
            offers = bool(waiting) and (eager or rng.random() < 0.6)
            ctx.set(dut.i.valid, offers)
            if offers:
                units, last = waiting[0]
                ctx.set(dut.i.payload.units.as_value(), _word(units))
                ctx.set(dut.i.payload.count, len(units))
                ctx.set(dut.i.payload.last, last)
            level, ended = ctx.get(dut.level), ctx.get(dut.ended)
            take, count = consume(level, ended, eager or rng.random() < 0.6)
            ctx.set(dut.take, take)
            window = ctx.get(dut.units.as_value())
            got[packet] += [window >> UNIT * n & (1 << UNIT) - 1 for n in range(count)]
            packet += bool(ended and count == level and count)
            if offers and ctx.get(dut.i.ready):
                waiting.pop(0)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return got, cycles


def _packets(rng, multiple):
    return [
        [int(u) for u in rng.integers(0, 1 << UNIT, multiple * int(rng.integers(1, 9)))]
        for _ in range(12)
    ]


WHOLE = [(1, 9), (2, 9), (4, 9), (8, 9), (4, 4), (8, 2), (32, 9), (1, 1), (2, 17)]
PARTS = [(4, 4), (8, 4), (2, 2), (1, 1), (32, 16), (8, 1)]
PACKED = [(1, 1), (1, 4), (3, 4), (4, 4), (9, 4), (9, 32)]
"""Units of a beat and of a window."""


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    "dut",
    [
        *(Unpacker(UNIT, *shape, whole=True) for shape in WHOLE),
        *(Unpacker(UNIT, *shape, whole=False) for shape in PARTS),
        *(Packer(UNIT, *shape) for shape in PACKED),
    ],
)
def test_every_shape_becomes_verilog(dut):
    """Amaranth simulates some circuits that Yosys does not take, such as a switch on no bits."""
    library = ModuleLibrary()
    library.convert(dut, "gearbox")
    assert "module gearbox(" in to_verilog(library.modules.values())


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize(("entry", "window"), WHOLE)
def test_unpacker_whole(entry, window, eager):
    rng = np.random.default_rng([entry, window])
    packets = _packets(rng, window)
    dut = Unpacker(UNIT, entry, window, whole=True)

    def consume(level, ended, wants):
        take = wants and level >= window
        return int(take), window * take

    got, _ = _run(dut, packets, rng, full=True, consume=consume, eager=eager)
    assert got == packets


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize(("entry", "window"), PARTS)
def test_unpacker_parts(entry, window, eager):
    """Any number of units is taken at a time."""
    rng = np.random.default_rng([entry, window])
    packets = _packets(rng, 5)
    dut = Unpacker(UNIT, entry, window, whole=False)

    def consume(level, ended, wants):
        most = min(window, level)
        count = int(rng.integers(0, most + 1)) if wants else 0
        return count, count

    got, _ = _run(dut, packets, rng, full=True, consume=consume, eager=eager)
    assert got == packets


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize(("entry", "window"), PACKED)
def test_packer(entry, window, eager):
    """Entries of any size become full windows, the last one of a packet what is left."""
    rng = np.random.default_rng([entry, window])
    packets = _packets(rng, 7)
    dut = Packer(UNIT, entry, window)

    def consume(level, ended, wants):
        take = wants and (level >= window or ended)
        return int(take), min(level, window) if take else 0

    got, _ = _run(dut, packets, rng, full=False, consume=consume, eager=eager)
    assert got == packets


@pytest.mark.parametrize(
    ("entry", "window", "whole"),
    [(4, 9, True), (8, 9, True), (1, 9, True), (4, 4, False), (8, 4, False), (16, 9, True)],
)
def test_unpacker_keeps_pace(entry, window, whole):
    """A long packet enters a beat a cycle, or leaves a window a cycle."""
    rng = np.random.default_rng(0)
    packet = [int(u) for u in rng.integers(0, 1 << UNIT, 40 * entry * window)]
    dut = Unpacker(UNIT, entry, window, whole=whole)

    def consume(level, ended, wants):
        take = level >= window
        return (int(take) if whole else window * take), window * take

    got, cycles = _run(dut, [packet], rng, full=True, consume=consume, eager=True)
    assert got == [packet]
    assert cycles <= max(len(packet) // entry, len(packet) // window) + 12


def test_unpacker_init_wrong_window():
    message = "window must be at most 4 (a beat), not 5"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Unpacker(UNIT, 4, 5, whole=False)
