"""What stands at a stream in the simulator: a source, a sink, and monitors that judge it.

Payloads are Python integers, whole words: slicing a wide signal costs more than simulating it.
Values read after a rising edge are those from before it, which is what a register would see.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

__all__ = ["PAUSES", "ContractError", "StreamMonitor", "StreamSink", "StreamSource", "pauses"]


class ContractError(AssertionError):
    """The stream contract is broken: valid or payload moved before the transfer."""


PAUSES = ("none", "cycle", "random", "bursts")
"""Names of the patterns of pauses: idle cycles of a source, back-pressure of a sink."""


def pauses(name: str, rng: np.random.Generator) -> Iterator[bool]:
    """Endless pattern of pauses, True for a cycle without offer (or without ready).

    Raises
    ------
    ValueError
        `name` is not one of `PAUSES`.
    """
    if name == "none":
        return itertools.repeat(False)
    if name == "cycle":
        return itertools.cycle([True, True, True, False])
    if name == "random":
        return (bool(rng.random() < 0.5) for _ in itertools.count())
    if name == "bursts":

        def bursts() -> Iterator[bool]:
            while True:
                yield from [True] * int(rng.integers(1, 20))
                yield from [False] * int(rng.integers(1, 20))

        return bursts()
    raise ValueError(f"pauses must be one of {', '.join(PAUSES)}, not {name!r}")


class _Agent:
    """Handles of one stream, and a task that runs as long as the test."""

    def __init__(self, dut: Any, name: str) -> None:
        self.name = name
        self.clk = dut.clk
        self.rst = dut.rst
        self.payload = getattr(dut, f"{name}__payload")
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")

    def start(self) -> None:
        """Begin; once per test."""
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        raise NotImplementedError


class StreamSource(_Agent):
    """Offers queued payloads in order; an offer stays until it is taken."""

    def __init__(self, dut: Any, name: str) -> None:
        super().__init__(dut, name)
        self.queue: deque[int] = deque()
        self.pause: Iterator[bool] = itertools.repeat(False)
        self._flush = False
        self.valid.value = 0

    def send(self, payloads: list[int]) -> None:
        """Queue payloads."""
        self.queue.extend(payloads)

    def flush(self) -> None:
        """Forget what is queued and withdraw the offer; legal only under reset."""
        self.queue.clear()
        self._flush = True

    async def _run(self) -> None:
        edge = RisingEdge(self.clk)
        offering = False
        while True:
            await edge
            if self._flush:
                offering, self._flush = False, False
            elif offering and int(self.ready.value) and not int(self.rst.value):
                self.queue.popleft()
                offering = False
            if not offering and not next(self.pause) and self.queue:
                self.payload.value = self.queue[0]
                offering = True
            self.valid.value = int(offering)


class StreamSink(_Agent):
    """Takes payloads, with pauses.

    With `after_valid` it only ever answers an offer, so a unit that waits for ready before it
    raises valid never gets anywhere.
    """

    def __init__(self, dut: Any, name: str) -> None:
        super().__init__(dut, name)
        self.pause: Iterator[bool] = itertools.repeat(False)
        self.after_valid = False
        self.ready.value = 0

    async def _run(self) -> None:
        edge = RisingEdge(self.clk)
        ready = 0
        while True:
            await edge
            pausing = next(self.pause)
            if self.after_valid:
                ready = int(not ready and int(self.valid.value) and not pausing)
            else:
                ready = int(not pausing)
            self.ready.value = ready


class StreamMonitor(_Agent):
    """Records every transfer with its cycle, and checks the contract in every cycle.

    Parameters
    ----------
    dut, name
        The unit and the prefix of its stream.
    produced
        Whether the unit drives the stream: then it must also be quiet after a reset.
    report
        Called with the payload of every transfer.
    """

    def __init__(
        self, dut: Any, name: str, *, produced: bool, report: Callable[[int], None]
    ) -> None:
        super().__init__(dut, name)
        self._produced = produced
        self._report = report
        self.cycles: list[int] = []
        """Cycle of every transfer; all monitors of a test count alike."""
        self.idle = 0
        """Cycles without an offer."""
        self.stalled = 0
        """Cycles with an offer that was not taken."""

    async def _run(self) -> None:
        edge = RisingEdge(self.clk)
        held: int | None = None
        after_reset = False
        for cycle in itertools.count():
            await edge
            if int(self.rst.value):
                held, after_reset = None, True
                continue
            if not int(self.valid.value):
                if held is not None:
                    raise ContractError(f"{self.name}__valid fell before the transfer, {cycle=}")
                self.idle += 1
                after_reset = False
                continue
            if after_reset and self._produced:
                raise ContractError(f"{self.name}__valid is up after a reset, {cycle=}")
            after_reset = False
            payload = int(self.payload.value)
            if held is not None and payload != held:
                raise ContractError(f"{self.name}__payload changed before the transfer, {cycle=}")
            if int(self.ready.value):
                held = None
                self.cycles.append(cycle)
                self._report(payload)
            else:
                held = payload
                self.stalled += 1
