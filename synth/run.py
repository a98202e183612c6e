"""Runs jobs, each once: what was synthesized is read from the folder of builds."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from amxfp4.synth import results
from amxfp4.synth.job import Job
from amxfp4.synth.results import Row

__all__ = ["SynthesisError", "run"]

# Yosys ends the process where a command fails, so that it gets one of its own.
_YOSYS = """
from pyosys import libyosys
libyosys.Pass.call(libyosys.Design(), "script script.ys")
"""


class SynthesisError(ChildProcessError):
    """A program of the flow failed.

    Attributes
    ----------
    log
        All that it said.
    """

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


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
    folder = job.folder(build)
    with results.locked(folder.with_suffix(".lock")):
        if again or not (folder / "result.json").exists():
            _synthesize(job, folder)
        row = Row(**json.loads((folder / "result.json").read_text()))
    results.update(build / results.FILE, [row])
    return row


def _synthesize(job: Job, folder: Path) -> None:
    scratch, failed = folder.with_suffix(".new"), folder.with_suffix(".failed")
    for leftover in (scratch, failed):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        (scratch / "design.v").write_text(job.verilog)
        (scratch / "script.ys").write_text(job.yosys_script)
        start = time.monotonic()
        execute([sys.executable, "-c", _YOSYS], scratch)
        row = _measure(job, scratch, time.monotonic() - start)
        (scratch / "result.json").write_text(json.dumps(dataclasses.asdict(row), indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except SynthesisError as error:
        scratch.rename(failed)
        log = failed / "log.txt"
        raise SynthesisError(f"{job.top} for {job.target}: {error} ({log})", error.log) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measure(job: Job, folder: Path, seconds: float) -> Row:
    config = job.config.to_dict()
    known = {name: value for name, value in config.items() if name in results.COLUMNS}
    return Row(
        key=job.key,
        component=job.component or "",
        digest=job.config.digest,
        target=job.target,
        dsp=job.dsp,
        script=job.script or "",
        macs_per_cycle=results.macs_per_cycle(job.config, job.component),
        seconds=round(seconds, 2),
        tools=json.dumps(job.tools),
        **known,
        **job.flow.read(folder),
    )


def execute(command: Sequence[str], folder: Path) -> None:
    """Run a program in `folder`, its output added to ``log.txt`` there.

    Raises
    ------
    SynthesisError
        It failed; the message is its own first line about it.
    """
    path = folder / "log.txt"
    with path.open("a") as log:
        # A session of its own, so that ABC ends with Yosys when we are interrupted.
        child = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = child.wait()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
    if code:
        text = path.read_text()
        errors = [line for line in text.splitlines() if "ERROR" in line]
        raise SynthesisError(errors[0] if errors else f"exit code {code}", text)
