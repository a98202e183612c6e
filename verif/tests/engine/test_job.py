# amaranth: UnusedElaboratable=no
"""The life of a job, start by start; counters across their halves; results of ragged tiles."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from amxfp4.params.engine import LARGEST_MN, EngineConfig
from amxfp4.rtl.engine.counters import PerformanceCounters
from amxfp4.rtl.engine.drain import TileDrain, drain_width
from amxfp4.rtl.engine.job import JobControl

CONFIG = EngineConfig(rows=2, cols=3, lanes=8, depth_a=4, depth_b=2)
EVENTS = ("accepted", "begins", "finished", "bad_dimension", "no_kept_b", "overrun", "aborted")
LIMIT_K = 2 * 32


def simulate(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


class Control:
    """A job control between registers and a data path that this plays."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    async def tick(self, **inputs):
        """Set inputs for one cycle; return the events of it."""
        for name, value in inputs.items():
            self.ctx.set(getattr(self.dut, name), value)
        seen = {name for name in EVENTS if self.ctx.get(getattr(self.dut, name))}
        await self.ctx.tick()
        for name in inputs:
            if name not in ("m", "n", "k", "keep_b", "reuse_b"):
                self.ctx.set(getattr(self.dut, name), 0)
        return seen

    def state(self, *names):
        return tuple(self.ctx.get(getattr(self.dut, name)) for name in names)

    async def start(self, m, n, k, *, keep=0, reuse=0, **more):
        """Start, and wait for the check's outcome: its events, and the cycles it took."""
        first = await self.tick(m=m, n=n, k=k, keep_b=keep, reuse_b=reuse, start=1, **more)
        assert first == {"accepted"}
        assert self.state("idle", "busy", "done") == (0, 1, 0)
        for cycles in range(1, 40):
            # The registers may change as soon as the start was taken.
            if events := await self.tick(m=0, n=7, k=99, keep_b=0, reuse_b=0):
                return events, cycles
        raise AssertionError("a start must be decided")


