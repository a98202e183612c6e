"""Rows that are kept as they are done, found again, and summarized."""

from __future__ import annotations

import csv
import functools
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import runs
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.measures import Measured
from amxfp4.accuracy.quantized import FP32, Row, quantizer, rows_of
from amxfp4.accuracy.results.statistics import difference
from amxfp4.accuracy.results.store import Store
from amxfp4.accuracy.results.summaries import Result, of_text
from amxfp4.commands.language import measure
from amxfp4.util.errors import ToolError
from amxfp4.verif.tests.accuracy import tiny
from amxfp4.verif.tests.accuracy.tiny import losses

WINDOWS = tiny.windows(1, 24)
ROWS = rows_of(["mxfp4"], ["weights"])


def test_rows_in_processes(tmp_path: Path) -> None:
    """Two processes measure what this one does, in the order of the rows, and leave no trace."""
    path = tiny.write(tmp_path)
    before = dict(os.environ)
    results = runs.run(path, WINDOWS, ROWS, Store(tmp_path / "out"), "random", jobs=2)
    assert dict(os.environ) == before
    assert [result.row for result in results] == ROWS
    model = load(path)
    for result in results:
        row = result.row
        wanted = losses(model, WINDOWS, quantizer(row), perturbation=row.perturbation)
        np.testing.assert_allclose(result.losses, wanted[0], rtol=0, atol=1e-4)
    assert results[0].about["tokens"] == results[0].about["window"] == 24


@pytest.mark.nightly  # a worker of Dask starts for seconds
def test_rows_on_workers_of_a_scheduler(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="pip install 'amxfp4[synth]'")
    path = tiny.write(tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        measure._submit(cluster.scheduler_address) as submit,
    ):
        there = runs.run(path, WINDOWS, ROWS, Store(tmp_path / "a"), "random", submit=submit)
    here = runs.run(path, WINDOWS, ROWS, Store(tmp_path / "b"), "random", jobs=1)
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a.losses, b.losses, rtol=0, atol=1e-4)


def test_second_run_fills_gaps(tmp_path: Path, here: list[str]) -> None:
    path, store = tiny.write(tmp_path), Store(tmp_path / "out")
    first = runs.run(path, WINDOWS, ROWS[:3], store, "random")
    assert here == [row.label for row in ROWS[:3]]
    here.clear()
    second = runs.run(path, WINDOWS, ROWS, store, "random")
    assert here == [row.label for row in ROWS[3:]]
    for a, b in zip(first, second, strict=False):
        assert np.array_equal(a.losses, b.losses)
    here.clear()
    runs.run(path, WINDOWS, ROWS[:1], store, "random", again=True)
    assert here == ["FP32"]


@pytest.mark.parametrize("change", ["model", "text", "window", "options"])
def test_other_figures_are_measured_anew(change: str, tmp_path: Path, here: list[str]) -> None:
    path, store = tiny.write(tmp_path), Store(tmp_path / "out")
    rows = [Row(label="x", format="mxfp4", mode="weights")]
    runs.run(path, WINDOWS, rows, store, "random")
    windows = WINDOWS
    if change == "model":
        path = tiny.write(tmp_path, head=True)
    elif change == "text":
        windows = (WINDOWS + 1) % tiny.VOCABULARY
    elif change == "window":
        windows = WINDOWS[:, :17]
    else:
        rows = [Row(label="x", format="mxfp4", options={"block": 64}, mode="weights")]
    runs.run(path, windows, rows, store, "random")
    assert here == ["x", "x"]


def test_label_is_not_what_decides(tmp_path: Path, here: list[str]) -> None:
    path, store = tiny.write(tmp_path), Store(tmp_path / "out")
    runs.run(path, WINDOWS, [FP32], store, "random")
    (found,) = runs.run(path, WINDOWS, [Row(label="other")], store, "random")
    assert (here, found.row.label) == (["FP32"], "other")


def test_interrupt_keeps_what_is_done(tmp_path: Path, here: list[str]) -> None:
    path, store = tiny.write(tmp_path), Store(tmp_path / "out")

    def told(_: Result, done: int, of: int) -> None:
        assert of == len(ROWS)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.run(path, WINDOWS, ROWS, store, "random", told=told)
    assert len(store.all()) == 2
    assert len(json.loads((store.folder / "accuracy.json").read_text())) == 2
    here.clear()
    runs.run(path, WINDOWS, ROWS, store, "random")
    assert len(here) == len(ROWS) - 2


