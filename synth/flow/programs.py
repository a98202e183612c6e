"""Other programs, run so that what they say is kept and nothing of them outlives us."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["LOG", "SynthesisError", "execute", "python", "yosys"]

LOG = "log.txt"
"""What programs say goes here, in the folder they run in."""

# Ends with us even if we are killed, where the system can be asked for that (Linux).
_GUARD = """
import ctypes, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (AttributeError, OSError):
    pass
"""

# Yosys ends the process where a command fails, so that it gets one of its own.
_YOSYS = """
from pyosys import libyosys
libyosys.Pass.call(libyosys.Design(), "script " + sys.argv[1])
"""


class SynthesisError(ChildProcessError):
    """A program of a flow failed.

    Attributes
    ----------
    log
        All that was said.
    """

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


def execute(
    command: Sequence[str],
    folder: Path,
    *,
    log: str = LOG,
    watch: Callable[[], None] | None = None,
) -> None:
    """Run a program in `folder`, its output added to a file there.

    Parameters
    ----------
    log
        Name of that file.
    watch
        Called twice a second while the program runs.

    Raises
    ------
    SynthesisError
        It failed; the message is the program's own first line about it.
    """
    path, scratch = folder / log, folder / "tmp"
    scratch.mkdir()
    try:
        with path.open("a") as output:
            # A session of its own, so that what the program started, as Yosys starts ABC, can be
            # ended with it; temporary files of its own, so that none of them are left then.
            child = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(scratch.resolve())},
            )
            try:
                code = None if watch else child.wait()
                while watch and code is None:
                    watch()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        code = child.wait(timeout=0.5)
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = path.read_text(errors="replace")
    errors = re.findall(r"^.*(?:ERROR|Error: ).*$", text, re.M)
    if code:
        raise SynthesisError(errors[0].strip() if errors else f"exit code {code}", text)


def python(code: str, arguments: Sequence[str], folder: Path) -> None:
    """Run Python text, which has `sys` already, with `arguments`, as `execute` does."""
    execute([sys.executable, "-c", _GUARD + code, *arguments], folder)


def yosys(script: str, folder: Path) -> None:
    """Run a Yosys script that is in `folder`, as `execute` does."""
    python(_YOSYS, [script], folder)
