"""What testbenches do with a unit; the same for every unit that has one stream on either side."""

from __future__ import annotations

import itertools
from typing import Any

from amxfp4.verif.sim.cocotb.environment import Environment

__all__ = [
    "blocks",
    "coverage_closed",
    "latency",
    "ready_after_valid",
    "reset_in_flight",
    "special",
    "throughput",
]

_BEATS = 192
"""Beats of an ordinary test: enough for every pattern of pauses to meet every stage."""


async def blocks(
    dut: Any, *, count: int | None = None, idle: str = "none", back_pressure: str = "none"
) -> None:
    """Send random blocks under the named patterns of pauses."""
    env = await Environment.start(dut)
    env.pause(idle, back_pressure)
    env.source.send(env.model.random(env.rng, env.blocks(_BEATS) if count is None else count))
    await env.finish()


async def ready_after_valid(dut: Any) -> None:
    """Send random blocks to a sink that waits for valid before it raises ready."""
    env = await Environment.start(dut)
    env.sink.after_valid = True
    env.source.send(env.model.random(env.rng, env.blocks(_BEATS)))
    await env.finish()


async def special(dut: Any) -> None:
    """Send the directed blocks, under random pauses."""
    env = await Environment.start(dut)
    env.pause("random", "random")
    env.source.send(env.model.special())
    await env.finish()


async def reset_in_flight(dut: Any) -> None:
    """Reset at random moments under random pauses; then a whole batch must be right."""
    env = await Environment.start(dut)
    env.pause("random", "bursts")
    for _ in range(12):
        env.source.send(env.model.random(env.rng, env.blocks(_BEATS) // 4 + 1))
        await env.cycles(int(env.rng.integers(1, 60)))
        await env.reset()
    env.source.send(env.model.random(env.rng, env.blocks(_BEATS)))
    await env.finish()


async def throughput(dut: Any) -> None:
    """Measure the spacing of transfers at full speed; the manifest states it."""
    env = await Environment.start(dut)
    # More than what fills the pipeline, of blocks of any number of beats.
    env.source.send(env.model.random(env.rng, max(8, env.blocks(_BEATS))))
    await env.finish()
    per_block = int(env.manifest["cycles_per_block"])
    for monitor, beats in ((env.i, env.model.beats_in), (env.o, env.model.beats_out)):
        starts = monitor.cycles[::beats]
        # A source may run ahead of the first blocks by what the pipeline holds.
        filling = 4 if monitor is env.i and env.model.beats_in < env.model.beats_out else 0
        steps = {b - a for a, b in itertools.pairwise(starts[filling:])}
        if steps != {per_block}:
            raise AssertionError(
                f"{monitor.name} must move one block every {per_block} cycles, not {steps!r}"
            )


async def latency(dut: Any) -> None:
    """Measure from a block's last input beat to its first output beat, blocks far apart."""
    env = await Environment.start(dut)
    due = int(env.manifest["latency"])
    for _ in range(8):
        env.source.send(env.model.random(env.rng, 1))
        await env.drain()
    await env.finish()
    ends = env.i.cycles[env.model.beats_in - 1 :: env.model.beats_in]
    starts = env.o.cycles[:: env.model.beats_out]
    seen = {b - a for a, b in zip(ends, starts, strict=True)}
    if seen != {due}:
        raise AssertionError(f"latency must be {due} cycles, as the manifest states, not {seen!r}")


async def coverage_closed(dut: Any) -> None:
    """Insist that the tests before this one left no hole."""
    env = await Environment.start(dut)
    env.source.send(env.model.random(env.rng, 1))
    await env.finish()
    env.insist_on_coverage()
