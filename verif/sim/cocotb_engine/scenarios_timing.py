"""What the testbench of `engine` does with time: counters, latency, throughput."""

from __future__ import annotations

import math
from typing import Any

from amxfp4.verif.sim.cocotb_engine.environment_engine import EngineEnvironment, bit

__all__ = ["done_when_taken", "latency", "stalls_counted", "throughput"]


async def stalls_counted(dut: Any) -> None:
    """Withhold A, B and C in turn: the counter of that stream says so, and no other one."""
    env = await EngineEnvironment.start(dut)
    config = env.config
    withheld, row_bytes = 600, len(env.model.job(env.rng, (1, 1, config.largest_k)).raw_a)
    element = 4 if config.row_c is None else config.row_c.record_bytes / config.block
    rows, cols = 4 * config.rows, 4 * config.cols
    # Far more of A and C than any buffer inside holds.
    tall = max(rows, 40 * config.bytes_a // row_bytes)
    wide = max(10 * config.cols, int(80 * config.bytes_c / (rows * element)))
    if config.row_c is not None:
        wide = max(wide, 8 * config.block)
    shapes = {
        "a": (tall, cols, config.largest_k),
        "b": (rows, cols, config.largest_k),
        "c": (rows // 2, wide, config.block),
    }
    for name, shape in shapes.items():
        job = env.model.job(env.rng, shape, kind="plain")
        driver = getattr(env.drivers, name)
        await env.send(job)
        await env.prepare(job)
        before = dict(env.watcher.taken)
        sizes = {"a": len(job.raw_a), "b": job.passes * len(job.raw_b), "c": len(job.raw_c)}
        beats = sizes[name] // getattr(config, f"bytes_{name}")
        began = await env.begin(job)
        await env.until(
            lambda name=name, n=before[name] + beats // 3: env.watcher.taken[name] >= n, "a third"
        )
        driver.pause = True
        counts = {}
        # What is loaded is worked on before anything stalls.
        across = -(-shape[1] // config.cols)
        tile, row_a = _promised(env, across, env.model.steps(shape[2]))
        loaded = 3 * int(max(across * max(tile.values()), row_a))
        for at, wait in ((0, loaded + withheld), (1, withheld)):
            await env.cycles(wait)
            counts[at] = {n: await env.counter(f"stall_{n}") for n in "abc"}
        grown = {n: counts[1][n] - counts[0][n] for n in "abc"}
        # Reading takes time of its own, in which the counter goes on.
        if grown[name] < withheld or any(grown[n] for n in "abc" if n != name):
            raise AssertionError(f"stall_{name} alone must grow by {withheld} or more: {grown}")
        await env.expect("status", bit("status", "busy") | env.streams(), f"{name} stands still")
        driver.pause = False
        await env.end(job, began)
    await env.finish()


async def done_when_taken(dut: Any) -> None:
    """Let the last beat of C wait: the job is not done before it is taken, nor counted to be."""
    env = await EngineEnvironment.start(dut)
    await env.write("interrupt_enable", bit("interrupt_status", "done"))
    for shape in ((1, 1, 1), (env.config.rows, env.config.cols, env.config.block)):
        env.drivers.c.pause = True
        job = env.model.job(env.rng, shape, kind="plain")
        began = await env.launch(job)
        await env.until(lambda: int(dut.m_axis_c_tvalid.value), "C")
        await env.cycles(60)
        await env.expect("status", bit("status", "busy", "c_waiting"), "the last beat waits")
        await env.expect("interrupt_status", 0, "the last beat waits")
        first, second = [await env.counter("cycles") for _ in range(2)]
        if not 0 < first < second or int(dut.irq.value):
            raise AssertionError("a job whose last beat waits must go on, without an interrupt")
        env.drivers.c.pause = False
        await env.end(job, began)
    await env.finish()


async def latency(dut: Any) -> None:
    """Measure from the last beat of B to the first beat of C, A long loaded."""
    env = await EngineEnvironment.start(dut)
    watcher, due = env.watcher, int(env.manifest["latency"])
    for k in (1, env.config.block):
        job = env.model.job(env.rng, (1, 1, k), kind="plain")
        await env.send_a(job)
        await env.prepare(job)
        await env.begin(job)
        await env.cycles(200)
        await env.send_b(job)
        await env.end(job)
        seen = watcher.first_c - watcher.last["b"]
        if env.config.requantize == "none" and seen != due:
            raise AssertionError(
                f"latency must be {due} cycles, as the manifest states, not {seen}"
            )
    await env.finish()


def _promised(env: EngineEnvironment, across: int, steps: int) -> tuple[dict[str, float], float]:
    """Take from the document the cycles of a tile, by what bounds them, and of a row tile's A."""
    c, model = env.config, env.model
    width = min(c.cols, c.bytes_c * 8 // c.word.width)
    tile: dict[str, float] = {
        "array": steps * c.block // c.lanes,
        "b": c.cols * steps * max(1, model.row_b.record_bytes / c.bytes_b),
        "c": c.rows * -(-c.cols // width),
    }
    if c.row_c is not None:
        a_block = c.rows * max(c.block / c.cols, c.row_c.record_bytes / c.bytes_c)
        tile["c"] = max(c.rows, a_block * -(-across * c.cols // c.block) / across)
    row = c.rows * steps
    if c.quantizer is None:
        # The document has words only; records of A can be no worse than those of B.
        return tile, row * max(1, model.row_a.record_bytes / c.bytes_a)
    return tile, row * c.block / c.quantizer.lanes


async def throughput(dut: Any) -> None:
    """Run jobs at full speed within the cycles that the document promises, B sent and B kept."""
    env = await EngineEnvironment.start(dut)
    c, model = env.config, env.model
    for keep in (False, True):
        across = 8 if c.row_c is None else 2 * c.block // c.cols
        steps = model.steps(c.largest_k)
        if keep:
            across = min(across, 2 * c.depth_b)
            steps = min(steps, 2 * c.depth_b // across)
        tile, row_a = _promised(env, across, steps)
        # Before the first tile and behind the last one: loads, and the way through.
        ends = row_a + tile["b"] + int(env.manifest["latency"]) + 40
        if c.row_c is not None:
            ends += 2 * c.rows * c.block / c.cols
        if keep:
            ends += across * tile.pop("b")
        row_of_tiles = max(across * max(tile.values()), row_a)
        # So many row tiles that the ends do not hide a slow tile. A packet of B ends its last beat.
        down = math.ceil(8 * ends / row_of_tiles)
        promised = down * (row_of_tiles + 1)
        shape = (down * c.rows, across * c.cols, steps * c.block)
        await env.run(model.job(env.rng, shape, kind="plain", keep=keep), counters=True)
        cycles = await env.counter("cycles")
        if cycles > promised + ends:
            raise AssertionError(
                f"{cycles} cycles must be at most {promised}, and {ends} at the ends; "
                f"B kept: {keep}, a tile: {tile}, a row tile's A: {row_a}"
            )
    await env.finish()
