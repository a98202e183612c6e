"""Other programs: run to their end, heard, and never left behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from amxfp4.util.errors import ToolError

__all__ = ["end_all", "python", "require", "run"]

SHOWN = 30
"""Lines of a failing tool's output in the error: the first ones name the cause."""

_POLL = 0.5
"""Seconds between two looks at the clock, and two calls of `watch`."""

_running: set[subprocess.Popen[bytes]] = set()

# Ends with us even if we are killed, where the system can be asked for that (Linux).
_GUARD = """
import ctypes, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (AttributeError, OSError):
    pass
"""


def require(tool: str, remedy: str) -> str:
    """Path of a program.

    Raises
    ------
    ToolError
        It is not on PATH; the text, one line, says `remedy`.
    """
    found = shutil.which(tool)
    if found is None:
        raise ToolError(f"{tool} not found: {remedy}")
    return found


def python(code: str, *arguments: str) -> list[str]:
    """Command that runs Python text, which has `sys` already, in an interpreter as this one.

    What it prints and what libraries in C print stays in order: neither is buffered.
    """
    return [sys.executable, "-u", "-c", _GUARD + code, *arguments]


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    watch: Callable[[], None] | None = None,
) -> str:
    """Run a program to its end.

    It gets no input and a process group of its own. Whatever ends the wait, as Ctrl-C does, ends
    the group: the program and all that it started.

    Parameters
    ----------
    command
        Program and arguments.
    cwd, env
        Its working directory and environment, by default ours.
    timeout
        Seconds after which it is ended; ``None`` for no limit.
    log
        File that what it prints is added to.
    watch
        Called twice a second while the program runs.

    Returns
    -------
    What it printed: standard output and errors, in one.

    Raises
    ------
    ToolError
        It is not there, failed, or did not end in time; the text has its first lines.
    """
    name = Path(command[0]).name
    with log.open("a+b") if log is not None else tempfile.TemporaryFile() as output:
        start = output.seek(0, os.SEEK_END)
        try:
            child = subprocess.Popen(
                command, cwd=cwd, env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except FileNotFoundError:
            if cwd is not None and not cwd.is_dir():
                raise
            raise ToolError(f"{name} not found: put it on PATH") from None
        _running.add(child)
        try:
            code = _wait(child, timeout, watch)
        except BaseException:
            _end(child)
            raise
        finally:
            _running.discard(child)
        text = _printed(output, start)
    if code is None:
        raise ToolError(f"{name} did not end within {timeout:g} s{_shown(command, text)}", text)
    if code:
        raise ToolError(f"{name} failed (exit code {code}){_shown(command, text)}", text)
    return text


def end_all() -> None:
    """End what `run` runs in other threads, which Ctrl-C does not reach: there it is an error."""
    for child in list(_running):
        _end(child)


def _wait(
    child: subprocess.Popen[bytes], timeout: float | None, watch: Callable[[], None] | None
) -> int | None:
    """Exit code of a process; ``None`` if it had to be ended because its time was over."""
    if timeout is None and watch is None:
        return child.wait()
    end = float("inf") if timeout is None else time.monotonic() + timeout
    while True:
        if watch is not None:
            watch()
        left = end - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=max(min(left, _POLL), 0))
        if left <= 0:
            _end(child)
            return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _printed(output: IO[bytes], start: int) -> str:
    output.seek(start)
    return output.read().decode(errors="replace")


def _shown(command: Sequence[str], text: str) -> str:
    """Say in lines of their own what was run and how its output begins."""
    lines = text.splitlines()
    shown = ["", shlex.join(command), *lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"... {len(lines) - SHOWN} lines more")
    return "\n".join(shown)
