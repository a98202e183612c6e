"""What stands around the engine in the simulator: cocotbext-axi's drivers, and jobs for them.

Runs inside the simulator; all it knows of the engine is its manifest and the register table.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from amxfp4 import golden
from amxfp4.golden.engine import expected, operand_a, operand_b, pack_c
from amxfp4.golden.formats import values, words
from amxfp4.params.engine import RECORDS, EngineConfig
from amxfp4.params.registers import REGISTERS
from amxfp4.verif.sim.cocotb.environment import MANIFEST, REPORT

__all__ = ["OFFSETS", "Bench", "count_transaction", "mask"]

OFFSETS = {register.name: register.offset for register in REGISTERS}
FIELDS = {(r.name, f.name): f for r in REGISTERS for f in r.fields}
FLAGS = ("acc_inexact", "acc_overflow")
"""Names of the bits that do not end a job, as golden orders them."""
_total: dict[str, Any] = {"transactions": 0, "tests": 0, "coverage": {}}


def mask(register: str, *names: str) -> int:
    """Value of a register in which these bits are 1."""
    return sum(1 << FIELDS[register, name].bit for name in names)


def count_transaction() -> None:
    """Add a comparison to the run's report."""
    _total["transactions"] += 1


class Bench:
    """The engine, cocotbext-axi's drivers around it, and jobs."""

    def __init__(self, dut: Any) -> None:
        manifest = json.loads(Path(os.environ[MANIFEST]).read_text())
        self.config = EngineConfig.from_dict(manifest["config"])
        self.dut, self.manifest = dut, manifest
        self.flags, self.withdraws = 0, False
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        self.a, self.b = (
            AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{n}"), dut.clk, dut.rst)
            for n in "ab"
        )
        self.c = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_c"), dut.clk, dut.rst)

    @classmethod
    async def start(cls, dut: Any) -> Bench:
        """Start the clock, and reset."""
        bench = cls(dut)
        Clock(dut.clk, 2, unit="step").start()
        dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        cocotb.start_soon(bench._judge_c())
        return bench

    async def _judge_c(self) -> None:
        """Judge every cycle of C: offers stay until taken, TKEEP is whole but at a packet's end."""
        dut, full = self.dut, (1 << self.config.bytes_c) - 1
        offered = None
        while True:
            await RisingEdge(dut.clk)
            beat = None
            if dut.m_axis_c_tvalid.value and not dut.rst.value:
                signals = (dut.m_axis_c_tdata, dut.m_axis_c_tkeep, dut.m_axis_c_tlast)
                beat = data, keep, last = tuple(int(signal.value) for signal in signals)
                assert keep & (keep + 1) == 0 < keep, f"TKEEP has gaps: {keep:b}"
                assert keep == full or last, f"TKEEP is partial without TLAST: {keep:b}"
                assert data >> 8 * keep.bit_length() == 0, "bytes outside TKEEP"
            withdrawn = offered is not None and beat != offered
            assert not withdrawn or self.withdraws or dut.rst.value, "C was withdrawn"
            offered = None if dut.m_axis_c_tready.value else beat

    async def read(self, register: str) -> int:
        """Read a register."""
        answer = await self.bus.read(OFFSETS[register], 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def errors(self) -> int:
        """Read the errors, without the flags of results."""
        return await self.read("error") & ~mask("error", *FLAGS)

    async def write(self, register: str, value: int) -> None:
        """Write a register."""
        answer = await self.bus.write(OFFSETS[register], value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY

    async def field(self, register: str, field: str) -> int:
        """Read a field."""
        f = FIELDS[register, field]
        return (await self.read(register) >> f.bit) & ((1 << f.width) - 1)

    async def pulse(self, *names: str, register: str = "control") -> None:
        """Write 1 to fields."""
        # Only a soft reset withdraws what C offers.
        self.withdraws = "soft_reset" in names
        await self.write(register, mask(register, *names))
        self.withdraws = False

    async def cycles(self, count: int) -> None:
        """Let `count` cycles pass."""
        for _ in range(count):
            await RisingEdge(self.dut.clk)

    def stall(self, share: float) -> None:
        """Pause the streams, and the channels of the bus, at random."""
        write, read = self.bus.write_if, self.bus.read_if
        channels = (
            write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel
        )  # fmt: skip
        for one in (self.a, self.b, self.c, *channels):
            one.set_pause_generator(self._pauses(share) if share else itertools.repeat(False))

    def _pauses(self, share: float):
        while True:
            yield bool(self.rng.random() < share)

    def operands(self, m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Make random matrices of words the engine takes, some of them large."""
        a, b = (
            self.rng.standard_normal(s) * 2.0 ** self.rng.integers(-3, 4, s)
            for s in ((m, k), (k, n))
        )
        word = self.config.input if self.config.input != RECORDS else "fp32"
        return values(words(a.astype(np.float32), word), word).reshape(m, k), b.astype(np.float32)

    def streams(self, a: np.ndarray, b: np.ndarray) -> tuple[bytes, bytes, bytes]:
        """Bytes of A, of a pass of B, and of C as it must be."""
        config = self.config
        qa, raw_a = operand_a(config, a)
        qb = operand_b(config, b)
        c, names = expected(config, qa, qb)
        self.flags = mask("error", *names)
        return raw_a, golden.pack(qb).tobytes(), pack_c(config, c)

    def load_a(self, blocks: int) -> float:
        """Cycles that a row tile of A takes to load."""
        config, row = self.config, self.config.rows_ab[0]
        if config.quantizer is None:
            return config.rows * blocks * max(1, row.record_bytes / config.bytes_a)
        return config.rows * blocks * config.quantizer.beats

    def row_tile(self, blocks: int, col_tiles: int) -> float:
        """Cycles of a row tile while the streams keep up (docs/engine.md, Throughput)."""
        config = self.config
        words_c = config.bytes_c * 8 // config.word.width
        tile = max(
            blocks * config.beats,
            config.cols * blocks * max(1, config.rows_ab[1].record_bytes / config.bytes_b),
            config.rows * -(-config.cols // min(config.cols, words_c)),
        )
        c = 0.0
        if config.row_c is not None:
            record = max(config.block / config.cols, config.row_c.record_bytes / config.bytes_c)
            c = config.rows * -(-col_tiles * config.cols // config.block) * record
        return max(col_tiles * tile, self.load_a(blocks), c)

    async def begin(self, m: int, n: int, k: int, job: int = 0) -> None:
        """Write a job's registers and start it."""
        for name, value in (("m", m), ("n", n), ("k", k), ("job", job)):
            await self.write(name, value)
        await self.pulse("start")

    async def product(self, m: int, n: int, k: int, *, keep: bool = False) -> None:
        """Run one job and compare every byte."""
        a, b = self.operands(m, n, k)
        raw_a, raw_b, expected = self.streams(a, b)
        await self.a.send(AxiStreamFrame(raw_a))
        for _ in range(1 if keep else -(-m // self.config.rows)):
            await self.b.send(AxiStreamFrame(raw_b))
        await self.write("error", 0xFFF)
        await self.write("interrupt_status", 7)
        await self.begin(m, n, k, int(keep))
        await self.result(expected)
        assert await self.read("error") == self.flags
        assert bool(await self.field("interrupt_status", "flags")) == (self.flags != 0)
        assert await self.field("status", "idle")
        assert await self.field("status", "done")

    async def result(self, expected: bytes) -> None:
        """Wait for C's packet and compare it."""
        frame = await with_timeout(self.c.recv(), 2_000_000, "step")
        got = bytes(frame.tdata)
        assert len(got) == len(expected), (len(got), len(expected))
        wrong = [n for n in range(len(got)) if got[n] != expected[n]]
        assert not wrong, f"{len(wrong)} bytes differ, the first at {wrong[0]}"
        count_transaction()

    def finish(self) -> None:
        """Add this test to the run's report."""
        _total["tests"] += 1
        Path(os.environ[REPORT]).write_text(json.dumps(_total))