def verdict(m, n, k, keep, reuse, kept):
    """Say what docs/units/engine.md says of a start."""
    if not (1 <= m <= LARGEST_MN and 1 <= n <= LARGEST_MN and 1 <= k <= LIMIT_K):
        return "bad_dimension"
    if reuse:
        return "begins" if kept == (n, k) else "no_kept_b"
    if keep and -(-n // CONFIG.cols) * -(-k // CONFIG.block) > 2 * CONFIG.depth_b:
        return "bad_dimension"
    return "begins"


def test_starts():
    """Every edge of M, N and K with every way of sending B: refused or begun, and in time."""
    sizes = (0, 1, 3, LARGEST_MN, LARGEST_MN + 1, 1 << 31, (1 << 32) - 1)
    columns = (*sizes, 2, 4, 6, 7, 12, 13)
    depths = (0, 1, 32, 33, LIMIT_K, LIMIT_K + 1, 1 << 20, (1 << 32) - 1)
    seen = set()

    async def testbench(ctx):
        control, kept = Control(ctx, dut), None
        for m, n, k, (keep, reuse) in itertools.product(
            sizes, columns, depths, ((0, 0), (1, 0), (0, 1), (1, 1))
        ):
            due = verdict(m, n, k, keep, reuse, kept)
            case = f"{m=} {n=} {k=} {keep=} {reuse=} {kept=}"
            events, cycles = await control.start(m, n, k, keep=keep, reuse=reuse)
            assert events == {due}, case
            assert cycles <= (2 * CONFIG.depth_b + 3 if keep and not reuse else 2), case
            seen.add((due, keep, reuse))
            if due != "begins":
                assert control.state("idle", "done", "failed") == (1, 0, 0), case
                continue
            job = dut.job
            values = [ctx.get(getattr(job, name)) for name in ("m", "n", "k", "blocks")]
            assert values == [m, n, k, -(-k // 32)], case
            assert [ctx.get(job.keep), ctx.get(job.reuse)] == [keep and not reuse, reuse], case
            assert control.state("run", "busy", "idle") == (1, 1, 0), case
            assert await control.tick(ends=1) == {"finished"}
            assert control.state("idle", "done") == (1, 1), case
            kept = (n, k) if keep and not reuse else kept if reuse else None

    dut = JobControl(CONFIG)
    simulate(dut, testbench)
    assert len(seen) >= 9


@pytest.mark.parametrize("way", ["problem", "abort"])
def test_failures(way):
    """A job that fails ends C's packet first, stays failed, and refuses starts as overruns."""

    async def testbench(ctx):
        control = Control(ctx, dut)
        assert (await control.start(2, 2, 2))[0] == {"begins"}
        assert await control.tick(start=1) == {"overrun"}
        assert await control.tick(**{way: 1}) == ({"aborted"} if way == "abort" else set())
        assert control.state("ending", "failed", "busy", "run") == (1, 1, 1, 0)
        # Once is enough.
        assert await control.tick(problem=1, abort=1) == set()
        assert await control.tick(ends=1) == set()
        assert control.state("ending", "failed", "busy", "idle", "done") == (0, 1, 0, 0, 0)
        assert await control.tick(abort=1) == set()
        assert await control.tick(start=1) == {"overrun"}
        assert control.state("failed", "idle") == (1, 0)

    dut = JobControl(CONFIG)
    simulate(dut, testbench)


@pytest.mark.parametrize("size", [1, 0])
def test_abort_in_the_check(size):
    """A job that is being checked is one in flight: it fails, with whatever else was found."""

    async def testbench(ctx):
        control = Control(ctx, dut)
        assert await control.tick(m=size, n=1, k=1, start=1) == {"accepted"}
        events = await control.tick(abort=1)
        assert events == {"aborted"} | (set() if size else {"bad_dimension"})
        assert control.state("ending", "failed", "busy") == (1, 1, 1)

    dut = JobControl(CONFIG)
    simulate(dut, testbench)


def test_last_beat_goes_before_abort():
    """A job whose last beat is taken in the cycle of an abort is done."""

    async def testbench(ctx):
        control = Control(ctx, dut)
        await control.start(1, 1, 1)
        assert await control.tick(abort=1, ends=1) == {"finished"}
        assert control.state("done", "failed", "idle") == (1, 0, 1)

    dut = JobControl(CONFIG)
    simulate(dut, testbench)


def test_failed_job_leaves_no_kept_b():
    """What was kept before is gone as soon as another job begins, however that ends."""

    async def testbench(ctx):
        control = Control(ctx, dut)
        for ends_well in (True, False):
            await control.start(1, 2, 3, keep=1)
            await control.tick(ends=1)
            await control.start(1, 5, 3)
            if ends_well:
                await control.tick(ends=1)
                assert (await control.start(1, 2, 3, reuse=1))[0] == {"no_kept_b"}

    dut = JobControl(CONFIG)
    simulate(dut, testbench)


@pytest.mark.parametrize(("n", "k"), [(2, 4), (3, 3), (3, 2), (1, 3)])
def test_kept_b_of_other_sizes_is_none(n, k):
    """A B is reused for its own N and K only."""

    async def testbench(ctx):
        control = Control(ctx, dut)
        await control.start(1, 2, 3, keep=1)
        await control.tick(ends=1)
        assert (await control.start(1, n, k, reuse=1))[0] == {"no_kept_b"}
        assert (await control.start(1, 2, 3, reuse=1))[0] == {"begins"}

    dut = JobControl(CONFIG)
    simulate(dut, testbench)


def test_counters_cross_their_halves():
    """Steps so large that the upper halves move: read low, then high, and it was one number."""
    steps = {"one": 1, "large": 0x3FFF_FFFF, "huge": 0xFFFF_FFFF}
    dut = PerformanceCounters(steps)
    rng = np.random.default_rng(5)
    uppers = set()

    async def testbench(ctx):
        counts, copied = dict.fromkeys(steps, 0), 0
        for cycle in range(2_000):
            counting = [name for name in steps if rng.random() < 0.7]
            reading = rng.choice([None, *steps])
            clearing = rng.random() < 0.002
            for name in steps:
                ctx.set(getattr(dut, f"{name}_counts"), name in counting)
                ctx.set(getattr(dut, f"{name}_reads"), name == reading)
                low = ctx.get(getattr(dut, f"{name}_low"))
                assert low == counts[name] & 0xFFFF_FFFF, f"{name} in cycle {cycle}"
            ctx.set(dut.clear, clearing)
            assert ctx.get(dut.high) == copied, f"cycle {cycle}"
            await ctx.tick()
            if reading is not None:
                copied = counts[reading] >> 32
                uppers.add(copied)
            for name in counting:
                counts[name] = (counts[name] + steps[name]) % (1 << 48)
            if clearing:
                counts = dict.fromkeys(steps, 0)

    simulate(dut, testbench)
    assert len(uppers) > 100


SHAPES = [
    {"rows": 3, "cols": 5, "bytes_c": 8},
    {"rows": 2, "cols": 3, "bytes_c": 16, "output": "bf16", "acc": "fixed"},
    {"rows": 1, "cols": 1, "bytes_c": 4},
    {"rows": 4, "cols": 6, "bytes_c": 4, "acc": "fixed"},
    {"rows": 2, "cols": 4, "requantize": "amxfp4"},
]


@pytest.mark.parametrize("fields", SHAPES, ids=lambda f: "-".join(map(str, f.values())))
def test_drain(fields):
    """Every size of a tile: its words row by row, nothing of the others, flags of the valid."""
    config = EngineConfig(lanes=8, depth_a=2, depth_b=2, **fields)
    rng = np.random.default_rng(len(fields))
    width, bits = drain_width(config), config.word.width
    dut = TileDrain(config, width)
    flags = 2 if config.acc == "fixed" else 0
    count = config.rows * config.cols
    chunks = 0

    async def testbench(ctx):
        nonlocal chunks
        for rows, cols, last in itertools.product(
            range(1, config.rows + 1), range(1, config.cols + 1), (False, True)
        ):
            words = rng.integers(0, 1 << bits, (config.rows, config.cols))
            raised = rng.random((config.rows, config.cols, flags)) < 0.1
            payload = sum(int(w) << bits * n for n, w in enumerate(words.ravel()))
            payload |= sum(int(f) << bits * count + n for n, f in enumerate(raised.ravel()))
            ctx.set(Value.cast(dut.i.payload), payload)
            ctx.set(dut.i.valid, 1)
            for name, value in (
                ("rows", rows),
                ("cols", cols),
                ("ends_row", 1),
                ("ends_job", last),
            ):
                ctx.set(getattr(dut.tile, name), value)
            for row in range(rows):
                for start in range(0, cols, width):
                    due = [int(w) for w in words[row, start : min(start + width, cols)]]
                    ends = row == rows - 1 and start + width >= cols
                    while rng.random() < 0.3:  # a stall changes nothing
                        ctx.set(dut.o.ready, 0)
                        assert not ctx.get(dut.i.ready)
                        assert not ctx.get(dut.inexact) | ctx.get(dut.overflow)
                        await ctx.tick()
                    ctx.set(dut.o.ready, 1)
                    chunk = dut.o.payload
                    got = [ctx.get(chunk.words[n]) for n in range(width)]
                    assert ctx.get(dut.o.valid)
                    assert got == due + [0] * (width - len(due))
                    assert ctx.get(chunk.count) == len(due)
                    assert (ctx.get(chunk.ends_tile), ctx.get(dut.i.ready)) == (ends, ends)
                    assert (ctx.get(chunk.ends_row), ctx.get(chunk.ends_job)) == (1, ends and last)
                    for n, name in enumerate(("inexact", "overflow")[:flags]):
                        flag = bool(raised[:rows, :cols, n].any())
                        assert ctx.get(getattr(dut, name)) == (ends and flag)
                    await ctx.tick()
                    chunks += 1
            ctx.set(dut.i.valid, 0)
            assert not ctx.get(dut.o.valid)

    simulate(dut, testbench)
    assert chunks >= 2 * count // width
