# amaranth: UnusedElaboratable=no
"""Tiles: where records are written, which are read together, and what the drain gets."""

import itertools

import numpy as np
import pytest
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from amxfp4.params.array import WIDEST
from amxfp4.params.engine import EngineConfig
from amxfp4.rtl.engine.drain import TileDrain, drain_width
from amxfp4.rtl.engine.sequencer import StepSequencer
from amxfp4.rtl.engine.tiles import TileCount, TileLoader, TileMemory
from amxfp4.rtl.lib.share import ports

DEPTH = 4


def simulate(dut, *testbenches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


def tiles_of(total, size):
    """Cut `total` into tiles: ranges of at most `size`."""
    return [range(n, min(n + size, total)) for n in range(0, total, size)]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("ways", "total", "blocks", "rows", "m"),
    [(3, 7, 2, 2, 5), (1, 2, 4, 1, 1), (4, 4, 1, 3, 9), (2, 1, 3, None, 1), (5, 5, 1, 64, 64)],
)
def test_loader(ways, total, blocks, rows, m, keep):
    """Tile by tile, way by way, block by block; in halves by turns, or one behind the other."""
    rng = np.random.default_rng([ways, total, blocks])
    dut = TileLoader(ways, DEPTH, 16, rows)
    passes = 1 if rows is None or keep else -(-m // rows)
    expected, records = [], itertools.count()
    for turn in range(passes):
        for n, tile in enumerate(tiles_of(total, ways)):
            index = turn * len(tiles_of(total, ways)) + n
            base = n * blocks if keep else index % 2 * DEPTH
            for way, block in itertools.product(range(len(tile)), range(blocks)):
                ends_tile = way == len(tile) - 1 and block == blocks - 1
                ends_pass = ends_tile and n == len(tiles_of(total, ways)) - 1
                expected.append((next(records), way, base + block, ends_tile, ends_pass))
    got = []

    async def testbench(ctx):
        for name, value in (("total", total), ("blocks", blocks), ("m", m), ("keep", keep)):
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        # What stands there later is the next job's.
        for name in ("total", "blocks", "m"):
            ctx.set(getattr(dut, name), 1)
        while ctx.get(dut.active):
            valid, room = int(rng.random() < 0.7), int(rng.random() < 0.7)
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, len(got))
            ctx.set(dut.room, room)
            write = dut.write
            assert ctx.get(write.enable) == (valid & room)
            if valid & room:
                seen = (write.record, write.way, write.address, dut.loaded, dut.ends_pass)
                got.append(tuple(ctx.get(signal) for signal in seen))
            await ctx.tick()
            assert len(got) <= len(expected)

    simulate(dut, testbench)
    assert got == expected


def test_memory():
    """An address reads a block of every way, and keeps it until the next read."""
    dut = TileMemory(3, DEPTH, 8)

    async def testbench(ctx):
        ctx.set(dut.write.enable, 1)
        for way, address in itertools.product(range(3), range(2 * DEPTH)):
            ctx.set(dut.write.way, way)
            ctx.set(dut.write.address, address)
            ctx.set(dut.write.record, 16 * way + address)
            await ctx.tick()
        ctx.set(dut.write.enable, 0)
        for address in (5, 0, 7):
            ctx.set(dut.address, address)
            ctx.set(dut.read, 1)
            await ctx.tick()
            ctx.set(dut.read, 0)
            ctx.set(dut.address, 1)
            for _ in range(2):
                assert ctx.get(dut.records) == 0x201000 + 0x010101 * address
                await ctx.tick()

    simulate(dut, testbench)


def test_count():
    dut = TileCount(2)

    async def testbench(ctx):
        for loaded, released, count in ((1, 0, 1), (1, 0, 2), (0, 0, 2), (1, 1, 2), (0, 1, 1)):
            ctx.set(dut.loaded, loaded)
            ctx.set(dut.released, released)
            await ctx.tick()
            assert ctx.get(dut.count) == count
            assert ctx.get(dut.room) == (count < 2)

    simulate(dut, testbench)


