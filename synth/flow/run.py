"""Runs jobs, each once: what was synthesized is read from the folder of builds."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from amxfp4.synth.flow import pnr, results
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.programs import LOG, SynthesisError
from amxfp4.synth.flow.results import Row

__all__ = ["SynthesisError", "measure", "run"]

RESULT = "result.json"
"""Figures, seconds and tool versions of a finished job, in its folder."""


def run(job: Job, build: Path = Path("build"), *, again: bool = False) -> Row:
    """Synthesize `job`, or find the results of when it was.

    Parameters
    ----------
    job
        What to synthesize, and how.
    build
        Folder of builds; what belongs to the job is in ``job.folder(build)``.
    again
        Synthesize even if there are results.

    Raises
    ------
    SynthesisError
        A program of the flow failed. Its folder is kept beside where the results would be.
    """
    row = _row(job, measure(job, build, again=again))
    results.update(build / results.FILE, [row])
    return row


def measure(job: Job, build: Path, *, again: bool = False) -> dict[str, Any]:
    """Do what `run` does, but leave the table of results alone.

    Returns
    -------
    The figures by column of the results, the seconds it took, the versions of the tools.
    """
    if job.flow.placed:
        pnr.require()
    folder = job.folder(build)
    with results.locked(folder.with_suffix(".lock")):
        if again or not (folder / RESULT).exists():
            _synthesize(job, folder)
        return dict(json.loads((folder / RESULT).read_text()))


def _synthesize(job: Job, folder: Path) -> None:
    scratch, failed = folder.with_suffix(".new"), folder.with_suffix(".failed")
    for leftover in (scratch, failed):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        (scratch / "design.v").write_text(job.verilog)
        start = time.monotonic()
        job.flow.run(job, scratch)
        seconds = round(time.monotonic() - start, 2)
        figures = job.flow.read(job, scratch)
        result = {"figures": figures, "seconds": seconds, "tools": job.tools}
        (scratch / RESULT).write_text(json.dumps(result, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except SynthesisError as error:
        scratch.rename(failed)
        raise SynthesisError(
            f"{job.target} must take {job.top}, not stop at: {error} (see {failed / LOG})",
            error.log,
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _row(job: Job, result: dict[str, Any]) -> Row:
    config = job.config.to_dict()
    return Row(
        key=job.key,
        component=job.component or "",
        digest=job.config.digest,
        target=job.target,
        dsp=job.dsp,
        hierarchy=job.hierarchy,
        script=job.how,
        macs_per_cycle=results.macs_per_cycle(job.config, job.component),
        seconds=result["seconds"],
        tools=json.dumps(result["tools"]),
        **{name: value for name, value in config.items() if name in results.COLUMNS},
        **result["figures"],
    )
