"""The targets: their Yosys scripts, and what is read from what Yosys says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ABC_SCRIPTS", "TARGETS", "Target"]

SCRIPTS = Path(__file__).parent / "yosys"
"""The Yosys scripts, with @name@ where something is filled in."""

ABC_SCRIPTS = {
    "fast": "+strash;dc2;dc2;map",
}
"""What ABC does between Yosys' gates and the mapped ones, by name."""

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One way to synthesize."""

    file: str
    """Its Yosys script in `SCRIPTS`."""
    read: Callable[[Path], Figures]
    """The figures in a folder in which the script ran, by column of the results."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """ABC scripts by name, the default one first; none where the flow has its own."""
    dsp: bool = False
    """Whether it may be allowed to use DSP blocks."""
    tools: tuple[str, ...] = ("pyosys",)
    """Distributions whose versions decide the result."""

    def fill(self, *, top: str, script: str, dsp: bool) -> str:
        """Yosys script of one job."""
        values = {
            "top": top,
            "abc": self.scripts.get(script, ""),
            "nodsp": "" if dsp else "-nodsp",
        }
        return re.sub(r"@(\w+)@", lambda m: values[m[1]], (SCRIPTS / self.file).read_text())


def _statistics(folder: Path) -> dict[str, Any]:
    """Figures of the whole design in the output of ``stat -json``."""
    design: dict[str, Any] = json.loads((folder / "stat.json").read_text())["design"]
    return design


def _depth(folder: Path) -> int:
    """Cells on the longest path, from the output of ``ltp``."""
    found = re.search(r"\(length=(\d+)\)", (folder / "depth.txt").read_text())
    # A design of wires has no path.
    return int(found[1]) if found else 0


def _generic(folder: Path) -> Figures:
    statistics = _statistics(folder)
    cells = statistics["num_cells_by_type"]
    return {
        "transistors": int(statistics["estimated_num_transistors"]),
        "ff": cells.get("$_DFF_P_", 0),
        "depth": _depth(folder),
    }


TARGETS: dict[str, Target] = {
    "generic": Target(file="generic.ys", read=_generic, scripts=ABC_SCRIPTS),
}
"""Every target, by name."""
