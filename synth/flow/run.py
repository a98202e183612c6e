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
from amxfp4.synth.flow.results import RESULT, Row
from amxfp4.util import files

__all__ = ["SynthesisError", "measure", "run"]


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
    return results.add(job, build, measure(job, build, again=again))


def measure(job: Job, build: Path, *, again: bool = False) -> dict[str, Any]:
    """Do what `run` does, but do not count the job among the results.

    Returns
    -------
    The figures by column of the results, the seconds it took, the versions of the tools.
    """
    if job.flow.placed:
        pnr.require()
    folder = job.folder(build)
    with files.locked(folder.with_suffix(".lock")):
        kept = json.loads((folder / RESULT).read_text()) if (folder / RESULT).exists() else {}
        rows = kept.pop("rows", {})
        # Of what another machine synthesized there is nothing but the result.
        if again or not kept or not (folder / "netlist.v").exists():
            kept = _synthesize(job, folder, rows)
        return kept


def _synthesize(job: Job, folder: Path, rows: dict[str, Any]) -> dict[str, Any]:
    failed = folder.with_suffix(".failed")
    shutil.rmtree(failed, ignore_errors=True)
    with files.replacing(folder, alone=True) as scratch:
        scratch.mkdir()
        (scratch / "design.v").write_text(job.verilog)
        start = time.monotonic()
        try:
            job.flow.run(job, scratch)
        except SynthesisError as error:
            scratch.rename(failed)
            raise SynthesisError(
                f"{job.target} must take {job.top}, not stop at: {error} (see {failed / LOG})",
                error.log,
            ) from None
        result = {
            "figures": job.flow.read(job, scratch),
            "seconds": round(time.monotonic() - start, 2),
            "tools": job.tools,
        }
        (scratch / RESULT).write_text(json.dumps({**result, "rows": rows}, indent=2) + "\n")
    return result
