"""What the testbench of `engine` does with aborts and resets at any moment of a job."""

from __future__ import annotations

from typing import Any

from amxfp4.verif.sim.cocotb_engine.environment_engine import OFFSETS, EngineEnvironment, bit
from amxfp4.verif.sim.cocotb_engine.scenarios_faults import failed, tiled_job

__all__ = [
    "abort_at_the_end",
    "aborts",
    "commands_at_once",
    "forgotten_b",
    "hard_resets",
    "soft_resets",
]

_ERROR = bit("interrupt_status", "error")


async def aborts(dut: Any) -> None:
    """Abort at random moments of a job, and where there is none."""
    env = await EngineEnvironment.start(dut)
    await env.command("abort")
    await env.expect("error", 0, "an abort outside a job does nothing")
    await env.expect("status", bit("status", "idle"), "an abort outside a job does nothing")
    ended = 0
    for n in range(env.jobs):
        await env.write("interrupt_enable", _ERROR)
        env.pause(("none", "random")[n % 2], c=("none", "cycle")[n % 2])
        job = tiled_job(env)
        await env.prepare(job)
        await env.begin(job)
        await env.send(job)
        await env.cycles(int(env.rng.integers(1, 60 + 40 * n)))
        await env.command("abort")
        answered = env.watcher.cycle
        frame = await env.receive(job)
        if await env.read("status") & bit("status", "failed"):
            # Where the last beat waited already, the packet is whole.
            if env.watcher.last_offer <= answered and sum(frame.tkeep) == len(job.raw_c):
                env.board.compare(frame, job)
            else:
                beats = env.board.compare_failed(frame, job)
                env.cover({"failed packet": "begun" if beats else "not begun"})
            await failed(env, "aborted")
            ended += 1
        else:
            env.board.compare(frame, job)
            await env.write("interrupt_status", 7)
            await env.write("error", 0xFFF)
    if not ended:
        raise AssertionError("at least one job must have been aborted in flight")
    await env.write("interrupt_enable", _ERROR)
    for gap in range(6):
        # While it is looked at whether B fits, which takes a cycle for each column tile.
        shape = (1, 2 * env.config.depth_b * env.config.cols, 1)
        job = env.model.job(env.rng, shape, kind="plain", keep=True)
        await env.prepare(job)
        env.drivers.bus.init_write(OFFSETS["control"], bytes([1, 0, 0, 0]))
        await env.cycles(gap + 1)  # the start goes first
        await env.command("abort")
        env.board.compare_failed(await env.receive(job), job)
        await failed(env, "aborted")
    await env.finish()


async def commands_at_once(dut: Any) -> None:
    """Write several bits of `control`: the first of soft_reset, abort and start alone acts."""
    env = await EngineEnvironment.start(dut)
    job = tiled_job(env)
    await env.write("interrupt_enable", _ERROR)
    await env.prepare(job)
    for names in (("abort", "start"), ("soft_reset", "start"), ("soft_reset", "abort", "start")):
        await env.command(*names)
        await env.cycles(60)
        await env.expect("status", bit("status", "idle"), f"{names} outside a job")
        await env.expect("error", 0, f"{names} outside a job")
    await env.begin(job)
    await env.cycles(60)
    await env.command("soft_reset", "abort", "start")
    await env.expect("status", bit("status", "idle"), "soft reset goes before abort")
    await env.expect("error", 0, "soft reset goes before abort")
    await env.begin(job)
    await env.cycles(60)
    await env.command("abort", "start")
    env.board.compare_failed(await env.receive(job), job)
    await failed(env, "aborted")
    await env.finish()


async def abort_at_the_end(dut: Any) -> None:
    """Abort while C waits: one packet, whole if its end was on its way out, and the job failed."""
    env = await EngineEnvironment.start(dut)
    await env.write("interrupt_enable", _ERROR)
    env.drivers.c.pause = True
    job = env.model.job(env.rng, (1, 1, 1), kind="plain")
    await env.launch(job)
    await env.until(lambda: int(dut.m_axis_c_tvalid.value), "a beat of C")
    await env.command("abort")
    await env.cycles(20)
    last = int(dut.m_axis_c_tlast.value)
    env.drivers.c.pause = False
    frame = await env.receive(job)
    (env.board.compare if last else env.board.compare_either)(frame, job)
    await env.cycles(100)
    if not env.drivers.c.empty():
        raise AssertionError("a job must send one packet, not two")
    await failed(env, "aborted")
    await env.finish()


