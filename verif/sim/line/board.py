"""A simulated board: the Verilated unit behind a pseudo-terminal, with noise if wanted."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import tty
from collections.abc import Callable

from amxfp4.verif.sim.line.line import QUIET, LineDut
from amxfp4.verif.sim.line.model_bridge import Noise

__all__ = ["Board"]

_PIECE = 2000
"""Cycles that are simulated before the terminal is looked at again."""


class Board:
    """The unit and a pseudo-terminal that leads to it.

    Any program can open `path` as a serial port, at any bit rate. While the line is idle, the clock
    of the unit stands still.

    Parameters
    ----------
    dut
        The unit.
    noise
        Chance of a byte, in either direction, to have a bit flipped, be lost or be doubled.
    seed
        Of the noise.
    """

    def __init__(self, dut: LineDut, *, noise: float = 0.0, seed: int = 1) -> None:
        self._dut = dut
        self._noise = [Noise(noise, 2 * seed), Noise(noise, 2 * seed + 1)]
        # The other end stays open here, so that the terminal outlives the programs that open it.
        self._own, self._other = pty.openpty()
        os.set_blocking(self._own, False)
        tty.setraw(self._other)
        self.path = os.ttyname(self._other)

    @property
    def damaged(self) -> int:
        """Bytes that noise has changed."""
        return sum(noise.count for noise in self._noise)

    def serve(self, running: Callable[[], bool] = lambda: True) -> None:
        """Answer until `running` returns false; it is called ten times a second."""
        bit, idle = self._dut.config.divisor, QUIET
        while running():
            # A frame may arrive in pieces: go on as long as an answer may come.
            ready, _, _ = select.select([self._own], [], [], 0 if idle < QUIET else 0.1)
            data = os.read(self._own, 1 << 16) if ready else b""
            if not data and idle >= QUIET:
                continue
            data = self._noise[0](data)
            cycles = int(11 * bit * len(data)) + _PIECE
            answer = self._dut.run(data, cycles=cycles, frame=True)
            idle = 0 if data else idle + _PIECE
            if answer:
                self._write(self._noise[1](answer), running)
                idle = 0

    def _write(self, data: bytes, running: Callable[[], bool]) -> None:
        """Write all of it, unless nobody reads until `running` returns false."""
        while data and running():
            if select.select([], [self._own], [], 0.1)[1]:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._own, data) :]

    def close(self) -> None:
        """Close the pseudo-terminal."""
        os.close(self._own)
        os.close(self._other)
