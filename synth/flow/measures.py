"""What Yosys says about a netlist, as numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Figures", "cells", "count", "depth", "statistics"]

Figures = dict[str, Any]
"""Columns of a row of results, by name."""


def statistics(folder: Path) -> dict[str, Any]:
    """Figures of the whole design, from the output of ``stat -json`` in ``stat.json``."""
    design: dict[str, Any] = json.loads((folder / "stat.json").read_text())["design"]
    return design


def cells(folder: Path) -> dict[str, int]:
    """How many cells there are, by type."""
    return {name: int(n) for name, n in statistics(folder).get("num_cells_by_type", {}).items()}


def count(cells: Mapping[str, int], pattern: str) -> int:
    """How many cells are of a type that matches the regular expression `pattern` as a whole."""
    return sum(n for name, n in cells.items() if re.fullmatch(pattern, name))


def depth(folder: Path) -> int:
    """Cells in series on the longest path, from the output of ``ltp`` in ``depth.txt``."""
    found = re.search(r"\(length=(\d+)\)", (folder / "depth.txt").read_text())
    # A design of wires has no path.
    return int(found[1]) if found else 0
