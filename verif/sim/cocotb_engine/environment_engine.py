"""The engine's testbench: drivers, watcher, jobs in flight, and what every test does with them.

Runs inside the simulator. All it knows of the engine is its manifest and docs/units/engine.md.
"""

from __future__ import annotations

import os
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, SimTimeoutError, with_timeout

from amxfp4.params.registers import REGISTERS
from amxfp4.verif.sim.cocotb import coverage
from amxfp4.verif.sim.cocotb.environment import JOBS, Bench
from amxfp4.verif.sim.cocotb_engine import coverage_engine
from amxfp4.verif.sim.cocotb_engine.agents_engine import Drivers, Watcher, packet, set_pause
from amxfp4.verif.sim.cocotb_engine.models_engine import EngineModel, Job
from amxfp4.verif.sim.cocotb_engine.scoreboard_engine import PacketBoard

__all__ = ["ERRORS", "OFFSETS", "EngineEnvironment", "bit"]

OFFSETS = {register.name: register.offset for register in REGISTERS}
_BITS = {(r.name, f.name): f.bit for r in REGISTERS for f in r.fields}
ERRORS = tuple(name for register, name in _BITS if register == "error")
_IDLE = 1


def bit(register: str, *names: str) -> int:
    """Value of a register in which these fields of one bit are 1."""
    return sum(1 << _BITS[register, name] for name in names)


