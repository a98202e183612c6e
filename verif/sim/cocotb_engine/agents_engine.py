"""What stands at the engine's buses: cocotbext-axi's drivers, and a watcher that judges them.

What offers, takes and pauses is cocotbext-axi's, none of it ours. The watcher drives nothing.
"""

from __future__ import annotations

import itertools
import logging
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from cocotbext.axi.axil_channels import AxiLiteAWTransaction, AxiLiteWTransaction

from amxfp4.verif.sim.cocotb.agents import ContractError, pauses

__all__ = ["Crossing", "Drivers", "Watcher", "packet", "set_pause"]

STREAMS = {"a": "s_axis_a", "b": "s_axis_b", "c": "m_axis_c"}


def set_pause(driver: Any, pattern: str, rng: np.random.Generator) -> None:
    """Give a driver of cocotbext-axi one of the patterns of `agents.PAUSES`."""
    driver.set_pause_generator(None if pattern == "none" else pauses(pattern, rng))
    driver.pause = False


def packet(raw: bytes, keep: list[int] | None = None) -> AxiStreamFrame:
    """Make a packet; `keep` has TKEEP's bit of every byte."""
    return AxiStreamFrame(bytearray(raw), keep)


class Drivers:
    """The drivers around one engine."""

    def __init__(self, dut: Any) -> None:
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        self.a, self.b = (
            AxiStreamSource(AxiStreamBus.from_prefix(dut, STREAMS[n]), dut.clk, dut.rst)
            for n in "ab"
        )
        self.c = AxiStreamSink(AxiStreamBus.from_prefix(dut, STREAMS["c"]), dut.clk, dut.rst)
        write, read = self.bus.write_if, self.bus.read_if
        self.channels = {
            "aw": write.aw_channel, "w": write.w_channel, "b": write.b_channel,
            "ar": read.ar_channel, "r": read.r_channel,
        }  # fmt: skip

    async def write(self, address: int, data: int, strobes: int) -> int:
        """Write with any byte strobes, straight into the channels; return the response.

        AxiLiteMaster makes strobes from addresses, so that one byte alone is never at a multiple
        of four.
        """
        await self.channels["aw"].send(AxiLiteAWTransaction(awaddr=address, awprot=0))
        await self.channels["w"].send(AxiLiteWTransaction(wdata=data, wstrb=strobes))
        # Long enough for any pauses, at any period of the clock.
        answer = await with_timeout(self.channels["b"].recv(), 16_000, "step")
        return int(answer.bresp)

    def halt_streams(self) -> None:
        """Forget what is queued and withdraw offers, as DMA engines do when they are reset."""
        for driver in (self.a, self.b, self.c):
            driver.clear()
            driver.assert_reset(True)

    def release_streams(self) -> None:
        """Let the stream drivers work again."""
        for driver in (self.a, self.b, self.c):
            driver.clear()
            driver.assert_reset(False)


