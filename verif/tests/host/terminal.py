"""Boards at a pseudo-terminal, served by a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.line.board import Board
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import ModelBridge

__all__ = ["ModelDut", "Served", "Unplugged", "serve"]


class Unplugged(Exception):
    """Raised by a unit to end its board and the terminal."""


class ModelDut:
    """A model of the bridge in the place of a compiled unit.

    Parameters
    ----------
    config
        Of the unit.
    answers
        Calls after which the cable is pulled.
    """

    def __init__(self, config: EngineUartConfig, *, answers: int | None = None) -> None:
        self.config, self._left = config, answers
        self._bridge = ModelBridge(config, payload=config.payload, clock=config.clock)

    def run(self, data: bytes, **_: Any) -> bytes:
        """Answer at once."""
        if data and self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Unplugged
        return self._bridge.feed(data)


class Served:
    """A board at a pseudo-terminal until `close`."""

    def __init__(self, dut: LineDut | ModelDut, **options: Any) -> None:
        self.board, self._stop = Board(cast(LineDut, dut), **options), threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self.board.serve(lambda: not self._stop.is_set())
        except Unplugged:
            pass
        finally:
            self.board.close()

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve boards at pseudo-terminals until the test ends."""
    served: list[Served] = []

    def start(dut: LineDut | ModelDut, **options: Any) -> Served:
        served.append(Served(dut, **options))
        return served[-1]

    yield start
    for one in served:
        one.close()
