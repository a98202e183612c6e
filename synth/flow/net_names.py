"""What a net of a flattened netlist is called in the Verilog it came from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile

__all__ = ["Design", "Port", "plain", "ports"]

# As Yosys writes them; a name with a backslash ends with a blank.
_MODULE = re.compile(r"^module \\?(\S+?) ?\(.*?^endmodule", re.S | re.M)
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?\\?(\S+?) ?;", re.M)
_INSTANCE = re.compile(r"^  \\?(\S+) +\\?(\S+) +\($", re.M)


@dataclass(frozen=True)
class Port:
    """A port of a module."""

    name: str
    output: bool
    width: int


def ports(verilog: str, module: str) -> list[Port]:
    """Ports of one module of generated Verilog.

    Raises
    ------
    ValueError
        There is no such module.
    """
    for found in _MODULE.finditer(verilog):
        if found[1] == module:
            return [
                Port(name, direction == "output", int(high or 0) + 1)
                for direction, high, name in _PORT.findall(found[0])
            ]
    raise ValueError(f"verilog must have a module {module!r}")


def plain(name: str) -> str:
    """Name of a net without its bit, and without the numbers that tell equal names apart."""
    return re.sub(r"\[\d+\]$|\$\d+", "", name)


def _shared(path: str, other: str) -> int:
    """How many instances two paths have in common, from the top."""
    pairs = zip(path.split("."), other.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@dataclass
class _Module:
    first: int
    """Its first line."""
    last: int
    inputs: set[str]
    instances: dict[str, str] = field(default_factory=dict)
    """Modules by the names of their instances."""


class Design:
    """The hierarchy of generated Verilog.

    Parameters
    ----------
    verilog
        The text.
    top
        Its top module.
    """

    def __init__(self, verilog: str, top: str) -> None:
        self._modules: dict[str, _Module] = {}
        for found in _MODULE.finditer(verilog):
            first = verilog.count("\n", 0, found.start()) + 1
            inputs = {name for direction, _, name in _PORT.findall(found[0]) if direction[0] == "i"}
            self._modules[found[1]] = _Module(first, first + found[0].count("\n"), inputs)
        for found in _MODULE.finditer(verilog):
            self._modules[found[1]].instances = {
                name: kind for kind, name in _INSTANCE.findall(found[0]) if kind in self._modules
            }
        self._top = top
        self._paths: dict[str, list[str]] = {name: [] for name in self._modules}
        self._walk(top, "")

    def _walk(self, module: str, path: str) -> None:
        self._paths[module].append(path)
        for name, kind in self._modules[module].instances.items():
            self._walk(kind, f"{path}.{name}" if path else name)

    def at(self, line: int, near: str = "") -> str | None:
        """Path of the instance that a line describes; of several, the one with most in common."""
        for name, module in self._modules.items():
            if module.first <= line <= module.last:
                paths = self._paths[name]
                return max(paths, key=lambda path: _shared(path, near), default=name)
        return None

    def driver(self, names: Iterable[str]) -> str | None:
        """Of the names of one net, the one it has where it is driven; ``None`` if it has no name.

        That is the innermost one that is no input, or the outermost input.
        """
        inward = sorted(names, key=lambda name: (name.count("."), name))
        driven = [name for name in inward if not self._is_input(name)]
        return driven[-1] if driven else inward[0] if inward else None

    def _is_input(self, name: str) -> bool:
        *path, last = name.split(".")
        module = self._top
        for part in path:
            if part not in self._modules[module].instances:
                return False
            module = self._modules[module].instances[part]
        return re.sub(r"\[\d+\]$", "", last) in self._modules[module].inputs
