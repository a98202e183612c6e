"""Testbench of the quantizer and both dequantizers; runs inside the simulator."""

from __future__ import annotations

from typing import Any

import cocotb

from amxfp4.verif.sim.cocotb import scenarios
from amxfp4.verif.sim.cocotb.agents import PAUSES


@cocotb.test()
async def smoke(dut: Any) -> None:
    """One random block at full speed."""
    await scenarios.blocks(dut, count=1)


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Random blocks without a pause on either side."""
    await scenarios.blocks(dut)


@cocotb.test()
@cocotb.parametrize(idle=PAUSES, back_pressure=PAUSES)
async def stalls(dut: Any, idle: str, back_pressure: str) -> None:
    """Idle cycles and back-pressure in every combination change timing only."""
    await scenarios.blocks(dut, idle=idle, back_pressure=back_pressure)


@cocotb.test()
async def ready_after_valid(dut: Any) -> None:
    """Results reach a sink that raises ready only once valid is up."""
    await scenarios.ready_after_valid(dut)


@cocotb.test()
async def special_blocks(dut: Any) -> None:
    """Words or scales at their ends, zero to infinity and NaN, and every element code."""
    await scenarios.special(dut)


@cocotb.test()
async def reset_in_flight(dut: Any) -> None:
    """Blocks after a reset at any moment are right, whatever was on its way."""
    await scenarios.reset_in_flight(dut)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """One beat per cycle on the side of the words, block after block."""
    await scenarios.throughput(dut)


@cocotb.test()
async def latency(dut: Any) -> None:
    """From a block's last input beat to its first output beat: the manifest's number."""
    await scenarios.latency(dut)


@cocotb.test()
async def coverage_closed(dut: Any) -> None:
    """Every bin that this unit can hit was hit by the tests above."""
    await scenarios.coverage_closed(dut)
