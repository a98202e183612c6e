"""Testbench of the engine's Verilog between its buses; runs inside the simulator."""

from __future__ import annotations

from typing import Any

import cocotb

from amxfp4.verif.sim.cocotb.agents import PAUSES
from amxfp4.verif.sim.cocotb_engine import scenarios_control as control
from amxfp4.verif.sim.cocotb_engine import scenarios_engine as jobs
from amxfp4.verif.sim.cocotb_engine import scenarios_faults as failures
from amxfp4.verif.sim.cocotb_engine import scenarios_mixed as mixed
from amxfp4.verif.sim.cocotb_engine import scenarios_resets as resets
from amxfp4.verif.sim.cocotb_engine import scenarios_timing as timing

_FAULTS = ("a_early", "a_late", "a_keep", "b_early", "b_late", "b_keep")


@cocotb.test()
async def reset_values(dut: Any) -> None:
    """Read every register after a reset: parameters and digest are the manifest's."""
    await control.reset_values(dut)


@cocotb.test()
async def access(dut: Any) -> None:
    """Write every register as the map says; reserved bits read 0."""
    await control.access(dut)


@cocotb.test()
async def addresses(dut: Any) -> None:
    """Access unmapped and misaligned addresses: refused, and nothing happens."""
    await control.addresses(dut)


@cocotb.test()
async def strobes(dut: Any) -> None:
    """Write under every WSTRB, write-1 fields too."""
    await control.strobes(dut)


@cocotb.test()
async def bus_orders(dut: Any) -> None:
    """Use channels in any order and at any distance, and leave responses waiting."""
    await control.bus_orders(dut)


@cocotb.test()
async def interrupts(dut: Any) -> None:
    """Check that `irq` is up while a bit is set and enabled, and only then."""
    await control.interrupts(dut)


@cocotb.test()
async def clears(dut: Any) -> None:
    """Insist that setting wins over clearing in the same cycle."""
    await control.clears(dut)


@cocotb.test()
async def shapes(dut: Any) -> None:
    """Multiply every combination of small edges of M, N and K."""
    await jobs.shapes(dut)


@cocotb.test()
@cocotb.parametrize(pattern=PAUSES)
async def random_jobs(dut: Any, pattern: str) -> None:
    """Run random jobs: stalls of any channel change timing only."""
    await jobs.random_jobs(dut, pattern)


@cocotb.test()
async def special_values(dut: Any) -> None:
    """Put zeros, NaN, infinities, subnormals, ties and any records into A and B."""
    await jobs.special_values(dut)


@cocotb.test()
async def orders(dut: Any) -> None:
    """Send data before the start and after it; at most two beats are taken ahead."""
    await jobs.orders(dut)


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Run jobs behind each other, driven by `irq`, registers written ahead."""
    await jobs.back_to_back(dut)


@cocotb.test()
async def kept_b(dut: Any) -> None:
    """Keep B over row tiles, and reuse it over jobs."""
    await jobs.kept_b(dut)


@cocotb.test()
async def forgotten_b(dut: Any) -> None:
    """Ask for a kept B of another N or K, or after a failure or a reset: it is gone."""
    await resets.forgotten_b(dut)


@cocotb.test()
async def full_memories(dut: Any) -> None:
    """Fill the memories: the largest K, and a kept B that just fits."""
    await jobs.full_memories(dut)


@cocotb.test()
async def stalls_counted(dut: Any) -> None:
    """Withhold each stream: its own counter alone counts."""
    await timing.stalls_counted(dut)


@cocotb.test()
async def done_when_taken(dut: Any) -> None:
    """Let the last beat of C wait: the job is not done before it is taken."""
    await timing.done_when_taken(dut)


@cocotb.test()
async def latency(dut: Any) -> None:
    """Measure from the last beat of B to the first of C: the manifest's number."""
    await timing.latency(dut)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """Run at full speed, within the cycles that the document promises."""
    await timing.throughput(dut)


@cocotb.test()
async def ready_after_valid(dut: Any) -> None:
    """Take C with a sink that waits for valid before it raises ready."""
    await jobs.ready_after_valid(dut)


@cocotb.test()
async def paths(dut: Any) -> None:
    """Insist that no output of a stream depends on an input of the same cycle."""
    await jobs.paths(dut)


@cocotb.test()
async def refused(dut: Any) -> None:
    """Start jobs that cannot be: they do not begin, and say why."""
    await failures.refused(dut)


@cocotb.test()
async def limits_accepted(dut: Any) -> None:
    """Start the largest M and N, which are no error."""
    await failures.limits_accepted(dut)


@cocotb.test()
async def overruns(dut: Any) -> None:
    """Start in a job: an error, and the job goes on."""
    await failures.overruns(dut)


@cocotb.test()
@cocotb.parametrize(name=_FAULTS)
async def faults(dut: Any, name: str) -> None:
    """End streams early, late or with gaps: named, discarded, recovered from."""
    await failures.faults(dut, name)


@cocotb.test()
async def aborts(dut: Any) -> None:
    """Abort at any moment: the job ends, and so does its packet."""
    await resets.aborts(dut)


@cocotb.test()
async def abort_at_the_end(dut: Any) -> None:
    """Abort while the last beat waits: it stays, and no second packet follows."""
    await resets.abort_at_the_end(dut)


@cocotb.test()
async def commands_at_once(dut: Any) -> None:
    """Write several bits of `control` at once: the first in order alone acts."""
    await resets.commands_at_once(dut)


@cocotb.test()
async def soft_resets(dut: Any) -> None:
    """Reset softly at any moment: registers stay, and the engine works."""
    await resets.soft_resets(dut)


@cocotb.test()
async def hard_resets(dut: Any) -> None:
    """Reset for one cycle at any moment: the engine is a fresh one."""
    await resets.hard_resets(dut)


@cocotb.test()
@cocotb.parametrize(pattern=PAUSES)
async def mixtures(dut: Any, pattern: str) -> None:
    """Mix good, kept, failed, refused and aborted jobs and resets in any order."""
    await mixed.mixtures(dut, pattern)


@cocotb.test()
async def coverage_closed(dut: Any) -> None:
    """Insist that every bin that this configuration can hit was hit above."""
    await jobs.coverage_closed(dut)
