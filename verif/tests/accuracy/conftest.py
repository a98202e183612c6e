"""What the tests of runs and of the command share."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amxfp4.accuracy import runs
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.quantized import Row
from amxfp4.verif.tests.accuracy import tiny


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measure in this process; return the labels of what was measured, as they come."""
    measured: list[str] = []

    @contextlib.contextmanager
    def working(_: int) -> Iterator[Any]:
        def submit(measure: Any, path: Path, subject: Any, row: Row, held: Any) -> Any:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            measured.append(row.label)
            future.set_result(measure(path, subject, row, held))
            return future

        yield submit

    monkeypatch.setattr(runs, "_working", working)
    monkeypatch.setattr(runs, "_loaded", load)
    monkeypatch.setattr(runs, "calibration", lambda _: tiny.windows())
    return measured
