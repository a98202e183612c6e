"""What the testbench of `engine` does with jobs that fail or are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from amxfp4.verif.sim.cocotb_engine.agents_engine import packet
from amxfp4.verif.sim.cocotb_engine.environment_engine import EngineEnvironment, bit
from amxfp4.verif.sim.cocotb_engine.models_engine import Job, pick

__all__ = [
    "failed",
    "faults",
    "limits_accepted",
    "overruns",
    "refused",
    "spoilt",
    "tiled_job",
]

_ERROR = bit("interrupt_status", "error")


def spoilt(
    name: str, raw: bytes, lanes: int, rng: np.random.Generator
) -> Iterator[tuple[bytes, list[int] | None]]:
    """Make packets with a fault, each with TKEEP of its bytes."""
    kind = name[2:]
    if kind == "early":
        anywhere = int(rng.integers(1, len(raw)))
        for short in (1, lanes, len(raw) // 2, len(raw) - 1, anywhere):
            yield raw[: max(1, len(raw) - short)], None
    elif kind == "late":
        for more in (1, lanes, 3 * lanes + 1, int(rng.integers(1, 4 * lanes))):
            yield raw + bytes(rng.integers(0, 256, more, np.uint8)), None
    else:
        missing = int(rng.integers(lanes))
        patterns = (
            [int(n != missing) for n in range(lanes)],
            [0] * lanes,  # a null beat
            [1] * (lanes - 1) + [0],
            [1] + [0] * (lanes - 1),
            [0] + [1] * (lanes - 1),
            [1, 0] * (lanes // 2),
        )
        for pattern in patterns:
            at = lanes * int(rng.integers(max(1, (len(raw) - 1) // lanes)))
            if at + sum(pattern) >= len(raw):
                continue  # of so short a packet it would be a good last beat
            junk = iter(raw[at:])
            beat = bytes(next(junk) if keep else 0xA5 for keep in pattern)
            rest = raw[at + sum(pattern) :]
            keep = [1] * at + pattern + [1] * len(rest)
            yield raw[:at] + beat + rest, keep


def tiled_job(env: EngineEnvironment, tall: int = 2) -> Job:
    """Make a job of several tiles either way, ragged ones among them."""
    config = env.config
    rows, cols = tall * config.rows + 1, 2 * config.cols + 1
    if config.row_c is None:
        # Some beats of C before the end, however wide they are.
        cols = max(cols, 4 * config.bytes_c // (rows * config.word.width // 8))
    shape = (rows, cols, min(config.block + 3, config.largest_k))
    return env.model.job(env.rng, shape, kind="plain")


async def failed(env: EngineEnvironment, name: str) -> None:
    """Check a failed job: named, sticky, inputs discarded; then recover, and run a good job."""
    drivers, dut = env.drivers, env.dut
    await env.until(lambda: drivers.a.idle() and drivers.b.idle(), "the end of A and B")
    # Whatever else is sent is discarded too, packet after packet.
    for driver, lanes in ((drivers.a, env.config.bytes_a), (drivers.b, env.config.bytes_b)):
        await driver.send(packet(bytes(5 * lanes + 1)))
    await env.until(lambda: drivers.a.idle() and drivers.b.idle(), "the end of more packets")
    await env.cycles(8)
    code = bit("error", name)
    flags = bit("error", "acc_inexact", "acc_overflow")
    raised = await env.read("error") & flags
    if raised:
        # Of elements that were sent before.
        await env.write("error", raised)
        await env.expect("interrupt_status", 6, name)
        await env.write("interrupt_status", 4)
    seen = await env.read("error")
    if seen != code:
        raise AssertionError(f"error must be {name} ({code:#x}), not {seen:#x}")
    if not int(dut.irq.value):
        raise AssertionError(f"irq must be up after {name}")
    await env.expect("interrupt_status", _ERROR, name)
    await env.expect("status", bit("status", "failed"), name)
    await env.command("abort")
    await env.expect("error", code, "an abort outside a job does nothing")
    await env.command("start")
    await env.expect("error", code | bit("error", "overrun"), "start before soft reset")
    await env.write("error", 0xFFF & ~code)
    await env.expect("error", code, "an error stays until 1 is written to it")
    await env.soft_reset(flush=False)
    await env.expect("error", code, "an error survives soft reset")
    await env.expect("interrupt_status", _ERROR, "survives soft reset")
    await env.write("error", code)
    await env.expect("error", 0)
    await env.write("interrupt_status", 7)
    if int(dut.irq.value):
        raise AssertionError("irq must fall when interrupt_status is cleared")
    env.cover({"error": name, "soft reset": "failed", "job behind": "a failed job"})
    env.cover({"error": "overrun"})
    env.pause("none")
    await env.run(env.model.job(env.rng))


async def faults(dut: Any, name: str) -> None:
    """Send streams with one fault: the job fails with the name of the fault."""
    env = await EngineEnvironment.start(dut)
    config = env.config
    await env.write("interrupt_enable", _ERROR)
    lanes = config.bytes_a if name[0] == "a" else config.bytes_b
    job = tiled_job(env)
    raw = job.raw_a if name[0] == "a" else job.raw_b
    for n, (bad, keep) in enumerate(spoilt(name, raw, lanes, env.rng)):
        env.pause(("none", "random")[n % 2])
        bad_pass = pick(env.rng, range(job.passes))
        await env.prepare(job)
        if n % 3:
            await env.begin(job)
        if name[0] == "a":
            await env.drivers.a.send(packet(bad, keep))
            await env.send_b(job)
        else:
            await env.send_a(job)
            for at in range(job.passes):
                good = packet(job.raw_b)
                await env.drivers.b.send(packet(bad, keep) if at == bad_pass else good)
        if not n % 3:
            await env.begin(job)
        beats = env.board.compare_failed(await env.receive(job), job)
        env.cover({"failed packet": "begun" if beats else "not begun"})
        await failed(env, name)
    await env.finish()


async def overruns(dut: Any) -> None:
    """Start a job in flight once more, with other registers: it goes on undisturbed."""
    env = await EngineEnvironment.start(dut)
    for n in range(max(3, env.jobs // 2)):
        env.pause("random")
        job = tiled_job(env)
        await env.prepare(job)
        await env.begin(job)
        await env.send_a(job)
        await env.cycles(int(env.rng.integers(1, 80)))
        await env.describe(1, 3, n, n % 4)
        await env.command("start")
        await env.expect("error", bit("error", "overrun"))
        await env.expect("interrupt_status", _ERROR)
        streams = bit("status", "a_open", "b_open", "c_waiting")
        if await env.read("status") & ~streams != bit("status", "busy"):
            raise AssertionError("a job must go on whatever is started in it")
        await env.write("error", bit("error", "overrun"))
        await env.write("interrupt_status", _ERROR)
        await env.send_b(job)
        await env.end(job)
        env.cover({"error": "overrun"})
    await env.finish()


async def _refused_between(env: EngineEnvironment) -> None:
    """Refuse a start between two jobs: `done` and the counters are cleared, a kept B stays."""
    config = env.config
    shape = (config.rows, config.cols, config.largest_k)
    kept = env.model.job(env.rng, shape, kind="plain", keep=True)
    await env.run(kept)
    await env.write("m", 0)
    await env.command("start")
    await env.cycles(60)
    await env.expect("status", bit("status", "idle"), "a refused start clears done")
    await env.expect("busy_low", 0, "a refused start clears the counters")
    cycles = await env.read("cycles_low")
    if not 1 <= cycles <= 2 * config.depth_b + 3:
        raise AssertionError(f"a start must be refused in a few cycles, not {cycles}")
    await env.clear()
    await env.run(env.model.job(env.rng, shape, kept=kept))


async def refused(dut: Any) -> None:
    """Start jobs that cannot be: named, nothing taken or sent, idle again; then a good job."""
    env = await EngineEnvironment.start(dut)
    config, watcher = env.config, env.watcher
    await env.write("interrupt_enable", _ERROR)
    most, tiles = config.largest_k, 2 * config.depth_b
    keep, reuse = bit("job", "keep_b"), bit("job", "reuse_b")
    cases = [
        (0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (0, 0, 0, keep), (1 << 20, 1, 1, 0),
        (1, 1 << 20, 1, 0), (1, 1, most + 1, 0), (0xFFFFFFFF, 1, 1, 0), (1, 0x80000001, 1, 0),
        (1, 1, 0x80000001, 0), (1, tiles * config.cols + 1, 1, keep),
        (1, tiles // 2 * config.cols + 1, config.block + 1, keep), (0x100001, 1, 1, 0),
        (1, 1, 1, reuse), (3, 2, 1, reuse | keep),
    ]  # fmt: skip
    await _refused_between(env)
    ordinary = env.model.job(env.rng, kind="plain")
    await env.send(ordinary)
    await env.cycles(20)
    taken = dict(watcher.taken)
    for m, n, k, job in cases:
        await env.describe(m, n, k, job)
        await env.command("start")
        await env.until(lambda: int(dut.irq.value), "irq of a refused start", 600)
        await env.cycles(60)
        name = "no_kept_b" if job & reuse else "bad_dimension"
        await env.expect("error", bit("error", name), f"M, N, K {m}, {n}, {k}, job {job}")
        status = await env.read("status") & ~bit("status", "a_open", "b_open")
        if status != bit("status", "idle"):
            raise AssertionError(f"status must be idle after a refused start, not {status:#x}")
        moved = {n: watcher.taken[n] + watcher.offered[n] * (n == "c") - taken[n] for n in "abc"}
        if any(moved.values()):
            raise AssertionError(f"nothing must be taken or sent for {m}, {n}, {k}: {moved}")
        await env.clear()
        env.cover({"error": name})
    await env.prepare(ordinary)
    await env.begin(ordinary)
    await env.end(ordinary)
    env.cover({"job behind": "a refused start"})
    await env.finish()


async def limits_accepted(dut: Any) -> None:
    """Start the largest M and N: the job begins; no simulation sees its end, so abort it."""
    env = await EngineEnvironment.start(dut)
    await env.write("interrupt_enable", _ERROR)
    small = env.model.job(env.rng, (1, 1, 1), kind="plain")
    for m, n in ((1048575, 1), (1, 1048575), (1048575, 1048575)):
        await env.prepare(small)
        await env.write("m", m)
        await env.write("n", n)
        await env.command("start")
        await env.cycles(200)
        await env.expect("error", 0, f"M = {m}, N = {n} is allowed")
        await env.expect("status", bit("status", "busy"), f"M = {m}, N = {n} begins")
        await env.command("abort")
        env.board.compare_failed(await env.receive(small), small)
        await failed(env, "aborted")
    await env.finish()
