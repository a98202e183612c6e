"""The benchmark runs and judges; its figures are for a quiet machine, not for a test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amxfp4.dev import bench


@pytest.mark.nightly
def test_measure_small() -> None:
    """A small run yields every figure, all of them positive."""
    rows = bench.measure(256, side=1, lanes=4)
    assert len(rows) == 19
    assert all(row.value > 0 for row in rows)
    assert len({row.name for row in rows}) == len(rows)


def test_run_judges(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit that is not kept is shown and is the exit code; the speed alone is not."""
    fast = bench.Row("quantize", 50.0, "M elements/s", 12.0, 40.0)
    small = bench.Row("memory", 2.0, "x input", 2.0, 3.0)
    monkeypatch.setattr(bench, "measure", lambda size: [fast, small])
    assert bench.run() == 0
    assert "MISSED" not in capsys.readouterr().out
    for bad in (replace(fast, judged=50.0), replace(small, judged=3.5)):
        monkeypatch.setattr(bench, "measure", lambda size, bad=bad: [fast, bad])
        assert bench.run() == 1
        assert "MISSED" in capsys.readouterr().out


def test_measure_wrong_size() -> None:
    with pytest.raises(ValueError, match="size must be at least 256, not 8"):
        bench.measure(8)
    with pytest.raises(TypeError, match="size must be an integer, not '4096'"):
        bench.measure("4096")  # type: ignore[arg-type]
