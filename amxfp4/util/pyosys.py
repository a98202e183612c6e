"""Yosys as a library, in a process of its own.

Yosys ends the process where a command fails, and numbers the names it makes up from one design to
the next: a new process makes failures exceptions and equal designs equal text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amxfp4.util import process
from amxfp4.util.errors import ToolError

__all__ = ["command", "complaint", "run"]

_DONE = "all commands done"
_YOSYS = f"""
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.Pass.call(design, command)
print("{_DONE}")
"""


def command(*commands: str) -> list[str]:
    """Command line of a process that runs commands of Yosys, one after the other, on one design."""
    return process.python(_YOSYS, *commands)


def run(commands: Iterable[str], folder: Path, **how: Any) -> str:
    """Run commands of Yosys in `folder`.

    Parameters
    ----------
    commands
        As in a script; a path with blanks is put in double quotes.
    how
        As `amxfp4.util.process.run` takes it.

    Returns
    -------
    What Yosys printed.

    Raises
    ------
    ToolError
        A command failed; the text is Yosys' own line about it.
    """
    try:
        text = process.run(command(*commands), cwd=folder, **how)
    except ToolError as error:
        raise ToolError(f"Yosys stopped: {complaint(error)}", error.log) from None
    if not text.endswith(f"{_DONE}\n"):
        raise ToolError("Yosys stopped before the last command", text)
    return text.removesuffix(f"{_DONE}\n")


def complaint(error: ToolError) -> str:
    """First line of a tool's output that says what is wrong; else how the tool ended."""
    found = re.search(r"^.*(?:ERROR|Error: ).*$", error.log, re.M)
    return found[0].strip() if found else str(error).splitlines()[0]
