"""Errors of files and tools, stated in terms of what the user typed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ToolError", "reading", "writing"]


class ToolError(ChildProcessError):
    """A tool is missing, stopped with an error, or did not end in time.

    Attributes
    ----------
    log
        All that the tool printed; empty if it never ran.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@contextlib.contextmanager
def reading(parameter: str, path: Path, wanted: str) -> Iterator[None]:
    """Turn an error of reading `path` into a ``ValueError`` that names `parameter`.

    Parameters
    ----------
    parameter
        What the command line calls `path`.
    path
        What the user typed.
    wanted
        What `path` must be.
    """
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        raise _bad_file(parameter, path, wanted, error) from error


@contextlib.contextmanager
def writing(parameter: str, path: Path, wanted: str) -> Iterator[None]:
    """Turn an ``OSError`` inside into a ``ValueError`` that names `parameter`, as `reading` does.

    Any other error is about what is written, not about where.
    """
    try:
        yield
    except OSError as error:
        raise _bad_file(parameter, path, wanted, error) from error


def _bad_file(parameter: str, path: Path, wanted: str, error: Exception) -> ValueError:
    # An OSError from below may name a temporary file, which means nothing to the user.
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    for known in (f"{path} cannot be read: ", f"{path} cannot be written: ", f"{path} "):
        why = why.removeprefix(known)
    return ValueError(f"{parameter} must be {wanted}, not {str(path)!r} ({why})")
