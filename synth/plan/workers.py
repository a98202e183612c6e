"""Workers on Dask, and what one of them does with a job.

A local cluster has one worker process a core. Any other Dask scheduler will do as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed
import psutil
from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from distributed.system import MEMORY_LIMIT

from amxfp4.synth.flow.job import Job, sources
from amxfp4.synth.flow.results import Row
from amxfp4.synth.flow.run import measure

__all__ = ["Outcome", "Workers", "line_of", "work"]

PATIENCE = 4
"""Seconds in which a scheduler must say that it is one."""
TIMEOUT = 30
"""Seconds to wait for its answers afterwards, and for its first worker."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job."""

    job: Job
    row: Row | None = None
    """``None`` where it failed."""
    result: dict[str, Any] | None = None
    """What the worker measured, as `amxfp4.synth.flow.run.measure` returns it."""
    error: str = ""
    """In one line."""
    log: str = ""
    """All that the failed program printed, or the traceback."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work.

    Parameters
    ----------
    scheduler
        Address of a Dask scheduler, such as ``tcp://host:8786``; ``None`` for workers that are
        started here and end with the work.
    count
        How many are started here; by default one for each core.
    memory
        Most that a worker, and each program it starts, may take, as ``4GiB`` or in bytes; by
        default an equal share of this machine's.

    Raises
    ------
    ValueError
        A field is not what it must be.
    """

    scheduler: str | None = None
    count: int | None = None
    memory: str | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"--workers must be at least 1, not {self.count!r}")
        if self.scheduler is not None and self.count is not None:
            raise ValueError(f"--workers must be left out with --scheduler, not {self.count!r}")
        if self.memory is not None:
            self._bytes(self.memory)

    @staticmethod
    def _bytes(text: str) -> int:
        try:
            value = int(parse_bytes(text))
        except ValueError:
            value = 0
        if value < 1 << 30:
            raise ValueError(f"--memory must be at least 1GiB, such as 4GiB, not {text!r}")
        return value

    @property
    def started(self) -> int:
        """How many workers are started here."""
        return self.count or CPU_COUNT

    @property
    def limit(self) -> int | None:
        """Bytes that a worker may take; ``None`` for what its own scheduler allows."""
        if self.memory is not None:
            return self._bytes(self.memory)
        return None if self.scheduler else MEMORY_LIMIT // self.started

    @contextlib.contextmanager
    def client(self) -> Iterator[distributed.Client]:
        """Connect to the scheduler, or start one.

        Raises
        ------
        ValueError
            There is no scheduler at that address, or it has no workers, or other code than ours.
        """
        if self.scheduler is None:
            with _quiet(), self._cluster() as cluster, distributed.Client(cluster) as client:
                client.register_plugin(_Children())
                yield client
            return
        with _quiet(), _connect(self.scheduler) as client:
            yield client

    def _cluster(self) -> distributed.LocalCluster:
        # Ctrl-C reaches every process of a terminal; workers leave it to this one, which then
        # ends them in order. What is ignored here is ignored by what is started meanwhile.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return distributed.LocalCluster(
                n_workers=self.started,
                threads_per_worker=1,
                processes=True,
                memory_limit=self.limit,
                dashboard_address=":0",  # any port: nobody looks, and others may have theirs
                silence_logs=logging.CRITICAL,
            )
        finally:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Dask logs when workers end or others answer: results and errors report it."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


async def _who(address: str) -> Any:
    """Ask what kind of server is at `address`."""
    secured = distributed.Security().get_connection_args("client")
    # A port that is closed is tried again for the first half of the time.
    there = distributed.rpc(address, timeout=PATIENCE / 2, connection_args=secured)
    async with there:
        return (await there.identity())["type"]


def _check(address: str, wanted: str) -> None:
    """Make sure that a scheduler is at `address`, before a client waits for what it says.

    A client waits for ever where something accepts the connection and says nothing.
    """
    try:
        kind = asyncio.run(asyncio.wait_for(_who(address), PATIENCE))
    except TimeoutError:
        raise ValueError(f"{wanted} (no answer within {PATIENCE} s)") from None
    except (OSError, TypeError, ValueError) as error:  # a TypeError is about TLS
        raise ValueError(f"{wanted} ({error})") from None
    except Exception as error:
        # What speaks another protocol is taken for a message of any size and kind.
        raise ValueError(f"{wanted} (what answers is not Dask)") from error
    if kind != "Scheduler":
        raise ValueError(f"{wanted} (a {kind} answers)")


def _connect(address: str) -> distributed.Client:
    wanted = f"--scheduler must be the address of a Dask scheduler, not {address!r}"
    _check(address, wanted)
    try:
        client = distributed.Client(address, timeout=TIMEOUT)
    except (OSError, TimeoutError, ValueError) as error:
        raise ValueError(f"{wanted} ({error})") from None
    try:
        client.wait_for_workers(1, timeout=TIMEOUT)
        others = {name for name, digest in client.run(sources).items() if digest != sources()}
    except BaseException as error:
        client.close()
        if isinstance(error, TimeoutError):
            raise ValueError(f"{wanted} without workers") from None
        if isinstance(error, ModuleNotFoundError | AttributeError):
            raise ValueError(f"{wanted} whose workers lack this project ({error})") from None
        raise
    if others:
        client.close()
        raise ValueError(
            f"{wanted} whose workers have other Verilog generators or tools ({min(others)})"
        )
    return client


class _Children(distributed.WorkerPlugin):
    """Ends what a worker has started when the worker ends."""

    name = "amxfp4-children"

    def teardown(self, worker: Any) -> None:
        """End every program of the worker."""
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def work(job: Job, build: Path | None, limit: int | None, again: bool) -> Outcome:
    """Do one job, in a worker."""
    folder = Path(distributed.get_worker().local_directory) if build is None else build
    try:
        with _bounded(limit):
            return Outcome(job=job, result=measure(job, folder, again=again))
    except Exception as error:
        log = getattr(error, "log", None) or traceback.format_exc()
        return Outcome(job=job, error=line_of(error), log=log)


def line_of(error: BaseException) -> str:
    """Say in one line what `error` is about."""
    return " ".join((str(error) or type(error).__name__).split())


@contextlib.contextmanager
def _bounded(limit: int | None) -> Iterator[None]:
    """Bound the memory of every program that is started meanwhile.

    Dask watches the worker alone, while it is Yosys that grows.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    if limit is not None:
        hard = before[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
