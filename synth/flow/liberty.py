"""Standard-cell libraries: the gate equivalent, and timing of what was mapped to them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from amxfp4.synth.flow.liberty_text import Group, groups
from amxfp4.synth.flow.measures import Figures, cells, statistics
from amxfp4.synth.flow.net_names import plain
from amxfp4.synth.flow.programs import execute
from amxfp4.synth.gates import boolean
from amxfp4.util.errors import reading

__all__ = ["PERIOD", "Summary", "analyse", "from_environment", "opensta", "read", "summarize"]

PERIOD = 1000
"""Of the clock in OpenSTA, in picoseconds; what counts is by how much it is missed."""
TIMING = "timing.txt"

# Two inputs, as the truth tables of their four combinations.
_COLUMNS = (0b0101, 0b0011)
_ALL = 0b1111


@dataclass(frozen=True)
class Summary:
    """What a library says about areas."""

    nand2: str
    """Its smallest two-input NAND."""
    nand2_area: float
    """The area of that cell, which is the gate equivalent; in um2 in all libraries that we know."""
    registers: dict[str, set[str]]
    """Output pins of flip-flops and latches, by cell."""


def _pins(cell: Group) -> tuple[dict[str, Group], dict[str, Group]]:
    """Input and output pins of a cell, by name."""
    sides: dict[str | None, dict[str, Group]] = {"input": {}, "output": {}}
    for pin in cell.of("pin"):
        sides.get(pin.values.get("direction"), {}).update(dict.fromkeys(pin.names, pin))
    return sides["input"], sides["output"]


def _is_nand2(cell: Group) -> bool:
    inputs, outputs = _pins(cell)
    functions = [pin.values.get("function") for pin in outputs.values()]
    if len(inputs) != 2 or len(functions) != 1 or functions[0] is None:
        return False
    function = boolean.parse(functions[0])
    if boolean.names(function) != set(inputs):
        return False
    values = {**dict(zip(inputs, _COLUMNS, strict=True)), "0": 0, "1": _ALL}
    return bool(boolean.evaluate(function, values) & _ALL == _ALL ^ (_COLUMNS[0] & _COLUMNS[1]))


def summarize(paths: Iterable[Path]) -> Summary:
    """Find the gate equivalent of a library, by function, and its registers.

    Cells that the library does not want to be used are no gate equivalent.

    Raises
    ------
    ValueError
        A file is not Liberty, or there is no NAND.
    """
    gates: list[tuple[float, str]] = []
    registers: dict[str, set[str]] = {}
    paths = list(paths)
    for path in paths:
        with reading("liberty", path, "a Liberty file"):
            for cell in groups(path.read_text()).of("cell"):
                name = " ".join(cell.names)
                if cell.of("ff") or cell.of("latch"):
                    registers[name] = set(_pins(cell)[1])
                elif cell.values.get("dont_use") != "true" and _is_nand2(cell):
                    gates.append((float(cell.values["area"]), name))
    if not gates:
        names = ", ".join(path.name for path in paths)
        raise ValueError(
            f"liberty must have a two-input NAND, whose area is the gate equivalent, not {names}"
        )
    area, name = min(gates)
    return Summary(name, area, registers)


def read(folder: Path, paths: Iterable[Path], *, flat: bool = True) -> Figures:
    """Figures of a mapped netlist: area, gate equivalents, flip-flops, delay.

    ABC sees modules one by one, and so the delay of the whole only if it is `flat`.
    """
    library = summarize(paths)
    area = float(statistics(folder)["area"])
    log = (folder / "log.txt").read_text()
    levels = re.findall(r"ABC: .*\blev = *(\d+)", log)
    delays = re.findall(r"ABC: .*\bDelay = *([\d.]+) ps", log)
    return {
        "area_um2": round(area, 4),
        "nand2_um2": library.nand2_area,
        "ge": round(area / library.nand2_area, 1),
        "ff": sum(n for name, n in cells(folder).items() if name in library.registers),
        # Without logic between ports and registers ABC is not called.
        "depth": int(levels[-1] if levels else 0) if flat else None,
        "delay_ps": float(delays[-1] if delays else 0) if flat else None,
        **_timing(folder, library),
    }


def from_environment() -> tuple[Path, ...]:
    """Files that the variable LIBERTY names, between blanks as make has them, or as in PATH."""
    return tuple(map(Path, os.environ.get("LIBERTY", "").replace(os.pathsep, " ").split()))


@functools.cache
def opensta() -> str | None:
    """Version of OpenSTA, or ``None`` where it is not on the PATH."""
    program = shutil.which("sta")
    if program is None:
        return None
    done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def analyse(folder: Path, script: str) -> None:
    """Let OpenSTA say what the longest path is, into `TIMING`.

    Raises
    ------
    SynthesisError
        It failed.
    """
    (folder / "script.tcl").write_text(script)
    execute(["sta", "-no_splash", "-exit", "script.tcl"], folder, log=TIMING)


def _timing(folder: Path, library: Summary) -> Figures:
    """Frequency and critical path from what OpenSTA said, if it was asked and there is a path."""
    text = (folder / TIMING).read_text() if (folder / TIMING).exists() else ""
    slack = re.search(r"^worst slack.*?(-?[\d.]+)$", text, re.M)
    if slack is None:
        return {}
    netlist = (folder / "timing.v").read_text()
    ends = re.findall(r"^(?:Startpoint|Endpoint): (\S+)", text, re.M)
    return {
        "fmax_mhz": round(1e6 / (PERIOD - float(slack[1])), 2),
        "critical_path": " -> ".join(plain(_held(end, netlist, library)) for end in ends),
    }


def _held(name: str, netlist: str, library: Summary) -> str:
    """Net that a register drives, by the register's name; any other name as it is."""
    found = re.search(rf"^  (\S+) \\?{re.escape(name)} +\((.*?)\);", netlist, re.S | re.M)
    if found is None:
        return name
    pins = re.findall(r"\.(\w+)\(\\?(\S+?) ?\)", found[2])
    nets = [net for pin, net in pins if pin in library.registers.get(found[1], ())]
    # Nets without a name of ours are called _1_.
    return next((net for net in nets if not re.fullmatch(r"_\d+_", net)), name)