class Watcher:
    """Sees every cycle: counts, and insists on what AXI and the document ask of the engine.

    Members
    -------
    cycle : cycles since the beginning
    taken, offered, idle : cycles by stream and control channel: transfers, offers that waited, none
    last : cycle of the last transfer with TLAST, by stream
    open : whether the last beat taken had no TLAST, by stream
    irq_rises : how often `irq` rose
    excused : C may be withdrawn: soft reset is on its way
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        names = {name: f"{prefix}_t" for name, prefix in STREAMS.items()}
        names |= {"write response": "s_axi_b", "read data": "s_axi_r"}
        self._pairs = {
            name: (getattr(dut, f"{p}valid"), getattr(dut, f"{p}ready"))
            for name, p in names.items()
        }
        self.cycle = 0
        self.taken = dict.fromkeys(names, 0)
        self.offered = dict.fromkeys(names, 0)
        self.idle = dict.fromkeys(names, 0)
        self.last = dict.fromkeys(STREAMS, -1)
        self.open = dict.fromkeys("ab", False)
        self.first_c = -1
        """Cycle in which the newest beat of C was offered first."""
        self.last_offer = -1
        """Cycle in which the last beat of C was offered first."""
        self.irq_rises = 0
        self.excused = False
        self._held: dict[str, Any] = {}

    def start(self) -> None:
        """Begin; once per test."""
        cocotb.start_soon(self._run())

    def _payload(self, name: str) -> Any:
        dut = self.dut
        if name == "c":
            return (
                int(dut.m_axis_c_tdata.value), int(dut.m_axis_c_tkeep.value),
                int(dut.m_axis_c_tlast.value),
            )  # fmt: skip
        if name == "read data":
            return int(dut.s_axi_rdata.value), int(dut.s_axi_rresp.value)
        return int(dut.s_axi_bresp.value)

    def _check_c(self, data: int, keep: int, last: int) -> None:
        lanes = len(self.dut.m_axis_c_tkeep)
        kept = keep.bit_length()
        if keep != (1 << kept) - 1 or not kept or (kept < lanes and not last):
            raise ContractError(f"m_axis_c_tkeep must not be {keep:#x} with tlast {last}")
        if data >> 8 * kept:
            raise ContractError(f"m_axis_c_tdata must be 0 outside tkeep {keep:#x}: {data:#x}")

    async def _run(self) -> None:
        dut, edge, irq, after_reset = self.dut, RisingEdge(self.dut.clk), 0, False
        while True:
            await edge
            self.cycle += 1
            if int(dut.rst.value):
                self._held.clear()
                self.open = dict.fromkeys("ab", False)
                after_reset, irq = True, 0
                continue
            for name, (valid, ready) in self._pairs.items():
                if int(valid.value):
                    self._offer(name, bool(int(ready.value)), after_reset)
                else:
                    self._no_offer(name)
            was, irq = irq, int(dut.irq.value)
            self.irq_rises += irq > was
            if after_reset and irq:
                raise ContractError("irq is up after a reset")
            after_reset = False

    def _offer(self, name: str, ready: bool, after_reset: bool) -> None:
        if name in ("a", "b"):
            if ready:
                last = int(getattr(self.dut, f"{STREAMS[name]}_tlast").value)
                self.last[name] = self.cycle if last else self.last[name]
                self.open[name] = not last
        else:
            if after_reset:
                raise ContractError(f"{name}: valid is up after a reset")
            payload = self._payload(name)
            held = self._held.get(name)
            if held is None and name == "c":
                self.first_c = self.cycle
                self.last_offer = self.cycle if payload[2] else self.last_offer
                self._check_c(*payload)
            elif held is not None and payload != held and not (self.excused and name == "c"):
                raise ContractError(f"{name}: payload changed before the transfer")
            self._held[name] = payload
            if ready:
                if name == "c" and payload[2]:
                    self.last["c"] = self.cycle
                del self._held[name]
        self.taken[name] += ready
        self.offered[name] += not ready

    def _no_offer(self, name: str) -> None:
        if self._held.pop(name, None) is not None and not (self.excused and name == "c"):
            raise ContractError(f"{name}: valid fell before the transfer")
        self.idle[name] += 1


class Crossing:
    """Changes an input of a stream behind the falling edge and puts it back before the rising one.

    What it drives never meets a rising edge. The clock's period must be 8 steps or more.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.tried = 0
        self._pairs = [
            (dut.s_axis_a_tvalid, (dut.s_axis_a_tready,)),
            (dut.s_axis_b_tvalid, (dut.s_axis_b_tready,)),
            (dut.m_axis_c_tready, (dut.m_axis_c_tvalid, dut.m_axis_c_tdata, dut.m_axis_c_tlast)),
        ]

    def start(self) -> None:
        """Begin; once per test."""
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        for changed, outputs in itertools.cycle(self._pairs):
            await FallingEdge(self.dut.clk)
            if int(self.dut.rst.value):
                continue
            old, before = int(changed.value), [int(o.value) for o in outputs]
            changed.value = 1 - old
            await ReadOnly()
            moved = [o._name for o, b in zip(outputs, before, strict=True) if int(o.value) != b]
            await Timer(1, "step")
            changed.value = old
            self.tried += 1
            if moved:
                raise ContractError(f"{moved[0]} must not depend on {changed._name} at once")
