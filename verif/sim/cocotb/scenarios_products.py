"""What the testbenches of `dot` and `array` do beyond the scenarios of every unit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from amxfp4.params.dot import DotConfig
from amxfp4.verif.sim.cocotb.agents import pauses
from amxfp4.verif.sim.cocotb.environment import Environment
from amxfp4.verif.sim.cocotb.models_products import ProductModel

__all__ = [
    "every_length",
    "flags",
    "held_results",
    "latency",
    "nan_blocks",
    "reset_in_sum",
    "sums",
    "throughput",
    "zero_blocks",
]


def _model(env: Environment) -> ProductModel:
    return cast("ProductModel", env.model)


async def sums(
    dut: Any, lengths: Sequence[int], idle: str = "none", back_pressure: str = "none"
) -> None:
    """Send sums of the given lengths under the named patterns of pauses."""
    env = await Environment.start(dut)
    env.pause(idle, back_pressure)
    env.source.send(_model(env).sums(env.rng, lengths))
    await env.finish()


async def every_length(dut: Any, longest: int, idle: str, back_pressure: str) -> None:
    """Send sums of every length, every one after a shorter and after a longer one."""
    up = range(1, longest + 1)
    mixed = [n for pair in zip(up, reversed(up), strict=True) for n in pair]
    await sums(dut, [*up, *reversed(up), *mixed], idle, back_pressure)


async def nan_blocks(dut: Any) -> None:
    """Poison sums by every record, scale and step in turn; their neighbours stay clean."""
    env = await Environment.start(dut)
    model = _model(env)
    env.pause("none", "random")
    payloads, poisoned = model.poisoned(env.rng)
    word = env.config.word
    due = model.words(model.expected(payloads))
    nan = (due & ((1 << (word.width - 1)) - 1)) > word.inf_magnitude
    # What golden expects must be what was planted; the scoreboard holds the unit to golden.
    if not np.array_equal(nan, poisoned):
        raise AssertionError(f"exactly {poisoned.sum()} results must be NaN, not {nan.sum()}")
    env.source.send(payloads)
    await env.finish()


async def zero_blocks(dut: Any) -> None:
    """Send sums of zeros of both signs, and zeros at every place of other sums."""
    env = await Environment.start(dut)
    env.source.send(_model(env).zeros(env.rng))
    await env.finish()


async def reset_in_sum(dut: Any) -> None:
    """Reset in every cycle of a sum, up to its result; the sum after it starts clean."""
    env = await Environment.start(dut)
    model = _model(env)
    steps, per_step = 3, int(env.manifest["cycles_per_block"])
    behind = steps * per_step + int(env.manifest["latency"]) + 2
    for cycle in range(1, behind, max(1, per_step // 8)):
        env.source.send(model.payloads(*model.quantized(env.rng, steps), [steps]))
        await env.cycles(cycle)
        await env.reset()
        # What is left of the sum before would be seen in a sum of one step.
        env.source.send(model.payloads(*model.quantized(env.rng, 1), [1]))
        await env.drain()
    await env.finish()


async def held_results(dut: Any) -> None:
    """Hold a result back while the next sum accumulates: it waits, the sum behind it does not."""
    env = await Environment.start(dut)
    model = _model(env)
    per_step, steps = int(env.manifest["cycles_per_block"]), 5
    # Where a result has no register of its own it stays in the accumulator, which is then taken.
    config = cast("DotConfig", env.config)
    has_room = bool(config.cuts & {"normalised", "rounded"})
    for held in (2 * per_step, 8 * per_step, 20 * per_step):
        env.sink.pause = itertools.repeat(True)
        before = len(env.i.cycles)
        env.source.send(model.sums(env.rng, [1, steps, 1, 1, 2, 1, 1, 3, 1, 1, 1, 1]))
        await env.cycles(int(env.manifest["latency"]) + held)
        entered = len(env.i.cycles) - before
        # All but the last step of the second sum have room, however few registers there are.
        due = min(steps, held // per_step) if has_room else 1
        if entered < due:
            raise AssertionError(f"{due} steps must enter while a result waits, not {entered}")
        env.sink.pause = pauses("bursts", env.rng)
        await env.drain()
    await env.finish()


async def throughput(dut: Any) -> None:
    """Measure the spacing of steps and of results at full speed: no bubble between sums."""
    env = await Environment.start(dut)
    lengths = [1, 1, 1, 1, 4, 1, 2, 7, 3, 1, 1, 5]
    env.source.send(_model(env).sums(env.rng, lengths))
    await env.finish()
    per_step = int(env.manifest["cycles_per_block"])
    expected = {
        env.i: [per_step] * (sum(lengths) - 1),
        env.o: [per_step * length for length in lengths[1:]],
    }
    for monitor, due in expected.items():
        seen = [b - a for a, b in itertools.pairwise(monitor.cycles)]
        if seen != due:
            raise AssertionError(f"transfers at {monitor.name} must be {due} cycles apart: {seen}")


async def latency(dut: Any) -> None:
    """Measure from a sum's last step to its result, for sums far apart and for sums in a row."""
    env = await Environment.start(dut)
    model, due = _model(env), int(env.manifest["latency"])
    ends: list[int] = []
    for lengths in ([1], [3], [2], [1, 1, 2, 1]):
        before = len(env.i.cycles)
        env.source.send(model.sums(env.rng, lengths))
        await env.drain()
        ends += [env.i.cycles[before + n - 1] for n in itertools.accumulate(lengths)]
    await env.finish()
    seen = {b - a for a, b in zip(ends, env.o.cycles, strict=True)}
    if seen != {due}:
        raise AssertionError(f"latency must be {due} cycles, as the manifest states, not {seen!r}")


async def flags(dut: Any) -> None:
    """Send sums that raise flags between sums that do not; other modes have no flags."""
    env = await Environment.start(dut)
    model = _model(env)
    width = next(p["width"] for p in env.manifest["ports"] if p["name"] == "o__payload")
    if width != model.word_bits + model.flag_bits:
        raise AssertionError(
            f"results must have {model.word_bits} + {model.flag_bits} bits, not {width}"
        )
    payloads = model.sums(env.rng, [1, 1, 2, 2, 1, 3] * 4)
    raised = model.flags(model.expected(payloads))
    if raised is not None:
        either = np.asarray(raised.any(axis=(1, 2)))
        if not np.any(either[:-1] & ~either[1:]):
            raise AssertionError("a sum without flags must follow a sum with flags")
    env.source.send(payloads)
    await env.finish()
