"""Style, layers and types of a checkout: ``amxfp4 dev lint`` and ``amxfp4 dev type``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from amxfp4.util import process
from amxfp4.util.errors import ToolError

__all__ = ["checkout", "lint", "types"]

# The folders that are packages, from the bottom layer to the top.
FOLDERS = ("params", "golden", "rtl", "gen", "accuracy", "synth", "host", "verif")
TREE = Path("build", "package")
"""Where a checkout is laid out as the package it is once installed, for tools that read files."""
LAYERS = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=sys.argv[1], cache_dir=sys.argv[2], no_logo=True))
"""
"""The module import-linter cannot be run with ``-m``."""


def lint(folder: Path | None = None) -> int:
    """Run ruff's checks, its formatter without writing, and the import contracts."""
    root = checkout(folder)
    failed = [
        _run("ruff", ["-m", "ruff", *arguments], root)
        for arguments in (["check"], ["format", "--check"])
    ]
    failed.append(_layers(root))
    return int(any(failed))


def _layers(root: Path) -> int:
    """Hold every import against the contracts in `pyproject.toml`."""
    tree = _link(root)
    arguments = ["-c", LAYERS, str(root / "pyproject.toml"), str(tree / "layers")]
    return _run("importlinter", arguments, root, cwd=tree)


def types(folder: Path | None = None) -> int:
    """Run mypy, strict except where `pyproject.toml` says why not."""
    root = checkout(folder)
    tree = _link(root)
    arguments = ["-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", f"{tree}/types"]
    return _run("mypy", [*arguments, "-p", "amxfp4"], root, path=tree)


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


def _link(root: Path) -> Path:
    """Lay the folders out as the package they are once installed; return the folder it is in.

    mypy and import-linter follow files, not the import hook of an editable install.
    """
    tree = root / TREE
    package = tree / "amxfp4"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    inside = [path for path in (root / "amxfp4").iterdir() if path.name != "__pycache__"]
    for path in [*sorted(inside), *(root / name for name in FOLDERS)]:
        (package / path.name).symlink_to(path)
    return tree


def _run(
    tool: str,
    arguments: list[str],
    root: Path,
    *,
    cwd: Path | None = None,
    path: Path | None = None,
) -> int:
    """Run Python with `arguments`, for `tool`; show paths as in the checkout; return the exit code.

    Raises
    ------
    ValueError
        `tool` is not installed.
    """
    if importlib.util.find_spec(tool) is None:
        target = "type" if tool == "mypy" else "lint"
        raise ValueError(f"{tool} must be installed: run `make {target}`")
    environment = {**os.environ, **({"MYPYPATH": str(path)} if path else {})}
    try:
        text, code = process.run([sys.executable, *arguments], cwd=cwd or root, env=environment), 0
    except ToolError as error:
        text, code = error.log, 1
    prefix = f"{TREE.as_posix()}/amxfp4/"
    for line in text.splitlines():
        shown = line.removeprefix(prefix)
        # The files of amxfp4/ lie at the top of the tree.
        inside = shown == line or shown.partition("/")[0] in FOLDERS
        print(shown if inside else f"amxfp4/{shown}")
    return code