class EngineEnvironment(Bench):
    """Everything around the engine, reset and ready.

    Members
    -------
    model : what the engine does
    drivers, watcher, board : what surrounds it
    jobs : how many random jobs a test has
    """

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.model = EngineModel(self.config)
        self.jobs = int(os.environ[JOBS])
        self.drivers = Drivers(dut)
        self.watcher = Watcher(dut)
        self.board = PacketBoard(self.config.bytes_c, self.model.element_bytes)
        self.coverage = coverage_engine.empty()

    @classmethod
    async def start(cls, dut: Any, period: int = 2) -> EngineEnvironment:
        """Build, start the clock and the watcher, and reset the engine."""
        env = cls(dut)
        Clock(dut.clk, period, unit="step").start()
        env.period = period
        env.watcher.start()
        await env.hard_reset()
        return env

    period = 2

    # Registers.

    async def _answer(self, access: Any, register: str) -> Any:
        """Wait for a response, but not for ever."""
        try:
            return await with_timeout(access, 2_000 * self.period, "step")
        except SimTimeoutError:
            raise TimeoutError(f"an access to {register} must be answered") from None

    async def read(self, register: str) -> int:
        """Read a register; it must answer OKAY."""
        answer = await self._answer(self.drivers.bus.read(OFFSETS[register], 4), register)
        if int(answer.resp):
            raise AssertionError(f"reading {register} must be answered OKAY, not {answer.resp!r}")
        return int.from_bytes(answer.data, "little")

    async def write(self, register: str, value: int) -> None:
        """Write a register; it must answer OKAY."""
        raw = value.to_bytes(4, "little")
        answer = await self._answer(self.drivers.bus.write(OFFSETS[register], raw), register)
        if int(answer.resp):
            raise AssertionError(f"writing {register} must be answered OKAY, not {answer.resp!r}")

    async def expect(self, register: str, value: int, why: str = "") -> None:
        """Read a register and compare."""
        got = await self.read(register)
        if got != value:
            raise AssertionError(f"{register} must be {value:#x}, not {got:#x}; {why}")

    async def command(self, *names: str) -> None:
        """Write 1 to fields of `control`."""
        await self.write("control", bit("control", *names))

    async def until(self, condition: Any, what: str, cycles: int = 20_000) -> None:
        """Let cycles pass until something is true."""
        edge = RisingEdge(self.dut.clk)
        for _ in range(cycles):
            if condition():
                return
            await edge
        raise TimeoutError(f"{what} must come within {cycles} cycles")

    def streams(self) -> int:
        """Bits of `status` that say what the streams are at, as the watcher has seen them."""
        names = [f"{name}_open" for name in "ab" if self.watcher.open[name]]
        if int(self.dut.m_axis_c_tvalid.value):
            names.append("c_waiting")
        return bit("status", *names)

    # Pauses and resets.

    def pause(self, a: str, b: str | None = None, c: str | None = None) -> None:
        """Choose the patterns of pauses of the streams by name; one name serves all."""
        for driver, pattern in zip("abc", (a, b or a, c or a), strict=True):
            set_pause(getattr(self.drivers, driver), pattern, self.rng)

    def pause_control(self, pattern: str) -> None:
        """Choose the pattern of pauses of all channels of the control bus."""
        for channel in self.drivers.channels.values():
            set_pause(channel, pattern, self.rng)

    async def hard_reset(self) -> None:
        """Reset for one cycle; drivers forget what they had, and so does the board."""
        self.dut.rst.value = 1
        for driver in (self.drivers.a, self.drivers.b, self.drivers.c):
            driver.clear()
        await self.cycles(1)
        self.dut.rst.value = 0
        await self.cycles(1)
        self.drivers.c.clear()

    async def soft_reset(self, *, flush: bool = True) -> None:
        """Reset through `control`; with `flush` the DMA engines are reset before it."""
        if flush:
            self.drivers.halt_streams()
        self.watcher.excused = True
        await self.command("soft_reset")
        self.watcher.excused = False
        if int(self.dut.m_axis_c_tvalid.value):
            raise AssertionError("a beat of C must be withdrawn by a soft reset")
        if flush:
            self.drivers.release_streams()
        await self.expect("status", _IDLE, "after a soft reset the engine is idle")

    # Jobs.

    async def send_a(self, job: Job) -> None:
        """Queue A's packet."""
        await self.drivers.a.send(packet(job.raw_a))

    async def send_b(self, job: Job) -> None:
        """Queue every pass of B."""
        for _ in range(job.passes):
            await self.drivers.b.send(packet(job.raw_b))

    async def send(self, job: Job) -> None:
        """Queue A and B."""
        await self.send_a(job)
        await self.send_b(job)

    async def describe(self, m: int, n: int, k: int, bits: int = 0) -> None:
        """Write the registers of a job."""
        for name, value in (("m", m), ("n", n), ("k", k), ("job", bits)):
            await self.write(name, value)

    async def prepare(self, job: Job) -> None:
        """Write the registers of a job that has data."""
        await self.describe(job.m, job.n, job.k, job.bits)

    async def begin(self, job: Job) -> tuple[int, int]:
        """Start a job that is prepared; return the cycles between which it was."""
        before = self.watcher.cycle
        await self.command("start")
        return before, self.watcher.cycle

    async def launch(self, job: Job) -> tuple[int, int]:
        """Send a job's data and start it; returns what `begin` does."""
        await self.send(job)
        await self.prepare(job)
        return await self.begin(job)

    async def clear(self) -> None:
        """Clear every error and every interrupt."""
        await self.write("error", 0xFFF)
        await self.write("interrupt_status", 7)

    def timeout(self, job: Job) -> int:
        """Cycles after which a job is stuck, whatever pauses the streams make."""
        words = len(job.raw_a) + job.passes * len(job.raw_b) + len(job.raw_c)
        return 3_000 + 12 * (words // 4 + self.model.busy(job))

    async def receive(self, job: Job) -> Any:
        """Take C's packet."""
        steps = self.period * self.timeout(job)
        try:
            return await with_timeout(self.drivers.c.recv(compact=False), steps, "step")
        except SimTimeoutError:
            status, error = await self.read("status"), await self.read("error")
            moved = f"{status=:#x}, {error=:#x}, taken {self.watcher.taken}"
            raise TimeoutError(f"C of {job.shape} must come to its end: {moved}") from None

    async def run(self, job: Job, *, counters: bool = False, order: str = "before") -> None:
        """Run one job whole: data before the start, after it, or A and B on either side."""
        senders = {"a": self.send_a, "b": self.send_b}
        early = {"before": "ab", "after": "", "a first": "a", "b first": "b"}[order]
        for name in early:
            await senders[name](job)
        await self.prepare(job)
        if early:
            await self.cycles(int(self.rng.integers(40)))
        began = await self.begin(job)
        for name in "ab":
            if name not in early:
                await self.cycles(int(self.rng.integers(40)))
                await senders[name](job)
        self.cover({"order": order})
        await self.end(job, began if counters else None)

    async def end(self, job: Job, began: tuple[int, int] | None = None) -> None:
        """Compare C's packet and everything that a good job leaves in the registers."""
        self.board.compare(await self.receive(job), job)
        coverage.merge(self.coverage, coverage_engine.job(self.config, job))
        status = await self.read("status")
        # Data of the next job may be waiting already.
        open_inputs = bit("status", "a_open", "b_open")
        if status & ~open_inputs != bit("status", "idle", "done"):
            raise AssertionError(
                f"status must be idle and done behind job {job.shape}: {status:#x}"
            )
        flags = job.flags << ERRORS.index("acc_inexact")
        await self.expect("error", flags, f"flags and nothing else behind job {job.shape}")
        if began is not None:
            await self._counters(job, began)
        pending = bit("interrupt_status", "done", *(("flags",) if flags else ()))
        await self.expect("interrupt_status", pending, f"behind job {job.shape}")
        if flags:
            await self.write("error", flags)
        await self.write("interrupt_status", pending)

    async def counter(self, name: str) -> int:
        """Read a counter: low, then high."""
        low = await self.read(f"{name}_low")
        return low | await self.read(f"{name}_high") << 32

    async def _counters(self, job: Job, began: tuple[int, int]) -> None:
        end = self.watcher.last["c"]
        names = ("cycles", "busy", "stall_a", "stall_b", "stall_c")
        seen = {name: await self.counter(name) for name in names}
        least, most = end - began[1] - 1, end - began[0] + 2
        if not least <= seen["cycles"] <= most:
            raise AssertionError(f"cycles must be from {least} to {most}, not {seen['cycles']}")
        if seen["busy"] != self.model.busy(job):
            raise AssertionError(f"busy must be {self.model.busy(job)}, not {seen['busy']}")
        if sum(seen[name] for name in names[1:]) > seen["cycles"]:
            raise AssertionError(f"no cycle may be counted twice: {seen}")

    def cover(self, hits: dict[str, str]) -> None:
        """Count a hit of each cover point."""
        coverage.merge(self.coverage, {point: {name: 1} for point, name in hits.items()})

    async def finish(self) -> None:
        """Insist that nothing is left over, and add this test to the run's report."""
        await self.cycles(60)
        if not self.drivers.c.empty():
            raise AssertionError(f"C must have no packet too many: {self.drivers.c.recv_nowait()}")
        watcher, names = self.watcher, ("a", "b", "c", "write response", "read data")
        self.report(
            self.board.finish(),
            [(n, watcher.idle[n], watcher.offered[n], watcher.taken[n]) for n in names],
        )
