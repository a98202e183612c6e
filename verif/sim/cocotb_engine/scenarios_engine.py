"""What the testbench of `engine` does with jobs that go well."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from amxfp4.verif.sim.cocotb_engine.agents_engine import Crossing
from amxfp4.verif.sim.cocotb_engine.environment_engine import EngineEnvironment, bit
from amxfp4.verif.sim.cocotb_engine.models_engine import pick

__all__ = [
    "back_to_back",
    "coverage_closed",
    "full_memories",
    "kept_b",
    "orders",
    "paths",
    "random_jobs",
    "ready_after_valid",
    "shapes",
    "special_values",
]


async def random_jobs(dut: Any, pattern: str) -> None:
    """Run random jobs under one pattern of pauses on every stream and on the control bus."""
    env = await EngineEnvironment.start(dut)
    for n in range(env.jobs):
        env.pause(pattern)
        if n % 3 == 2:
            # One side slow, the others at full speed.
            slow = pick(env.rng, range(3))
            env.pause(*(pattern if n == slow else "none" for n in range(3)))
        env.pause_control(pattern if n % 2 else "none")
        env.cover({"pauses": pattern})
        await env.run(env.model.job(env.rng), counters=n % 4 == 0)
    await env.finish()


async def shapes(dut: Any) -> None:
    """Run every combination of small edges of M, N and K, at full speed."""
    env = await EngineEnvironment.start(dut)
    config = env.config
    edges = [sorted({1, t, t + 1}) for t in (config.rows, config.cols, config.block)]
    for m, n, k in itertools.product(*edges):
        await env.run(env.model.job(env.rng, (m, n, k), kind="plain"), counters=k == 1)
    await env.finish()


async def special_values(dut: Any) -> None:
    """Run jobs of zeros, NaN, infinities, subnormals, ties and any records."""
    env = await EngineEnvironment.start(dut)
    config = env.config
    env.pause("random", "none", "random")
    for _ in range(env.jobs):
        k = min(config.largest_k, pick(env.rng, (config.block, 2 * config.block + 5, 3)))
        shape = (2 * config.rows + 1, 2 * config.cols - 1, k)
        await env.run(env.model.job(env.rng, shape, kind="special"))
        # Rows and columns that are not sent have the special ones in their memory still.
        for ragged in ((1, 1, 1), (config.rows + 1, config.cols + 1, k)):
            clean = env.model.job(env.rng, ragged, kind="clean")
            if clean.flags:
                raise AssertionError(f"a clean job must raise no flag, not {clean.flags:#x}")
            await env.run(clean)
    await env.finish()


async def orders(dut: Any) -> None:
    """Send data before the start, after it, and on either side; count what is taken ahead."""
    env = await EngineEnvironment.start(dut)
    watcher, config = env.watcher, env.config
    for pattern in ("none", "random"):
        env.pause(pattern)
        for order in ("before", "after", "a first", "b first"):
            await env.run(env.model.job(env.rng), order=order)
    env.pause("none")
    job = env.model.job(env.rng, (2 * config.rows, config.cols, config.largest_k), kind="plain")
    before = watcher.taken["a"], watcher.taken["b"]
    await env.send(job)
    await env.cycles(100)
    ahead = watcher.taken["a"] - before[0], watcher.taken["b"] - before[1]
    if max(ahead) > 2:
        raise AssertionError(f"at most two beats may be taken ahead of a job, not {ahead}")
    await env.expect("status", bit("status", "idle", "done") | env.streams(), "data waits")
    await env.prepare(job)
    await env.begin(job)
    await env.end(job)
    await env.finish()


async def back_to_back(dut: Any) -> None:
    """Start jobs as soon as `irq` says so, registers written ahead and data always waiting."""
    env = await EngineEnvironment.start(dut)
    await env.write("interrupt_enable", bit("interrupt_status", "done"))
    for pattern in ("none", "bursts"):
        env.pause(pattern)
        jobs = [env.model.job(env.rng) for _ in range(max(5, env.jobs))]
        for job in jobs:
            await env.send(job)
        await env.prepare(jobs[0])
        for job, behind in itertools.pairwise([*jobs, jobs[-1]]):
            await env.begin(job)
            await env.prepare(behind)  # the registers of a job are read at its start
            await env.until(lambda: int(dut.irq.value), "irq", env.timeout(job))
            await env.end(job)
            if int(dut.irq.value):
                raise AssertionError("irq must fall when interrupt_status is cleared")
            env.cover({"job behind": "a job"})
    await env.finish()


async def kept_b(dut: Any) -> None:
    """Keep B over row tiles, and reuse it over jobs with A of any height, ordinary jobs between."""
    env = await EngineEnvironment.start(dut)
    config, model = env.config, env.model
    for n in range(max(3, env.jobs // 2)):
        env.pause("none" if n % 2 else "random")
        k = pick(env.rng, (1, config.block, config.block + 1, config.largest_k))
        tiles = 2 * config.depth_b // model.steps(k)
        columns = pick(env.rng, range(1, min(tiles, 5) * config.cols + 1))
        shape = (pick(env.rng, range(1, 3 * config.rows + 2)), columns, k)
        kept = model.job(env.rng, shape, keep=True)
        await env.run(kept)
        for _ in range(2):
            height = pick(env.rng, range(1, 3 * config.rows + 2))
            again = model.job(env.rng, (height, columns, k), kept=kept)
            await env.run(again, counters=True)
        await env.run(model.job(env.rng))
        # The B of the last job was not kept.
        await env.write("job", bit("job", "reuse_b"))
        await env.command("start")
        await env.expect("error", bit("error", "no_kept_b"), "the last job did not keep B")
        await env.clear()
    await env.finish()


async def full_memories(dut: Any) -> None:
    """Use the last word of every memory: the largest K, and a kept B that just fits."""
    env = await EngineEnvironment.start(dut)
    config, model = env.config, env.model
    for keep in (False, True):
        k = config.largest_k
        tiles = 2 * config.depth_b // model.steps(k) if keep else 3
        shape = (2 * config.rows + 1, tiles * config.cols, k)
        await env.run(model.job(env.rng, shape, kind="plain", keep=keep), counters=True)
    narrow = model.job(env.rng, (config.rows + 1, 2 * config.depth_b * config.cols, 1), keep=True)
    await env.run(narrow)
    await env.finish()


async def ready_after_valid(dut: Any) -> None:
    """Take beats of C with a sink that raises ready only once valid is up."""
    env = await EngineEnvironment.start(dut)

    def answers() -> Iterator[bool]:
        while True:
            yield not int(dut.m_axis_c_tvalid.value)

    env.drivers.c.pause = True
    env.drivers.c.set_pause_generator(answers())
    for _ in range(4):
        await env.run(env.model.job(env.rng))
    await env.finish()


async def paths(dut: Any) -> None:
    """Change inputs of the streams within a cycle: no output moves before the next edge."""
    env = await EngineEnvironment.start(dut, period=8)
    crossing = Crossing(dut)
    crossing.start()
    env.pause("random")
    for _ in range(4):
        await env.run(env.model.job(env.rng, kind="plain"))
    if not crossing.tried:
        raise AssertionError("at least one input must have been changed within a cycle")
    await env.finish()


async def coverage_closed(dut: Any) -> None:
    """Insist that the tests before this one left no hole."""
    env = await EngineEnvironment.start(dut)
    await env.run(env.model.job(env.rng, (1, 1, 1)))
    await env.finish()
    env.insist_on_coverage()