@pytest.mark.parametrize(
    ("m", "n", "blocks", "b"),
    [
        (m, n, blocks, b)
        for m, n, blocks in ((1, 1, 1), (5, 7, 2), (4, 3, 4), (2, 6, 1))
        for b in ("streams", "keep", "reuse")
        # A B that stays must fit: it has a column tile for three columns.
        if b == "streams" or -(-n // 3) * blocks <= 2 * DEPTH
    ],
)
def test_sequencer(m, n, blocks, b):
    """Row tiles, column tiles, blocks; never before a tile is loaded, never after its release."""
    rng = np.random.default_rng([m, n, blocks])
    config = EngineConfig(rows=2, cols=3, lanes=8, depth_a=8, depth_b=DEPTH)
    rows, cols = tiles_of(m, 2), tiles_of(n, 3)
    expected = []
    for r, c, block in itertools.product(range(len(rows)), range(len(cols)), range(blocks)):
        index = r * len(cols) + c
        base_b = index % 2 * DEPTH if b == "streams" else c * blocks
        ends_row = c == len(cols) - 1
        tile = (len(rows[r]), len(cols[c]), ends_row, ends_row and r == len(rows) - 1)
        expected.append((r % 2 * 8 + block, base_b + block, block == blocks - 1, tile))
    dut = StepSequencer(config)
    got = []

    async def testbench(ctx):
        values = {"m": m, "n": n, "blocks": blocks, "keep": b == "keep", "reuse": b == "reuse"}
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        counts, released = {"a": 0, "b": 0}, {"a": 0, "b": 0}
        loads = {"a": len(rows), "b": {"streams": len(rows) * len(cols), "keep": len(cols)}.get(b)}
        while len(got) < len(expected):
            for name in "ab":
                ctx.set(getattr(dut, f"count_{name}"), counts[name])
            ctx.set(dut.o.ready, bool(rng.random() < 0.7))
            payload = dut.o.payload
            # Of a kept B, the tiles of this row tile up to the one that is due.
            before = 0 if b == "streams" else len(got) // blocks % len(cols)
            has_b = b == "reuse" or counts["b"] > before
            has_a = counts["a"] > 0
            assert ctx.get(dut.o.valid) == (has_a and has_b)
            assert ctx.get(dut.lacks_a) == (not has_a)
            assert ctx.get(dut.lacks_b) == (has_a and not has_b)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                tile = tuple(
                    ctx.get(getattr(payload.tile, f))
                    for f in ("rows", "cols", "ends_row", "ends_job")
                )
                step = (payload.address_a, payload.address_b, payload.ends_tile)
                got.append((*(ctx.get(s) for s in step), tile))
            for name in "ab":
                release = ctx.get(getattr(dut, f"release_{name}"))
                released[name] += release
                counts[name] -= release
                limit = 2 if name == "a" or b == "streams" else 8
                if loads[name] and counts[name] < limit and rng.random() < 0.3:
                    counts[name] += 1
                    loads[name] -= 1
            await ctx.tick()
        assert not ctx.get(dut.o.valid)
        assert released["a"] == len(rows)
        assert released["b"] == (len(rows) * len(cols) if b == "streams" else 0)

    simulate(dut, testbench)
    assert got == expected


def test_room_beside_the_widest_results():
    """What the drain takes besides them is within what a configuration leaves."""
    config = EngineConfig(rows=63, cols=64, output="bf16")
    drain = TileDrain(config, drain_width(config))
    inputs = {name: len(value) for name, (flow, value) in ports(drain).items() if flow is In}
    inputs.pop("i__payload")
    # Amaranth numbers clock, reset and two constants with them.
    assert 4 + sum(inputs.values()) <= WIDEST - EngineConfig._most_results
