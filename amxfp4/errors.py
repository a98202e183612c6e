"""Errors of the file system, told in terms of what the user typed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["writing"]


@contextlib.contextmanager
def writing(parameter: str, path: Path, wanted: str) -> Iterator[None]:
    """Turn any ``OSError`` inside into a ``ValueError`` that names `parameter` and `path`.

    Parameters
    ----------
    parameter
        What the command line calls `path`.
    path
        What the user typed; the error itself may name a temporary file beside it.
    wanted
        What `path` must be.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise ValueError(f"{parameter} must be {wanted}, not {str(path)!r} ({why})") from error
