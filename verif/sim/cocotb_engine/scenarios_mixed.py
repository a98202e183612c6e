"""What the testbench of `engine` does with everything at once, in random order."""

from __future__ import annotations

from typing import Any

from amxfp4.verif.sim.cocotb_engine.agents_engine import packet
from amxfp4.verif.sim.cocotb_engine.environment_engine import EngineEnvironment, bit
from amxfp4.verif.sim.cocotb_engine.models_engine import Job, pick
from amxfp4.verif.sim.cocotb_engine.scenarios_faults import spoilt

__all__ = ["mixtures"]

_KINDS = ("good",) * 5 + ("keep", "reuse", "reuse", "fault", "abort", "refused", "soft", "hard")


class _Mixture:
    """Random events, and what an engine must remember between them."""

    def __init__(self, env: EngineEnvironment) -> None:
        self.env = env
        self.kept: Job | None = None

    async def good(self) -> None:
        """Run a job that sends B for each row tile."""
        await self.env.run(self.env.model.job(self.env.rng), counters=True, order=self._order())
        self.kept = None

    def _order(self) -> str:
        return ("before", "after", "a first", "b first")[pick(self.env.rng, range(4))]

    async def keep(self) -> None:
        """Run a job that keeps its B."""
        env, config = self.env, self.env.config
        m, n, k = env.model.shape(env.rng)
        most = 2 * config.depth_b // env.model.steps(k) * config.cols
        self.kept = env.model.job(env.rng, (m, min(n, most), k), keep=True)
        await env.run(self.kept, counters=True, order=self._order())

    async def reuse(self) -> None:
        """Run a job with the B that was kept, or be refused where there is none."""
        env = self.env
        if self.kept is None and env.rng.integers(2):
            await self.keep()
        if self.kept is None:
            await env.describe(1, 1, 1, bit("job", "reuse_b"))
            await self._refusal("no_kept_b")
            return
        height = env.model.shape(env.rng)[0]
        again = env.model.job(env.rng, (height, self.kept.n, self.kept.k), kept=self.kept)
        await env.run(again, counters=True, order=("before", "after")[pick(env.rng, (0, 1))])

    async def refused(self) -> None:
        """Start what cannot be."""
        env = self.env
        bad = {"m": 1, "n": 1, "k": 1, "job": 0}
        bad[("m", "n", "k")[pick(env.rng, range(3))]] = pick(env.rng, (0, 1 << 20, 0xFFFFFFFF))
        for name, value in bad.items():
            await env.write(name, value)
        await self._refusal("bad_dimension")
        # Whether a refused start leaves a kept B alone is not said.
        self.kept = None
        await self.good()

    async def _refusal(self, name: str) -> None:
        env = self.env
        await env.command("start")
        await env.cycles(60)
        await env.expect("error", bit("error", name), "a start that must be refused")
        await env.write("error", 0xFFF)
        await env.expect("interrupt_status", bit("interrupt_status", "error"), name)
        await env.write("interrupt_status", 7)
        self.env.cover({"error": name})

    async def fault(self) -> None:
        """Fail by a stream."""
        env = self.env
        name = f"{'ab'[pick(env.rng, (0, 1))]}_{('early', 'late', 'keep')[pick(env.rng, range(3))]}"
        config = env.config
        shape = (config.rows + 1, config.cols + 1, config.block + 1)
        job = env.model.job(env.rng, shape, kind="plain")
        raw, lanes = (job.raw_a, config.bytes_a) if name[0] == "a" else (job.raw_b, config.bytes_b)
        bad = packet(*pick_one(env, [*spoilt(name, raw, lanes, env.rng)]))
        at = pick(env.rng, range(job.passes)) if name[0] == "b" else 0
        await env.prepare(job)
        await env.begin(job)
        await env.drivers.a.send(bad if name[0] == "a" else packet(job.raw_a))
        for n in range(job.passes):
            await env.drivers.b.send(bad if name[0] == "b" and n == at else packet(job.raw_b))
        env.board.compare_failed(await env.receive(job), job)
        await self._recover(name)

    async def abort(self) -> None:
        """Fail by an abort, before the last beat can be there."""
        env = self.env
        config = env.config
        shape = (2 * config.rows, 2 * config.cols, config.largest_k)
        job = env.model.job(env.rng, shape, kind="plain")
        await env.prepare(job)
        await env.begin(job)
        await env.send_a(job)
        for _ in range(job.passes - 1):
            await env.drivers.b.send(packet(job.raw_b))
        await env.cycles(int(env.rng.integers(1, 200)))
        await env.command("abort")
        env.board.compare_failed(await env.receive(job), job)
        await self._recover("aborted")

    async def _recover(self, name: str) -> None:
        """Read the name of a failure, with the streams at their ends; reset, and clear."""
        env = self.env
        drivers = env.drivers
        await env.until(lambda: drivers.a.idle() and drivers.b.idle(), "the end of A and B")
        await env.cycles(8)
        seen = await env.read("error") & ~bit("error", "acc_inexact", "acc_overflow")
        if seen != bit("error", name):
            raise AssertionError(f"error must be {name}, not {seen:#x}")
        await env.expect("status", bit("status", "failed"), name)
        await self.soft()
        env.cover({"error": name})

    async def soft(self) -> None:
        """Soft reset, between jobs or behind one that failed."""
        env = self.env
        await env.soft_reset(flush=bool(env.rng.integers(2)))
        await env.clear()
        self.kept = None

    async def hard(self) -> None:
        """Reset between jobs."""
        await self.env.hard_reset()
        self.kept = None


def pick_one(env: EngineEnvironment, choices: list[Any]) -> Any:
    """Draw one of some things."""
    return choices[int(env.rng.integers(len(choices)))]


async def mixtures(dut: Any, pattern: str) -> None:
    """Do twice as many things as a test has jobs, in random order."""
    env = await EngineEnvironment.start(dut)
    mixture = _Mixture(env)
    for n in range(2 * env.jobs):
        if n % 8 == 0:
            env.pause(*(("none", pattern)[pick(env.rng, (0, 1))] for _ in "abc"))
            env.pause_control(("none", pattern)[pick(env.rng, (0, 1))])
        await getattr(mixture, pick_one(env, [*_KINDS]))()
    await mixture.good()
    await env.finish()
