"""Hardware cost of the circuits of a plan: ``amxfp4 synth plan`` and ``amxfp4 synth sweep``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from amxfp4.synth.flow.liberty import from_environment
from amxfp4.synth.gates import energy_per_mac as energy
from amxfp4.synth.plan import plan_file
from amxfp4.synth.plan.plan import Plan
from amxfp4.synth.plan.sweep import Sweep
from amxfp4.synth.plan.workers import Outcome, Workers
from amxfp4.synth.report import page as report
from amxfp4.synth.report.page import Report
from amxfp4.util import console, files
from amxfp4.util.errors import reading, writing

__all__ = ["run"]


def run(
    path: Path,
    *,
    build: Path,
    page: str,
    liberty: tuple[Path, ...],
    workers: Workers,
    again: bool,
    skip: bool,
    record: Path | None = None,
) -> int:
    """Synthesize what a plan names, print its tables and write the page ``build/reports/PAGE``.

    Options are those of ``amxfp4 synth plan``; with `skip`, combinations that are not a
    configuration are no errors. Returns 0, or 1 if a job failed. `record` names a file for the
    tables, from which documents take them (`amxfp4.dev.documents`).

    Raises
    ------
    TypeError, ValueError
        The plan, a file or an option is not what it must be.
    """
    liberty = liberty or from_environment()
    for parameter, file in [("PLAN", path), *(("--liberty", file) for file in liberty)]:
        with reading(parameter, file, "a file that can be read"):
            file.open("rb").close()
    plan = plan_file.load(path, liberty=liberty, skip=skip)
    target = build / "reports" / page
    with writing("--build", build, "a folder that can be written"):
        target.parent.mkdir(parents=True, exist_ok=True)
    for skipped in plan.skipped:
        print(f"skipped: {skipped.label}: {skipped.reason}", flush=True)
    work = Sweep(plan.jobs, build, again=again)
    outcomes = [*work.done, *_progress(work, workers, plan)]
    failures = [outcome for outcome in outcomes if outcome.row is None]
    for failure in failures:
        print(f"failed: {report.name(failure, plan)}: {failure.error}", file=sys.stderr)
        print(f"  log: {_keep_log(failure, plan, build)}", file=sys.stderr)
    if len(failures) == len(outcomes):
        print(f"nothing to report: all jobs failed, {len(failures)}", file=sys.stderr)
        return 1
    made = report.make(plan, outcomes, accuracy=_accuracy(plan), energy=energy.read(build))
    _print(made)
    with writing("--build", build, "a folder that can be written"):
        report.write(made, target)
    if record is not None:
        with writing("--record", record, "a file that can be written"):
            _record(made, record)
    counts = f"{len(outcomes)} jobs, {len(work.done)} known before, {len(failures)} failed"
    print(f"{counts}; wrote {target}")
    return int(bool(failures))


def _record(made: Report, path: Path) -> None:
    """Write the tables of a report as data: what was measured, with the tools that did."""
    if made.failures:
        raise ValueError(
            f"--record must have every job's result, not {len(made.failures)} failures"
        )
    tables = {
        section.anchor: {
            "header": section.table.header, "rows": section.table.rows, "note": section.table.note
        }
        for section in made.sections
    }  # fmt: skip
    text = json.dumps({"tools": dict(made.tools), "tables": tables}, indent=1)
    files.write(path, text + "\n")


def _progress(work: Sweep, workers: Workers, plan: Plan) -> Iterator[Outcome]:
    """Do what is missing: a line for each job, and below them how far it is and time left."""
    total = len(work.missing)
    shown = Console(stderr=True, highlight=False)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        # Where nothing can be drawn over it would leave an empty line in front of an error.
        console=shown, transient=True, disable=not (total and shown.is_terminal),
    ) as progress:  # fmt: skip
        task = progress.add_task("synthesizing", total=total, left="")
        done = 0
        try:
            for outcome in work.run(workers):
                yield outcome
                done += 1
                left = work.left()
                time_left = "" if left is None else f"{timedelta(seconds=round(left))} left"
                progress.update(task, completed=done, left=time_left)
                took = f"{outcome.row.seconds:.1f} s" if outcome.row else "FAILED"
                # Markup would drop the brackets of labels.
                progress.console.print(
                    f"{done}/{total} {report.name(outcome, plan)}: {took}"
                    + ("" if shown.is_terminal or not time_left else f" ({time_left})"),
                    markup=False,
                    soft_wrap=True,
                )
        except KeyboardInterrupt:
            progress.stop()
            print(
                f"interrupted: {done} of {total} jobs done; the same command goes on from here",
                file=sys.stderr,
            )
            raise


def _keep_log(failure: Outcome, plan: Plan, build: Path) -> Path:
    """Write down what a failed job said, wherever it ran."""
    name = re.sub(r"\W+", "-", report.name(failure, plan)).strip("-")
    path = build / "synth" / "failed" / f"{name}.log"
    files.write(path, failure.log)
    return path


def _accuracy(plan: Plan) -> dict[str, float]:
    """SQNR of what the plan wants drawn against its accuracy."""
    drawn = [listing for listing in plan.listings if listing.picture == "pareto"]
    if not drawn:
        return {}
    from amxfp4.commands import accuracy

    return accuracy.of_configs({point.config for table in drawn for point in table.points})


def _print(made: Report) -> None:
    """Print the tables that fit a terminal; the page has the rest."""
    for section in made.sections:
        table = section.table
        if not section.printed:
            continue
        print(f"\n{table.title}")
        shown = console.Table(*table.header)
        for row in table.rows:
            shown.add(*row)
        shown.show()
    print()
