"""The programs of a flow, run in the folder of a job, where what they print is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from amxfp4.util import process, pyosys
from amxfp4.util.errors import ToolError

__all__ = ["LOG", "SynthesisError", "execute", "yosys"]

LOG = "log.txt"
"""What programs print goes here, in the folder they run in."""


class SynthesisError(ToolError):
    """A program of a flow failed; the message is its own first line about it."""


def execute(
    command: Sequence[str],
    folder: Path,
    *,
    log: str = LOG,
    watch: Callable[[], None] | None = None,
) -> None:
    """Run a program in `folder`, its output added to the file `log` there.

    Parameters
    ----------
    watch
        Called twice a second while the program runs.

    Raises
    ------
    SynthesisError
        It failed.
    """
    # Temporary files of its own, so that none are left if it is ended. ABC is called without
    # quotes around the path, which may have blanks unless it is relative.
    scratch = folder / "tmp"
    scratch.mkdir()
    try:
        process.run(
            command, cwd=folder, log=folder / log, watch=watch,
            env={**os.environ, "TMPDIR": scratch.name},
        )  # fmt: skip
    except ToolError as error:
        raise SynthesisError(pyosys.complaint(error), error.log) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def yosys(script: str, folder: Path) -> None:
    """Run a Yosys script that is in `folder`, as `execute` does."""
    execute(pyosys.command(f"script {script}"), folder)
