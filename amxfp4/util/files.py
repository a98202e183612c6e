"""Files and folders that appear whole or not at all, locks across processes, digests."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import filelock

__all__ = ["digest", "locked", "once", "replacing", "write", "write_all"]


def digest(*parts: str | bytes) -> str:
    """First 16 hexadecimal digits of the SHA-256 of `parts`, each with its length."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little") + raw)
    return state.hexdigest()[:16]


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, across processes; a killed holder releases it.

    Raises
    ------
    TimeoutError
        Another process holds it, and this one should not `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path, timeout=-1 if wait else 0):
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a new name beside `path`; the file or folder made there takes the place of `path`.

    It does so at the end of the block, by renaming. If the block fails, `path` stays as it was and
    nothing is left of the other. The name ends as that of `path`. A file gets the mode of the one
    that it replaces, a new one the mode that the umask gives.

    Parameters
    ----------
    alone
        Whether a lock keeps others from doing the same: then what processes left that were killed
        while they did is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        for leftover in path.parent.glob(f".????????.{glob.escape(path.name)}*"):
            _remove(leftover)
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            _exchange(temporary, path)
        else:
            if path.is_file() and temporary.is_file():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            temporary.replace(path)
    finally:
        _remove(temporary)


def _exchange(new: Path, path: Path) -> None:
    """Let a folder take the place of another, which stays if that fails."""
    old = new.with_name(f"{new.name}.old")
    path.replace(old)
    try:
        new.replace(path)
    except BaseException:
        old.replace(path)
        raise
    _remove(old)


def write(path: Path, content: str | bytes) -> None:
    """Write a file that readers see whole or not at all."""
    write_all({path: content})


def write_all(contents: Mapping[Path, str | bytes]) -> None:
    """Write files of which none is replaced before all of them are written, as on a full disk."""
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            temporary = stack.enter_context(replacing(path))
            if isinstance(content, str):
                temporary.write_text(content)
            else:
                temporary.write_bytes(content)
            if path.is_dir():
                # Reported before the first of them is replaced.
                path.open("wb").close()


def once(target: Path, make: Callable[[Path], None]) -> bool:
    """Let `make` make the file or folder `target` unless it exists; say whether it did.

    Parameters
    ----------
    make
        Called with a new name beside `target`, where it makes what then becomes `target`. Other
        processes that want the same `target` wait, and find it.
    """
    if target.exists():
        return False
    with locked(target.with_name(f"{target.name}.lock")):
        if target.exists():
            return False
        with replacing(target, alone=True) as fresh:
            make(fresh)
        return True
