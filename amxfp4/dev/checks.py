"""Style, import rules and types of a checkout: ``amxfp4 lint`` and ``amxfp4 type``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["checkout", "lint", "types"]

# The folders that are packages, in the order in which people read them.
FOLDERS = ("params", "golden", "rtl", "gen", "synth", "host", "verif")


def lint(folder: Path | None = None) -> int:
    """Run ruff's checks, the import rules among them, and its formatter without writing."""
    root = checkout(folder)
    failed = [_run("ruff", arguments, root) for arguments in (["check"], ["format", "--check"])]
    return int(any(failed))


def types(folder: Path | None = None) -> int:
    """Run mypy, strict except where `pyproject.toml` says why not."""
    root = checkout(folder)
    tree = root / "build" / "typing"
    _link(root, tree / "amxfp4")
    arguments = ["--config-file", "pyproject.toml", "--cache-dir", str(tree / "cache")]
    environment = {"MYPYPATH": str(tree)}
    return _run("mypy", [*arguments, "-p", "amxfp4"], root, environment, "build/typing/amxfp4/")


def checkout(folder: Path | None) -> Path:
    """Root of a checkout; by default the one this package is installed from.

    Raises
    ------
    ValueError
        `folder` is no checkout.
    """
    root = (folder or Path(__file__).parents[2]).resolve()
    if not (root / "pyproject.toml").is_file():
        raise ValueError(
            f"FOLDER must be a checkout of the project (with a pyproject.toml), not {str(root)!r}"
        )
    return root


def _link(root: Path, package: Path) -> None:
    """Lay the folders out as the package they are once installed.

    mypy follows files, not the import hook of an editable install.
    """
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for path in [*sorted((root / "amxfp4").iterdir()), *(root / name for name in FOLDERS)]:
        (package / path.name).symlink_to(path)


def _run(
    tool: str,
    arguments: list[str],
    root: Path,
    environment: dict[str, str] | None = None,
    prefix: str = "",
) -> int:
    """Run `tool` in `root`, its paths shown without `prefix`; return its exit code."""
    if importlib.util.find_spec(tool) is None:
        raise ValueError(
            f"{tool} must be installed: run `make {'lint' if tool == 'ruff' else 'type'}`"
        )
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        cwd=root,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        shown = line.removeprefix(prefix)
        # The files of amxfp4/ lie at the top of the tree.
        inside = shown == line or shown.partition("/")[0] in FOLDERS
        print(shown if inside else f"amxfp4/{shown}")
    return done.returncode
