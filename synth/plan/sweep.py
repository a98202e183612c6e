"""Many jobs at once: what is done is not done again, and what fails stops nothing else.

Workers return rows; only this process writes them down, each as soon as it comes, so that an
interrupted call leaves what it had.
"""

from __future__ import annotations

import functools
import hashlib
import json
import statistics
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import distributed

from amxfp4.synth.flow import results
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.results import Row
from amxfp4.synth.plan.workers import Outcome, Workers, line_of, sources, work

__all__ = ["Sweep"]

DONE = Path("synth") / "done.json"
"""Keys of finished jobs by their fingerprints, below the folder of builds."""


@functools.cache
def _digest(path: Path, changed: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _content(path: Path) -> str:
    """Digest a file, once as long as it does not change."""
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


def _fingerprint(job: Job) -> str | None:
    """Digest what decides the result of a job, without generating its Verilog.

    ``None`` where that cannot be said, because a tool or a file is missing.
    """
    files = [*job.liberty, *([job.constraint] if job.constraint else [])]
    try:
        parts = [sources(), repr(job), json.dumps(job.tools), *map(_content, files)]
    except (OSError, metadata.PackageNotFoundError):
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class _Done:
    """Rows of finished jobs in a folder of builds."""

    def __init__(self, build: Path) -> None:
        self._build, self._path = build, build / DONE
        self.rows = {row.key: row for row in results.read(build / results.FILE, Row)}
        self._keys = self._read()

    def _read(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_text())) if self._path.exists() else {}

    def find(self, job: Job) -> Row | None:
        """Row of `job`, if it is finished."""
        row = self.rows.get(self._keys.get(_fingerprint(job) or "", ""))
        return row if row is not None and not row.error else None

    def add(self, job: Job, row: Row) -> None:
        """Write down a finished job."""
        results.update(self._build / results.FILE, [row])
        name = _fingerprint(job)
        if name is None or row.error:
            return
        with results.locked(self._path.with_suffix(".lock")):
            self._keys = {**self._read(), name: row.key}
            results.write_whole(self._path, json.dumps(self._keys, indent=0) + "\n")


class Sweep:
    """Jobs, of which some may be done already.

    Parameters
    ----------
    build
        Folder of builds, with the results.
    again
        Take none of them for done.
    """

    def __init__(self, jobs: Iterable[Job], build: Path, *, again: bool = False) -> None:
        self._build, self._again = build.resolve(), again
        self._done = _Done(self._build)
        self._known = [row for row in self._done.rows.values() if not row.error]
        self.done: list[Outcome] = []
        """Found finished at the start."""
        self.missing: list[Job] = []
        """To be done, the longest first."""
        for job in jobs:
            row = None if again else self._done.find(job)
            if row is None:
                self.missing.append(job)
            else:
                self.done.append(Outcome(job=job, row=row))
        self.missing.sort(key=lambda job: self._expected(job) or 0.0, reverse=True)
        self._open = set(self.missing)
        self._hands = 1

    def _expected(self, job: Job) -> float | None:
        """Seconds that a job will take, from those of jobs like it; ``None`` if there are none."""
        kin = [row for row in self._known if row.target == job.target]
        like = (job.config.unit, job.component or "", getattr(job.config, "lanes", None))
        same = [row for row in kin if (row.unit, row.component, row.lanes) == like]
        times = [row.seconds for row in same or kin or self._known]
        return statistics.mean(times) if times else None

    def left(self) -> float | None:
        """Seconds that the rest will take, about; ``None`` while nothing is known of it."""
        times = [self._expected(job) for job in self._open]
        known = [seconds for seconds in times if seconds is not None]
        if times and not known:
            return None
        return sum(known) / self._hands

    def run(self, workers: Workers) -> Iterator[Outcome]:
        """Do what is missing; results are written down before they are yielded.

        Raises
        ------
        ValueError
            There is no scheduler to work with.
        """
        if not self.missing:
            return
        with workers.client() as client:
            self._hands = sum(client.nthreads().values())
            # Elsewhere our folders may not exist: a worker then uses its own.
            build = self._build if workers.scheduler is None else None
            futures = {
                client.submit(work, job, build, workers.limit, self._again, pure=False): job
                for job in self.missing
            }
            try:
                for future in distributed.as_completed(futures):
                    yield self._outcome(future, futures.pop(future))
                    future.release()
            finally:
                client.cancel(list(futures))

    def _outcome(self, future: distributed.Future, job: Job) -> Outcome:
        self._open.discard(job)
        if future.status != "finished":
            error = future.exception() or RuntimeError(f"the job was {future.status}")
            return Outcome(job=job, row=None, error=line_of(error), log=line_of(error))
        outcome: Outcome = future.result()
        if outcome.record is not None:
            results.update(self._build / results.FILE, [outcome.record])
        if outcome.row is not None:
            self._done.add(job, outcome.row)
            self._known.append(outcome.row)
        return outcome
