"""A testbench: the unit, its agents, the scoreboard, and what every test does with them.

Runs inside the simulator. All it knows of the unit is the manifest beside the Verilog.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from amxfp4.params.units import UNITS
from amxfp4.verif.sim.cocotb import coverage
from amxfp4.verif.sim.cocotb.agents import StreamMonitor, StreamSink, StreamSource, pauses
from amxfp4.verif.sim.cocotb.models import DequantizerModel, Model, QuantizerModel
from amxfp4.verif.sim.cocotb.models_products import ProductModel
from amxfp4.verif.sim.cocotb.scoreboard import Scoreboard

__all__ = ["BUGS", "JOBS", "MANIFEST", "REPORT", "Bench", "Environment"]

MANIFEST = "AMXFP4_MANIFEST"
"""Environment variable: path of the unit's manifest."""
REPORT = "AMXFP4_REPORT"
"""Environment variable: path that counts and coverage of the run are written to."""
JOBS = "AMXFP4_JOBS"
"""Environment variable: random jobs of a test of an engine."""
BUGS = "AMXFP4_BUGS"
"""Environment variable: the unit, and planted bugs with the test that runs while each is awake."""

_STUCK_AFTER = 2_000
"""Cycles without any transfer that mean the unit is stuck; pauses are far shorter."""

_MODELS: dict[str, Callable[[Any], Model]] = {
    "quantizer": QuantizerModel,
    "dequantizer": DequantizerModel,
    "weight_dequantizer": DequantizerModel,
    "dot": ProductModel,
    "array": ProductModel,
}

_total: dict[str, Any] = {"transactions": 0, "tests": 0, "coverage": {}}


class Bench:
    """What surrounds a unit of any kind: what it is, its clock, and the run's report.

    Members
    -------
    dut : the simulator's handle of the unit
    manifest, config : what the unit is
    rng : seeded by the run's seed and the test's name
    coverage : of this test so far
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.manifest = json.loads(Path(os.environ[MANIFEST]).read_text())
        self.config: Any = UNITS[self.manifest["unit"]].from_dict(self.manifest["config"])
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.coverage: coverage.Counts = {}

    async def cycles(self, count: int) -> None:
        """Let `count` cycles pass."""
        edge = RisingEdge(self.dut.clk)
        for _ in range(count):
            await edge

    def report(self, compared: int, streams: Iterable[tuple[str, int, int, int]]) -> None:
        """Add this test to the run's report; of each stream, what `coverage.handshake` takes."""
        for stream in streams:
            coverage.merge(self.coverage, coverage.handshake(*stream))
        coverage.merge(_total["coverage"], self.coverage)
        _total["transactions"] += compared
        _total["tests"] += 1
        Path(os.environ[REPORT]).write_text(json.dumps(_total, indent=1))

    @staticmethod
    def insist_on_coverage() -> None:
        """Insist that the finished tests of this run left no hole.

        Raises
        ------
        AssertionError
            They did.
        """
        missed = coverage.holes(_total["coverage"])
        if missed:
            raise AssertionError(f"coverage must have no holes, not {', '.join(missed)}")


class Environment(Bench):
    """Everything around the unit, reset and ready.

    Parameters
    ----------
    dut
        The simulator's handle of the unit.

    Members
    -------
    model : what the unit does
    source, sink, i, o, scoreboard : what surrounds it; `i` and `o` are the monitors
    """

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.model: Model = _MODELS[self.manifest["unit"]](self.config)
        self.scoreboard = Scoreboard(
            self._golden, unit=self.model.unit, results=self.model.beats_out
        )
        self.source = StreamSource(dut, "i")
        self.sink = StreamSink(dut, "o")
        self.i = StreamMonitor(dut, "i", produced=False, report=self.scoreboard.sent.append)
        self.o = StreamMonitor(dut, "o", produced=True, report=self.scoreboard.received.append)

    @classmethod
    async def start(cls, dut: Any) -> Environment:
        """Build, start the clock and every agent, and reset the unit."""
        env = cls(dut)
        Clock(dut.clk, 2, unit="step").start()
        for agent in (env.i, env.o, env.source, env.sink):
            agent.start()
        await env.reset()
        return env

    def _golden(self, sent: list[int]) -> list[int]:
        expected = self.model.expected(sent)
        coverage.merge(self.coverage, self.model.cover(sent, expected))
        return expected

    async def reset(self) -> None:
        """Reset for one cycle; what was on its way is forgotten on both sides."""
        self.dut.rst.value = 1
        self.source.flush()
        await self.cycles(2)
        self.scoreboard.flush()
        self.dut.rst.value = 0
        await self.cycles(1)

    def pause(self, source: str, sink: str) -> None:
        """Choose the patterns of idle cycles and of back-pressure by name."""
        self.source.pause = pauses(source, self.rng)
        self.sink.pause = pauses(sink, self.rng)

    def blocks(self, beats: int) -> int:
        """Blocks that keep the unit busy for about `beats` cycles, at least 4."""
        return max(4, beats // int(self.manifest["cycles_per_block"]))

    async def drain(self) -> None:
        """Wait until everything queued has entered and everything due has left.

        Raises
        ------
        TimeoutError
            Nothing has moved for a long time.
        """
        edge = RisingEdge(self.dut.clk)
        board, idle, seen = self.scoreboard, 0, -1
        while self.source.queue or len(board.received) < board.due:
            await edge
            moved = len(board.sent) + len(board.received)
            idle, seen = (0 if moved != seen else idle + 1), moved
            if idle > _STUCK_AFTER:
                raise TimeoutError(
                    f"the unit must not be stuck: {len(board.sent)} beats in, "
                    f"{len(board.received)} of {board.due} out"
                )
        # Whatever still comes out now is surplus, and finish() counts it.
        await self.cycles(2 * int(self.manifest["latency"]) + 8)

    async def finish(self) -> None:
        """Drain, compare everything, and add this test to the run's report."""
        await self.drain()
        compared = self.scoreboard.finish()
        sides = (("i", self.i), ("o", self.o))
        self.report(compared, [(n, m.idle, m.stalled, len(m.cycles)) for n, m in sides])