async def forgotten_b(dut: Any) -> None:
    """Ask for a kept B that is none: other N or K, a failed job, or a reset in between."""
    env = await EngineEnvironment.start(dut)
    config = env.config
    shape = (config.rows, config.cols, config.block - 1)
    hows = ("n", "k", "abort", "soft reset", "soft reset of the job", "hard reset", "nothing")
    for how in hows:
        kept = env.model.job(env.rng, shape, kind="plain", keep=True)
        await env.run(kept)
        again = env.model.job(env.rng, shape, kind="plain", kept=kept)
        if how == "abort":
            await env.write("interrupt_enable", _ERROR)
            await env.prepare(kept)
            await env.begin(kept)
            await env.command("abort")
            env.board.compare_failed(await env.receive(kept), kept)
            await env.soft_reset()
        elif how == "soft reset":
            await env.soft_reset()
        elif how == "soft reset of the job":
            # All of B is kept by then, and results wait.
            env.drivers.c.pause = True
            await env.launch(kept)
            await env.until(lambda: int(dut.m_axis_c_tvalid.value), "C")
            await env.expect("status", bit("status", "busy", "c_waiting"), "C waits")
            await env.soft_reset()
            env.drivers.c.pause = False
        elif how == "hard reset":
            await env.hard_reset()
        await env.clear()
        await env.prepare(again)
        if how in "nk":
            await env.write(how, (again.n if how == "n" else again.k) + 1)
        if how == "nothing":
            await env.send_a(again)
            await env.begin(again)
            await env.end(again)
            continue
        await env.command("start")
        await env.cycles(60)
        await env.expect("error", bit("error", "no_kept_b"), how)
        await env.clear()
    await env.finish()


_REGISTERS = ("m", "n", "k", "job", "interrupt_enable", "interrupt_status", "error")


async def _in_flight(env: EngineEnvironment, at: int, most: int) -> str:
    """Bring a job to some moment of its life, and say which."""
    # One operand alone fills its memory, and everything before it.
    job = tiled_job(env, tall=12 if at % 5 > 2 else 2)
    env.pause(("none", "random", "bursts")[at % 3], c="cycle" if at % 2 else "none")
    before = dict(env.watcher.taken)
    await env.prepare(job)
    await env.begin(job)
    if at == 0:
        await env.cycles(int(env.rng.integers(1, 30)))
        return "before data"
    if at % 5 != 3:
        await env.send_a(job)
    if at % 5 != 4:
        await env.send_b(job)
    env.drivers.c.pause = at % 5 == 2
    await env.cycles(int(env.rng.integers(2, most)))
    if int(env.dut.m_axis_c_tvalid.value) or env.watcher.taken["c"] > before["c"]:
        return "results leave"
    return "loading"


async def soft_resets(dut: Any) -> None:
    """Soft reset at random moments: registers and counters stay, everything else is forgotten."""
    env = await EngineEnvironment.start(dut)
    for n in range(2 * env.jobs):
        await env.write("interrupt_enable", int(env.rng.integers(8)))
        where = await _in_flight(env, n, (900, 40, 250, 8)[n % 4])
        if n % 2:
            # Streams that stand still for some cycles, or that do not.
            env.drivers.halt_streams()
        kept = {name: await env.read(name) for name in _REGISTERS}
        await env.soft_reset()
        counters = [await env.counter(name) for name in ("cycles", "busy", "stall_a")]
        for name, value in kept.items():
            if name not in ("error", "interrupt_status"):
                await env.expect(name, value, "soft reset keeps it")
        await env.clear()
        if counters != [await env.counter(name) for name in ("cycles", "busy", "stall_a")]:
            raise AssertionError("counters must stand still after a soft reset")
        if not counters[0]:
            raise AssertionError("counters must survive a soft reset")
        env.cover({"soft reset": where, "job behind": "a soft reset"})
        env.pause("none")
        await env.run(env.model.job(env.rng))
        if n % 4 == 0:
            await env.soft_reset()
            env.cover({"soft reset": "idle"})
    await env.finish()


async def hard_resets(dut: Any) -> None:
    """Reset at random moments, for one cycle: every register reads its reset value."""
    env = await EngineEnvironment.start(dut)
    registers = [*_REGISTERS, *(n for n in OFFSETS if n.endswith(("_low", "_high")))]
    registers = [name for name in registers if not name.startswith("digest")]
    for n in range(2 * env.jobs):
        await env.write("interrupt_enable", 7)
        where = "idle" if n % 8 == 7 else await _in_flight(env, n, (900, 40, 250, 8)[n % 4])
        if n % 3 == 0:
            # An access in flight is forgotten too.
            env.drivers.bus.init_write(OFFSETS["m"], bytes(4))
            env.drivers.bus.init_read(OFFSETS["status"], 4)
            await env.cycles(n % 5)
        await env.hard_reset()
        env.cover({"hard reset": where, "job behind": "a hard reset"})
        await env.expect("status", bit("status", "idle"), "after a reset")
        for name in registers if n < 4 else ("m", "interrupt_enable", "error", "cycles_low"):
            await env.expect(name, 0, "after a reset")
        env.pause("none")
        await env.run(env.model.job(env.rng), counters=n % 4 == 0)
    await env.finish()
