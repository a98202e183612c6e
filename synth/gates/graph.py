"""A mapped netlist as arrays: which cells there are, and which nets their pins are on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.synth.gates.cells import Library
from amxfp4.util import pyosys
from amxfp4.util.errors import ToolError

__all__ = ["ONE", "ZERO", "Instances", "Netlist", "from_json", "load"]

ZERO, ONE = 0, 1
"""Nets that are always low and high."""

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Instances:
    """All instances of one cell."""

    paths: list[str]
    """Of every instance: names from the top module down, separated by dots."""
    nets: dict[str, Indices]
    """Of every pin: the net of each instance. A pin left open has a net of its own."""


@dataclass
class Netlist:
    """A flat netlist of library cells."""

    names: list[str]
    """Of every net; the ones of the two constants are ``0`` and ``1``."""
    ports: dict[str, Indices] = field(default_factory=dict)
    """Nets of every port of the top module, bit 0 first."""
    inputs: set[str] = field(default_factory=set)
    """Names of the ports that are inputs."""
    cells: dict[str, Instances] = field(default_factory=dict)
    """Instances by cell."""

    @property
    def size(self) -> int:
        """How many instances there are."""
        return sum(len(group.paths) for group in self.cells.values())


def _plain(name: str) -> str:
    """Path of a flattened instance or net: Yosys marks names it made up, and escapes."""
    return name.removeprefix("$flatten").replace("\\", "")


def from_json(module: dict[str, Any], library: Library) -> Netlist:
    """Netlist of a module as Yosys' ``write_json`` describes it.

    Raises
    ------
    ValueError
        A cell is not in the library, or an input of a cell is open.
    """
    index: dict[Any, int] = {"0": ZERO, "x": ZERO, "z": ZERO, "1": ONE}
    netlist = Netlist(["0", "1"])

    def net(bit: Any) -> int:
        if bit not in index:
            index[bit] = len(netlist.names)
            netlist.names.append(f"net {bit}")
        return index[bit]

    for name, port in module["ports"].items():
        netlist.ports[name] = np.array([net(bit) for bit in port["bits"]], np.intp)
        if port["direction"] == "input":
            netlist.inputs.add(name)
    pins: dict[str, dict[str, list[int]]] = {}
    paths: dict[str, list[str]] = {}
    for name, cell in module["cells"].items():
        kind = cell["type"]
        if kind == "$scopeinfo":
            continue
        if kind not in library.cells:
            raise ValueError(f"cells must be of the library, not {kind} ({_plain(name)})")
        known = library.cells[kind]
        paths.setdefault(kind, []).append(_plain(name))
        for pin, description in known.pins.items():
            bits = cell["connections"].get(pin) or []
            if not bits and not description.output:
                raise ValueError(f"input {pin} of {kind} must be connected ({_plain(name)})")
            at = net(bits[0]) if bits else net((name, pin))
            pins.setdefault(kind, {}).setdefault(pin, []).append(at)
    for name, entry in module["netnames"].items():
        public = not entry.get("hide_name")
        for place, bit in enumerate(entry["bits"]):
            at = index.get(bit, ZERO)
            if at > ONE and (public or netlist.names[at].startswith("net ")):
                suffix = f"[{place}]" if len(entry["bits"]) > 1 else ""
                netlist.names[at] = _plain(name) + suffix
    netlist.cells = {
        kind: Instances(paths[kind], {p: np.array(n, np.intp) for p, n in pins[kind].items()})
        for kind in paths
    }
    return netlist


def load(verilog: Path, top: str, library: Library, liberty: Iterable[Path]) -> Netlist:
    """Read a Verilog netlist of library cells, its modules flattened.

    Raises
    ------
    ValueError
        As `from_json`, or Yosys cannot read it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = [
            *(f'read_liberty -lib -ignore_miss_func "{path.resolve()}"' for path in liberty),
            f'read_verilog "{verilog.resolve()}"',
            f"hierarchy -check -top {top}",
            "flatten",
            "write_json netlist.json",
        ]
        try:
            pyosys.run(commands, folder)
        except ToolError as error:
            raise ValueError(f"netlist must be Verilog of library cells: {error}") from None
        module = json.loads((folder / "netlist.json").read_text())["modules"][top]
    return from_json(module, library)
