"""What the testbench of `engine` does with time: counters, latency, throughput."""

from __future__ import annotations

from typing import Any

from amxfp4.verif.cocotb.environment_engine import EngineEnvironment, bit

__all__ = ["done_when_taken", "latency", "stalls_counted", "throughput"]


async def stalls_counted(dut: Any) -> None:
    """Withhold A, B and C in turn: the counter of that stream says so, and no other one."""
    env = await EngineEnvironment.start(dut)
    config = env.config
    withheld = 600
    rows, cols = 4 * config.rows, 4 * config.cols
    element = 4 if config.row_c is None else config.row_c.record_bytes / config.block
    # Far more of C than any buffer inside holds.
    long = max(10 * config.cols, int(40 * config.bytes_c / (rows * element)))
    for name in "abc":
        shape = (rows, cols, config.largest_k) if name != "c" else (rows, long, config.block)
        job = env.model.job(env.rng, shape, kind="plain")
        driver = getattr(env.drivers, name)
        await env.send_a(job)
        await env.send_b(job)
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
        for at, wait in ((0, withheld), (1, withheld)):
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
        await env.send_a(job)
        await env.send_b(job)
        await env.prepare(job)
        began = await env.begin(job)
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


async def throughput(dut: Any) -> None:
    """Run a job of several tiles at full speed within the cycles that the document promises."""
    env = await EngineEnvironment.start(dut)
    c, model = env.config, env.model
    steps, down = model.steps(c.largest_k), 4
    n = 4 * c.cols if c.requantize == "none" else 2 * c.block
    across = n // c.cols
    job = model.job(env.rng, (down * c.rows, n, c.largest_k), kind="plain")
    await env.run(job, counters=True)
    cycles = await env.counter("cycles")
    element = c.word.width // 8
    width = min(c.cols, c.bytes_c // element)
    tile = {
        "array": steps * c.block // c.lanes,
        "b": c.cols * steps * model.row_b.record_bytes / c.bytes_b,
        # Records leave while the next ones are made; whether both count at once is not said.
        "c": c.rows * -(-c.cols // width) if c.requantize == "none" else 2 * c.rows,
    }
    row = c.rows * steps
    if c.quantizer is None:
        row_a = row * model.row_a.record_bytes / c.bytes_a
    else:
        row_a = row * c.block / c.quantizer.lanes
    promised = down * max(across * max(tile.values()), row_a)
    # Before the first tile and behind the last one: loads, and the way through. A packet of B
    # does not share a beat with the next one.
    ends = row_a + tile["b"] + int(env.manifest["latency"]) + c.rows * c.block + down + 40
    dut._log.warning("throughput: %d cycles, %d promised, %s", cycles, promised, tile)
    if cycles > promised + ends:
        raise AssertionError(f"{cycles} cycles must be at most {promised}, and {ends} at the ends")
    await env.finish()
