"""Measure rows, two at a time: each in a process of its own with one thread of BLAS.

Threads of BLAS wait for one another in products as small as these: two processes with a row each
take half the time of one process with two threads.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

import amxfp4
from amxfp4.util.errors import ToolError

from .encoder import bert
from .encoder.sentences import Sentences
from .loading import load
from .measures import Measured, Subject, Windows, measure
from .model import Model
from .prepared import calibration
from .quantized import Row
from .results.store import Store
from .results.summaries import Result

__all__ = ["Submit", "about", "run"]

Submit = Callable[..., "concurrent.futures.Future[Any]"]
"""``submit`` of an executor of processes, here or elsewhere."""

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


@functools.cache
def _loaded(path: Path) -> Model | bert.Encoder:
    """Read the model of a working process, which has one: an encoder from safetensors, or GGUF."""
    return bert.load(path) if path.suffix == ".safetensors" else load(path)


def about(path: Path, text: str, subject: Subject) -> dict[str, Any]:
    """Say what rows are measured on; two runs of which this is the same share their results.

    Parameters
    ----------
    path
        The model's file.
    text
        Name of the text, or of the items.
    subject
        Tokens of windows, [n, w + 1], items, or sentences.
    """
    with path.open("rb") as stream:
        model = hashlib.file_digest(stream, "sha256").hexdigest()
    if isinstance(subject, np.ndarray):
        key = subject.astype("<i8").tobytes()
        windows, tokens = subject.shape
        sizes = {"tokens": windows * (tokens - 1), "window": tokens - 1}
    elif isinstance(subject, Sentences):
        key, sizes = repr(subject.tokens).encode(), {"sentences": len(subject.tokens)}
    else:
        key = repr([dataclasses.astuple(item) for item in subject]).encode()
        sizes = {"items": len(subject)}
    digest = hashlib.sha256(key).hexdigest()[:8]
    # Checkpoints are often model.safetensors, in a folder of the model's name.
    named = next(name for name in (path.stem, *(p.name for p in path.parents)) if name != "model")
    return {
        "model": f"{named} {model[:8]}", "text": f"{text} {digest}",
        **sizes, "version": amxfp4.__version__,
    }  # fmt: skip


def run(
    path: Path,
    subject: Subject,
    rows: list[Row],
    store: Store,
    text: str,
    *,
    jobs: int = 2,
    again: bool = False,
    submit: Submit | None = None,
    held: Windows | None = None,
    told: Callable[[Result, int, int], None] = lambda *_: None,
) -> list[Result]:
    """Measure what a folder does not have yet, and keep each row as soon as it is done.

    Whatever ends it, as Ctrl-C does, loses the rows at hand and no other: the next run goes on.

    Parameters
    ----------
    path
        The model's file.
    subject
        Tokens of windows, [n, w + 1], items, or sentences.
    rows
        What to measure, in the order in which it is begun.
    text
        Name of the text, or of the items.
    jobs
        Processes; each holds the model, which is 0.6 GB for 135 million weights, and as much again
        in work.
    again
        Measure also what is there.
    submit
        Who measures, in place of processes that are started here: there `path` must be the same
        file.
    held
        Tokens of the text that are not measured, for rows with ``calibration=text``.
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
    where = about(path, text, subject)
    found: dict[int, Result] = {}
    for number, row in enumerate(rows):
        before = None if again else store.find(row, where)
        if before is not None:
            found[number] = before
            told(before, len(found), len(rows))
    try:
        left = [number for number in range(len(rows)) if number not in found]
        given = contextlib.nullcontext(submit) if submit else _working(min(jobs, len(left)))
        with given as begin:
            with _not_interrupted():
                pending = {begin(_measure, path, subject, rows[n], held): n for n in left}
            for done in concurrent.futures.as_completed(pending):
                number = pending[done]
                found[number] = Result(row=rows[number], about=where, measured=done.result())
                store.keep(found[number])
                told(found[number], len(found), len(rows))
    except BrokenProcessPool as error:
        raise ToolError("a process that measures was ended: is there memory for --jobs?") from error
    finally:
        if found:
            store.summarize()
    return [found[number] for number in range(len(rows))]


@contextlib.contextmanager
def _working(jobs: int) -> Iterator[Submit]:
    """Give what hands work to one of some processes, which end with the block."""
    if not jobs:
        yield lambda *_: concurrent.futures.Future()
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _begin
    )
    others = set(multiprocessing.active_children())
    try:
        with _environment(_ONE_THREAD):  # BLAS reads it when NumPy is imported, in the new process
            yield pool.submit
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


def _measure(path: Path, subject: Subject, row: Row, held: Windows | None = None) -> Measured:
    try:
        model = _loaded(path)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if row.options.get("calibration") == "text":
        if held is None:
            raise ValueError("calibration must be own for items, not 'text'")
        return measure(model, subject, row, lambda: held)
    return measure(model, subject, row, functools.partial(calibration, path))
