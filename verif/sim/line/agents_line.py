"""A serial line to `engine_uart` in the simulator, for the checks at the pins.

They are ordinary functions: cocotb runs one in a thread, and simulated time passes only while it
waits in `run`, `reset` or `hold`. What it talks to looks like `line.LineDut`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.task import resume
from cocotb.triggers import Event, FallingEdge, First, RisingEdge, Timer, ValueChange

from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.cocotb.environment import MANIFEST
from amxfp4.verif.sim.line.line import LEDS, QUIET, LineError

__all__ = ["SimulatedLine"]

_PERIOD = 2
_END = 0xC0


def _now() -> int:
    """Cycles since the beginning."""
    return int(get_sim_time("step")) // _PERIOD


async def _cycles(count: int) -> None:
    await Timer(count * _PERIOD, "step")


class SimulatedLine:
    """The host's end of the line; the members are those of `LineDut`."""

    def __init__(self, dut: Any) -> None:
        manifest = json.loads(Path(os.environ[MANIFEST]).read_text())
        self.config = EngineUartConfig.from_dict(manifest["config"])
        self.dut = dut
        self.leds = self.seen = self.answers = 0
        self._leds = [getattr(dut, f"led_{name}") for name in LEDS]
        self._arrived = bytearray()
        self._violations = 0
        self._begun = -1
        """Cycle in which the byte on tx began that has not ended; -1: there is none."""
        self._moved = Event()
        dut.rx.value = 1
        dut.rst.value = 1
        Clock(dut.clk, _PERIOD, unit="step").start()
        self._listener = cocotb.start_soon(self._listen())
        cocotb.start_soon(self._measure())
        for number, led in enumerate(self._leds):
            cocotb.start_soon(self._watch(number, led))

    @property
    def cycles(self) -> int:
        """Cycles since the beginning."""
        return _now()

    async def _watch(self, number: int, led: Any) -> None:
        while True:
            await RisingEdge(led)
            self.seen |= 1 << number

    async def _measure(self) -> None:
        """Insist that tx changes between bits only."""
        while True:
            await ValueChange(self.dut.tx)
            if self._begun >= 0 and (_now() - self._begun) % self.config.divisor:
                self._violations += 1

    async def _listen(self) -> None:
        """Take each bit of tx in its middle."""
        bit, tx = self.config.divisor, self.dut.tx
        while True:
            await FallingEdge(tx)
            self._begun = _now()
            self._moved.set()
            await _cycles(bit // 2)
            bits = int(tx.value)
            for n in range(1, 10):
                await _cycles(bit)
                bits |= int(tx.value) << n
            # The next byte may begin with the very end of this one.
            await _cycles(bit - bit // 2 - 1)
            self._violations += bits & 1 or not bits >> 9
            self._arrived.append(bits >> 1 & 0xFF)
            self._begun = -1
            self._moved.set()

    async def _send(self, data: bytes) -> None:
        for byte in data:
            for n in range(10):
                self.dut.rx.value = (byte << 1 | 1 << 9) >> n & 1
                await _cycles(self.config.divisor)
        self._moved.set()

    async def _hold(self, signal: str, level: int, cycles: int) -> None:
        handle = getattr(self.dut, signal)
        handle.value = level
        await _cycles(cycles)
        handle.value = int(signal == "rx")
        # A byte in flight is lost.
        self._listener.cancel()
        self._listener, self._begun = cocotb.start_soon(self._listen()), -1

    def reset(self, cycles: int = 2) -> None:
        """Hold ``rst`` for some cycles."""
        resume(self._hold)("rst", 1, cycles)

    def hold(self, level: int, cycles: int) -> None:
        """Hold ``rx`` at a level for some cycles; what the unit sends meanwhile is not heard."""
        resume(self._hold)("rx", level, cycles)

    def ask(self, data: bytes) -> bytes:
        """Send bytes, and return what comes until a frame has ended, or all is quiet."""
        return self.run(data, frame=True)

    def run(
        self, data: bytes = b"", *, cycles: int = 1 << 40, quiet: int = QUIET, frame: bool = False
    ) -> bytes:
        """Send bytes, one right behind the other, and return what comes until all is quiet."""
        answer: bytes = resume(self._run)(data, cycles, quiet, frame)
        self.answers += bool(answer)
        return answer

    async def _run(self, data: bytes, cycles: int, quiet: int, frame: bool) -> bytes:
        end, self.seen, self._violations = _now() + cycles, 0, 0
        self._arrived.clear()
        sender = cocotb.start_soon(self._send(data))
        while (now := _now()) < end:
            is_still = sender.done() and self._begun < 0
            framed = self._arrived.count(_END) > 1 and self._arrived[-1] == _END
            if is_still and frame and framed:
                break
            self._moved.clear()
            timeout = Timer(min(quiet if is_still else 1 << 40, end - now) * _PERIOD, "step")
            if await First(timeout, self._moved.wait()) is timeout and is_still:
                break
        sender.cancel()
        self.dut.rx.value = 1
        self.leds = sum(int(led.value) << number for number, led in enumerate(self._leds))
        self.seen |= self.leds
        if self._violations:
            raise LineError(
                f"{self._violations} bits on tx must have {self.config.divisor} cycles, and a "
                f"stop bit be 1, until cycle {_now()}"
            )
        return bytes(self._arrived)