def test_interrupt_ends_the_processes(tmp_path: Path) -> None:
    def told(*_: Any) -> None:
        raise KeyboardInterrupt

    path, store = tiny.write(tmp_path), Store(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        runs.run(path, WINDOWS, ROWS, store, "random", told=told)
    assert multiprocessing.active_children() == []
    assert 1 <= len(store.all()) < len(ROWS)


def test_model_that_cannot_be_read(tmp_path: Path) -> None:
    """Found in another process, told as here."""
    path = tiny.write(tmp_path, keys={"general.architecture": "qwen2"})
    with pytest.raises(ValueError, match=r"tiny\.gguf cannot be read: .* gemma3, not 'qwen2'"):
        runs.run(path, WINDOWS, [FP32], Store(tmp_path / "out"), "random")
    assert not (tmp_path / "out").exists()


def test_process_that_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_begin", functools.partial(os._exit, 1))
    with pytest.raises(ToolError, match="a process that measures was ended"):
        runs.run(tiny.write(tmp_path), WINDOWS, [FP32], Store(tmp_path / "out"), "random")


def test_damaged_result_is_measured_anew(tmp_path: Path, here: list[str]) -> None:
    path, store = tiny.write(tmp_path), Store(tmp_path / "out")
    runs.run(path, WINDOWS, [FP32], store, "random")
    (kept,) = (store.folder / "rows").iterdir()
    for damage in ("", "{}", "[]", kept.read_text().replace("values", "value")):
        kept.write_text(damage)
        assert store.all() == []
        runs.run(path, WINDOWS, [FP32], store, "random")
        assert len(store.all()) == 1
    assert len(here) == 5


def _result(row: Row, losses_: Any, **about: Any) -> Result:
    n = len(losses_)
    values = {
        "losses": np.array(losses_), "divergence": np.full(n, 0.5), "agrees": np.arange(n) % 4 > 0
    }  # fmt: skip
    measured = Measured(values=values, seconds=1.0)
    return Result(row=row, about={"tokens": 48, **about}, measured=measured)


def test_summary(rng: np.random.Generator, tmp_path: Path) -> None:
    """Rows beside FP32 and AMXFP4 of their mode and text; the larger floor of both counts."""
    plain = rng.normal(3, 1, 48)
    noise = rng.normal(0, 0.01, 48)
    base = Row(label="amxfp4", format="amxfp4", mode="kv")
    worse = Row(label="mxfp4", format="mxfp4", mode="kv")
    results = [
        _result(FP32, plain),
        _result(Row(label="noise", perturbation=1e-6), plain + 1e-5),
        _result(base, plain + 0.2 + noise),
        _result(worse, plain + 0.7),
        _result(Row(label="n", format="amxfp4", mode="kv", perturbation=1e-6), plain + 0.3),
        _result(Row(label="near", format="nvfp4", mode="kv"), plain + 0.25 + noise),
        _result(Row(label="alone", format="mxfp4", mode="both"), plain),
        _result(worse, plain, text="another"),
    ]
    by_label = {row["label"]: row for row in of_text(results[:-1])}
    row = by_label["mxfp4"]
    assert row["nats"] == pytest.approx(plain.mean() + 0.7)
    assert row["perplexity"] == pytest.approx(np.exp(plain.mean() + 0.7))
    assert row["over_fp32"] == pytest.approx(0.7)
    d = difference(plain + 0.7, plain + 0.2 + noise)
    assert row["over_amxfp4"] == pytest.approx(d.mean)
    assert row["over_amxfp4_error_by_token"] == pytest.approx(d.by_token)
    assert row["over_amxfp4_error_by_block"] == pytest.approx(d.by_block)
    assert row["over_fp32_is_difference"]
    assert row["over_amxfp4_is_difference"]
    assert row["floor"] == pytest.approx(0.1, abs=0.01)
    # Sure, but no larger than what noise in the embedding does to AMXFP4.
    assert by_label["near"]["over_amxfp4_is_difference"] is False
    assert by_label["FP32"]["over_fp32"] is by_label["amxfp4"]["over_amxfp4"] is None
    assert by_label["alone"]["over_amxfp4"] is None
    assert by_label["alone"]["over_fp32_is_difference"] is False
    assert of_text(results)[-1]["over_fp32"] is None

    store = Store(tmp_path)
    for result in results:
        store.keep(result)
    store.summarize()
    told = json.loads((tmp_path / "accuracy.json").read_text())
    with (tmp_path / "accuracy.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == [row["label"] for row in told]
    assert len(rows) == len(results)
    assert {row["label"]: row["over_fp32"] for row in rows}["FP32"] == ""
