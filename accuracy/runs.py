"""Measure rows, two at a time: each in a process of its own with one thread of BLAS.

Threads of BLAS wait for one another in products as small as these: two processes with a row each
take half the time of one process with two threads.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import amxfp4
from amxfp4.util.errors import ToolError

from .model import Model, load, losses
from .prepared import calibration, prepared, turned
from .quantized import Row, quantizer
from .store import Result, Store

__all__ = ["about", "measure", "run"]

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_loaded = functools.cache(load)
"""Of a working process, which has one model."""


def about(path: Path, text: str, windows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Say what rows are measured on; two runs of which this is the same share their results.

    Parameters
    ----------
    path
        The model's file.
    text
        Name of the text.
    windows
        Tokens, [n, w + 1].
    """
    with path.open("rb") as stream:
        model = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "model": f"{path.stem} {model[:8]}",
        "text": f"{text} {hashlib.sha256(windows.astype('<i8').tobytes()).hexdigest()[:8]}",
        "tokens": windows.shape[0] * (windows.shape[1] - 1),
        "window": windows.shape[1] - 1,
        "version": amxfp4.__version__,
    }


def measure(
    model: Model,
    windows: npt.NDArray[np.int64],
    row: Row,
    calibration: Callable[[], npt.NDArray[np.int64]],
) -> tuple[npt.NDArray[np.float64], float]:
    """Losses of a row in nats, float64 [tokens], and the seconds of a core that they took.

    `calibration` gives tokens for a row that needs some, those of `windows` not among them.
    """
    start = time.process_time()
    model = prepared(model, row.format, row.options, calibration)
    quantize = turned(model, row.options, quantizer(row))
    found = losses(model, windows, quantize, perturbation=row.perturbation)
    return found.reshape(-1), time.process_time() - start


def run(
    path: Path,
    windows: npt.NDArray[np.int64],
    rows: list[Row],
    store: Store,
    text: str,
    *,
    jobs: int = 2,
    again: bool = False,
    told: Callable[[Result, int, int], None] = lambda *_: None,
) -> list[Result]:
    """Measure what a folder does not have yet, and keep each row as soon as it is done.

    Whatever ends it, as Ctrl-C does, loses the rows at hand and no other: the next run goes on.

    Parameters
    ----------
    path
        The model's file.
    windows
        Tokens, [n, w + 1].
    rows
        What to measure, in the order in which it is begun.
    text
        Name of the text.
    jobs
        Processes; each holds the model, which is 0.6 GB for 135 million weights, and as much again
        in work.
    again
        Measure also what is there.
    told
        Called with a result, how many there are now, and how many will be.

    Returns
    -------
    Results in the order of `rows`.

    Raises
    ------
    OSError, ValueError
        The model cannot be read.
    ToolError
        A process was ended, for want of memory perhaps.
    """
    where = about(path, text, windows)
    found: dict[int, Result] = {}
    for number, row in enumerate(rows):
        before = None if again else store.find(row, where)
        if before is not None:
            found[number] = before
            told(before, len(found), len(rows))
    try:
        left = [number for number in range(len(rows)) if number not in found]
        with _working(path, windows, min(jobs, len(left))) as submit:
            with _not_interrupted():
                pending = {submit(rows[number]): number for number in left}
            for done in concurrent.futures.as_completed(pending):
                losses_, seconds = done.result()
                number = pending[done]
                found[number] = Result(
                    row=rows[number], about=where, losses=losses_, seconds=seconds
                )
                store.keep(found[number])
                told(found[number], len(found), len(rows))
    except BrokenProcessPool as error:
        raise ToolError("a process that measures was ended: is there memory for --jobs?") from error
    finally:
        if found:
            store.summarize()
    return [found[number] for number in range(len(rows))]


@contextlib.contextmanager
def _working(
    path: Path, windows: npt.NDArray[np.int64], jobs: int
) -> Iterator[Callable[[Row], concurrent.futures.Future[Any]]]:
    """Give what measures a row in one of some processes, which end with the block."""
    if not jobs:
        yield lambda _: concurrent.futures.Future()
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _begin
    )
    others = set(multiprocessing.active_children())
    try:
        with _environment(_ONE_THREAD):  # BLAS reads it when NumPy is imported, in the new process
            yield lambda row: pool.submit(_measure, path, windows, row)
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _not_interrupted() -> Iterator[None]:
    """Let processes that begin inside leave Ctrl-C to this one, from their first moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin() -> None:
    """Begin a working process, which ends with its parent."""
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _measure(
    path: Path, windows: npt.NDArray[np.int64], row: Row
) -> tuple[npt.NDArray[np.float64], float]:
    try:
        model = _loaded(path)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return measure(model, windows, row, functools.partial(calibration, path))
