"""Boards to test the host program on: models, which are fast and can misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amxfp4.host import Engine
from amxfp4.host.link.serial_line import SerialLine
from amxfp4.params.engine import EngineConfig
from amxfp4.verif.sim.line.model_bridge import ModelBridge, ModelWire
from amxfp4.verif.tests.host.terminal import serve  # noqa: F401  (a fixture)

SMALL: dict[str, Any] = {
    "rows": 2, "cols": 2, "lanes": 8, "depth_a": 4, "depth_b": 4, "block": 16,
}  # fmt: skip
"""An engine in which everything has an edge close by."""


@pytest.fixture
def bridge() -> ModelBridge:
    """Make a model of a bridge with a small engine."""
    return ModelBridge(EngineConfig(**SMALL))


@pytest.fixture
def connect() -> Callable[..., Engine]:
    """Connect an engine of the host program to a model."""

    def connected(bridge: ModelBridge, *, attempts: int = 10, **wire: Any) -> Engine:
        line = SerialLine(
            ModelWire(bridge.feed, **wire), baud=1_000_000, attempts=attempts, latency=0.01
        )
        line.timeout = 0.05
        return Engine(line)

    return connected
