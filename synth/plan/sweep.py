"""Many jobs at once: what is done is not done again, and what fails stops nothing else.

Workers return results; only this process writes them down, each as soon as it comes, so that an
interrupted call leaves what it had.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import distributed

from amxfp4.synth.flow import results
from amxfp4.synth.flow.job import Job
from amxfp4.synth.plan.workers import Outcome, Workers, line_of, work

__all__ = ["Sweep"]


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
        rows = {name: row for name, row in results.known(self._build).items() if not row.error}
        self._known = list(rows.values())
        self.done: list[Outcome] = []
        """Found finished at the start."""
        self.missing: list[Job] = []
        """To be done, the longest first."""
        for job in jobs:
            row = None if again else rows.get(job.fingerprint or "")
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
            return Outcome(job=job, error=line_of(error), log=line_of(error))
        outcome: Outcome = future.result()
        if outcome.result is None:
            with suppress(Exception):  # there may be no Verilog, and so no circuit
                results.fail(job, self._build, outcome.error)
            return outcome
        row = results.add(job, self._build, outcome.result)
        self._known.append(row)
        return dataclasses.replace(outcome, row=row)
