"""Testbench of the engine's Verilog between its buses; runs inside the simulator."""

from __future__ import annotations

from typing import Any

import cocotb

from amxfp4.verif.cocotb import scenarios_engine as jobs
from amxfp4.verif.cocotb import scenarios_engine_control as control
from amxfp4.verif.cocotb import scenarios_engine_faults as failures
from amxfp4.verif.cocotb import scenarios_engine_resets as resets
from amxfp4.verif.cocotb.agents import PAUSES

_FAULTS = ("a_early", "a_late", "a_keep", "b_early", "b_late", "b_keep")


@cocotb.test()
async def reset_values(dut: Any) -> None:
    """Every register reads its reset value; parameters and digest are the manifest's."""
    await control.reset_values(dut)


@cocotb.test()
async def access(dut: Any) -> None:
    """Every register can be written as the map says; reserved bits read 0."""
    await control.access(dut)


@cocotb.test()
async def addresses(dut: Any) -> None:
    """Unmapped and misaligned addresses are refused, and nothing happens."""
    await control.addresses(dut)


@cocotb.test()
async def strobes(dut: Any) -> None:
    """WSTRB is honoured byte by byte, also for write-1 fields."""
    await control.strobes(dut)


@cocotb.test()
async def bus_orders(dut: Any) -> None:
    """Channels in any order and at any distance; responses that are not taken."""
    await control.bus_orders(dut)


@cocotb.test()
async def interrupts(dut: Any) -> None:
    """The interrupt is up while a bit is set and enabled, and only then."""
    await control.interrupts(dut)


@cocotb.test()
async def clears(dut: Any) -> None:
    """Setting wins over clearing in the same cycle."""
    await control.clears(dut)


@cocotb.test()
async def shapes(dut: Any) -> None:
    """Every combination of small edges of M, N and K."""
    await jobs.shapes(dut)


@cocotb.test()
@cocotb.parametrize(pattern=PAUSES)
async def random_jobs(dut: Any, pattern: str) -> None:
    """Random jobs under stalls of every channel change timing only."""
    await jobs.random_jobs(dut, pattern)


@cocotb.test()
async def special_values(dut: Any) -> None:
    """Zeros, NaN, infinities, subnormals, ties and any records, in A and in B."""
    await jobs.special_values(dut)


@cocotb.test()
async def orders(dut: Any) -> None:
    """Data before the start and after it; at most two beats are taken ahead."""
    await jobs.orders(dut)


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Jobs behind each other, driven by the interrupt, registers written ahead."""
    await jobs.back_to_back(dut)


@cocotb.test()
async def kept_b(dut: Any) -> None:
    """B kept over row tiles, and reused over jobs."""
    await jobs.kept_b(dut)


@cocotb.test()
async def forgotten_b(dut: Any) -> None:
    """A kept B is gone after another N or K is asked for, a failure or a reset."""
    await resets.forgotten_b(dut)


@cocotb.test()
async def full_memories(dut: Any) -> None:
    """The largest K, and a kept B that just fits."""
    await jobs.full_memories(dut)


@cocotb.test()
async def stalls_counted(dut: Any) -> None:
    """A stream that is withheld is counted by its own counter alone."""
    await jobs.stalls_counted(dut)


@cocotb.test()
async def latency(dut: Any) -> None:
    """From the last beat of B to the first of C: the manifest's number."""
    await jobs.latency(dut)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """At full speed a job takes the cycles that the document promises."""
    await jobs.throughput(dut)


@cocotb.test()
async def paths(dut: Any) -> None:
    """No output of a stream depends on an input of the same cycle."""
    await jobs.paths(dut)


@cocotb.test()
async def refused(dut: Any) -> None:
    """Jobs that cannot be do not begin, and say why."""
    await failures.refused(dut)


@cocotb.test()
async def limits_accepted(dut: Any) -> None:
    """The largest M and N are no error."""
    await failures.limits_accepted(dut)


@cocotb.test()
async def overruns(dut: Any) -> None:
    """A start in a job is an error, and does not disturb the job."""
    await failures.overruns(dut)


@cocotb.test()
@cocotb.parametrize(name=_FAULTS)
async def faults(dut: Any, name: str) -> None:
    """Streams that end early, late or with gaps: named, swallowed, recovered from."""
    await failures.faults(dut, name)


@cocotb.test()
async def aborts(dut: Any) -> None:
    """An abort at any moment ends the job, and its packet."""
    await failures.aborts(dut)


@cocotb.test()
async def abort_at_the_end(dut: Any) -> None:
    """An abort while the last beat waits does not withdraw it, nor send a second packet."""
    await failures.abort_at_the_end(dut)


@cocotb.test()
async def soft_resets(dut: Any) -> None:
    """Soft reset at any moment leaves registers alone and an engine that works."""
    await resets.soft_resets(dut)


@cocotb.test()
async def hard_resets(dut: Any) -> None:
    """One cycle of reset at any moment leaves a fresh engine."""
    await resets.hard_resets(dut)


@cocotb.test()
async def coverage_closed(dut: Any) -> None:
    """Every bin that this configuration can hit was hit by the tests above."""
    await jobs.coverage_closed(dut)
