"""Testbench of `dot` and `array`, whose sums are tiles of them; runs inside the simulator."""

from __future__ import annotations

from typing import Any

import cocotb

from amxfp4.verif.sim.cocotb import scenarios, scenarios_products
from amxfp4.verif.sim.cocotb.agents import PAUSES


@cocotb.test()
async def smoke(dut: Any) -> None:
    """One sum of one step at full speed."""
    await scenarios_products.sums(dut, [1])


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Send sums of one step, without a pause on either side."""
    await scenarios_products.sums(dut, [1] * 24)


@cocotb.test()
@cocotb.parametrize(idle=("none", "random"), back_pressure=("none", "random"))
async def last_on_every_beat(dut: Any, idle: str, back_pressure: str) -> None:
    """Send sums of every length from one step on, after longer and after shorter ones."""
    await scenarios_products.every_length(dut, 6, idle, back_pressure)


@cocotb.test()
async def different_depths(dut: Any) -> None:
    """Short and very long sums in turn, under random pauses."""
    await scenarios_products.sums(dut, [1, 33, 1, 2, 17, 1, 1, 40, 3], "random", "bursts")


@cocotb.test()
@cocotb.parametrize(idle=PAUSES, back_pressure=PAUSES)
async def stalls(dut: Any, idle: str, back_pressure: str) -> None:
    """Idle cycles and back-pressure in every combination change timing only."""
    await scenarios.blocks(dut, idle=idle, back_pressure=back_pressure)


@cocotb.test()
async def held_results(dut: Any) -> None:
    """Hold a result back: it waits unchanged while the next sum accumulates."""
    await scenarios_products.held_results(dut)


@cocotb.test()
async def ready_after_valid(dut: Any) -> None:
    """Results reach a sink that raises ready only once valid is up."""
    await scenarios.ready_after_valid(dut)


@cocotb.test()
async def special_blocks(dut: Any) -> None:
    """Every element code under the first, the last and the NaN scales of both operands."""
    await scenarios.special(dut)


@cocotb.test()
async def nan_blocks(dut: Any) -> None:
    """Insist that a NaN block makes its row or column of its own sum NaN, and no other result."""
    await scenarios_products.nan_blocks(dut)


@cocotb.test()
async def zero_blocks(dut: Any) -> None:
    """Zeros of both signs, as whole sums and at every place of other ones."""
    await scenarios_products.zero_blocks(dut)


@cocotb.test()
async def flags(dut: Any) -> None:
    """Check that flags belong to their own sum in fixed mode; in the others there are none."""
    await scenarios_products.flags(dut)


@cocotb.test()
async def reset_in_flight(dut: Any) -> None:
    """Check that sums after a reset at random moments are right, whatever was on its way."""
    await scenarios.reset_in_flight(dut)


@cocotb.test()
async def reset_in_sum(dut: Any) -> None:
    """After a reset at any point of a sum the next one starts clean."""
    await scenarios_products.reset_in_sum(dut)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """One step per K / lanes cycles, and no bubble between sums."""
    await scenarios_products.throughput(dut)


@cocotb.test()
async def latency(dut: Any) -> None:
    """From a sum's last step to its result: the manifest's number."""
    await scenarios_products.latency(dut)


@cocotb.test()
async def coverage_closed(dut: Any) -> None:
    """Every bin that this unit can hit was hit by the tests above."""
    await scenarios.coverage_closed(dut)
