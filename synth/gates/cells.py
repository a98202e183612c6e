"""Cells of a standard-cell library as its Liberty files describe them: function, charge, energy.

Everything is in SI units here: farads, joules, watts, seconds, volts. The files' own units are read
from their headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from amxfp4.synth.flow.liberty_text import Group, groups, words
from amxfp4.synth.gates import boolean

__all__ = ["Cell", "Library", "Pin", "Power", "Register", "Table", "WireLoad", "read"]

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}


@dataclass(frozen=True)
class Table:
    """Energy in joules over input transition time (s) and output load (F)."""

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """[slews][loads]."""

    def at(self, slew: float, loads: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Energy at `slew` for each of `loads`: linear between entries, held beyond the ends."""
        by_load = [np.interp(slew, self.slews, column) for column in zip(*self.values, strict=True)]
        return np.interp(np.asarray(loads, np.float64), self.loads, by_load)


@dataclass(frozen=True)
class Power:
    """Energy inside a cell when a pin changes."""

    related: str | None
    """The input whose change is behind it, for an output; ``None`` for an input."""
    when: boolean.Tree | None
    """Of the cell's pins; ``None`` where there is no condition."""
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True)
class Pin:
    """A pin of a cell."""

    output: bool
    clock: bool
    capacitance: float
    function: boolean.Tree | None
    powers: tuple[Power, ...]


@dataclass(frozen=True)
class Register:
    """A flip-flop: `state` and its inverse are the names that functions use."""

    state: str
    inverse: str
    clock: boolean.Tree
    next: boolean.Tree
    clear: boolean.Tree | None
    preset: boolean.Tree | None


@dataclass(frozen=True)
class Cell:
    """A cell of the library."""

    name: str
    area: float
    pins: dict[str, Pin]
    leakage: tuple[tuple[boolean.Tree, float], ...]
    """Conditions and the power (W) while they hold."""
    default_leakage: float
    """Power (W) while none of them holds."""
    register: Register | None

    @cached_property
    def inputs(self) -> list[str]:
        """Names of the input pins."""
        return [name for name, pin in self.pins.items() if not pin.output]

    @cached_property
    def outputs(self) -> list[str]:
        """Names of the output pins."""
        return [name for name, pin in self.pins.items() if pin.output]


@dataclass(frozen=True)
class WireLoad:
    """Capacitance of a wire as a guess from how many pins it reaches."""

    per_length: float
    """Farads a unit of length."""
    lengths: tuple[tuple[float, float], ...]
    """Pins reached, rising, and the length for so many."""
    slope: float
    """Length for each pin more than the last entry."""

    def capacitance(self, fanout: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Farads of wires that reach `fanout` pins each; none for none."""
        pins, lengths = np.array(self.lengths).T
        fan = np.asarray(fanout, np.float64)
        length = np.interp(fan, [0.0, *pins], [0.0, *lengths])
        return self.per_length * (length + self.slope * np.maximum(fan - pins[-1], 0))


@dataclass(frozen=True)
class Library:
    """Cells of one process at one corner."""

    voltage: float
    cells: dict[str, Cell]
    wires: dict[str, WireLoad]
    """Its wire-load models, by name."""

    def wire_load(self, name: str) -> WireLoad:
        """Wire-load model called `name`.

        Raises
        ------
        ValueError
            There is none.
        """
        if name not in self.wires:
            names = ", ".join(self.wires) or "left out, as the library has none"
            raise ValueError(f"wire_load must be one of {names}, not {name!r}")
        return self.wires[name]


@dataclass(frozen=True)
class _Units:
    capacitance: float
    voltage: float
    time: float
    leakage: float

    @property
    def energy(self) -> float:
        """Liberty states none for internal_power: it follows from charge and voltage."""
        return self.capacitance * self.voltage**2


def _unit(text: str, base: str) -> float:
    found = re.fullmatch(rf"\s*([\d.eE+-]+)\s*,?\s*([fpnumk]?){base}\s*", text, re.I)
    if found is None:
        raise ValueError(f"unit must be a number and a multiple of {base}, not {text!r}")
    return float(found[1]) * _PREFIXES[found[2].lower()]


def _units(library: Group) -> _Units:
    def value(name: str) -> str:
        if name not in library.values:
            raise ValueError(f"library {' '.join(library.names)} must state its {name}")
        return library.values[name]

    return _Units(
        capacitance=_unit(value("capacitive_load_unit"), "f"),
        voltage=_unit(value("voltage_unit"), "v"),
        time=_unit(value("time_unit"), "s"),
        leakage=_unit(value("leakage_power_unit"), "w"),
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, words(text)))


def _table(group: Group, templates: dict[str, Group], units: _Units) -> Table | None:
    flat = [x * units.energy for x in _numbers(group.values.get("values", ""))]
    if not any(flat):
        return None
    template = templates.get(" ".join(group.names))
    axes: dict[str, tuple[float, ...]] = {}
    if template is not None:
        for n in (1, 2):
            points = group.values.get(f"index_{n}", template.values.get(f"index_{n}"))
            if points is not None:
                axes[template.values[f"variable_{n}"]] = _numbers(points)
    kinds = list(axes)
    slews, loads = [k for k in kinds if "transition" in k], [k for k in kinds if "cap" in k]
    if len(slews) > 1 or len(loads) > 1 or len(slews) + len(loads) != len(kinds):
        raise ValueError(f"internal_power must depend on transition time and load, not {kinds}")
    rows = len(axes[slews[0]]) if slews else 1
    columns = len(axes[loads[0]]) if loads else 1
    if len(flat) != rows * columns:
        raise ValueError(f"values must be {rows} x {columns} numbers, not {len(flat)}")
    if kinds[:1] == loads:
        matrix = tuple(tuple(flat[i + j * rows] for j in range(columns)) for i in range(rows))
    else:
        matrix = tuple(tuple(flat[i * columns : (i + 1) * columns]) for i in range(rows))
    return Table(
        tuple(x * units.time for x in axes[slews[0]]) if slews else (0.0,),
        tuple(x * units.capacitance for x in axes[loads[0]]) if loads else (0.0,),
        matrix,
    )


def _condition(group: Group) -> boolean.Tree | None:
    when = group.values.get("when")
    return None if when is None else boolean.parse(when)


def _on_supply(group: Group, grounds: set[str]) -> bool:
    """Whether a group is not the same energy once more, as the ground rail sees it."""
    return group.values.get("related_pg_pin") not in grounds


def _pin(group: Group, units: _Units, templates: dict[str, Group], grounds: set[str]) -> Pin:
    direction = group.values.get("direction", "input")
    powers = []
    for power in group.of("internal_power"):
        if _on_supply(power, grounds):
            # `power` stands for both edges.
            sides = [power.of(f"{edge}_power") or power.of("power") for edge in ("rise", "fall")]
            tables = [_table(side[0], templates, units) if side else None for side in sides]
            powers.append(
                Power(power.values.get("related_pin"), _condition(power), tables[0], tables[1])
            )
    function = group.values.get("function")
    return Pin(
        output=direction == "output",
        clock=group.values.get("clock") == "true",
        capacitance=float(group.values.get("capacitance", 0)) * units.capacitance,
        function=None if function is None else boolean.parse(function),
        powers=tuple(powers),
    )


def _register(cell: Group) -> Register | None:
    for group in cell.of("ff"):
        wanted = ("clocked_on", "next_state", "clear", "preset")
        values = {n: boolean.parse(text) for n, text in group.values.items() if n in wanted}
        return Register(
            state=group.names[0],
            inverse=group.names[1],
            clock=values["clocked_on"],
            next=values["next_state"],
            clear=values.get("clear"),
            preset=values.get("preset"),
        )
    return None


def _cell(group: Group, units: _Units, templates: dict[str, Group]) -> Cell:
    grounds = {p.names[0] for p in group.of("pg_pin") if "ground" in p.values.get("pg_type", "")}
    default = float(group.values.get("cell_leakage_power", 0))
    states = []
    for leakage in group.of("leakage_power"):
        if _on_supply(leakage, grounds):
            when, value = _condition(leakage), float(leakage.values["value"])
            if when is None:
                default = value
            else:
                states.append((when, value * units.leakage))
    return Cell(
        name=group.names[0],
        area=float(group.values.get("area", 0)),
        pins={n: _pin(p, units, templates, grounds) for p in group.of("pin") for n in p.names},
        leakage=tuple(states),
        default_leakage=default * units.leakage,
        register=_register(group),
    )


def _wire_load(group: Group, units: _Units) -> WireLoad:
    points = [_numbers(text) for name, text in group.attributes if name == "fanout_length"]
    return WireLoad(
        per_length=float(group.values["capacitance"]) * units.capacitance,
        lengths=tuple(sorted((pins, length) for pins, length in points)),
        slope=float(group.values.get("slope", 0)),
    )


def read(paths: Iterable[Path]) -> Library:
    """Read the Liberty files of one library.

    Raises
    ------
    ValueError
        A file is not Liberty, misses what energies are computed from, or is of another corner
        than the others.
    """
    cells: dict[str, Cell] = {}
    wires: dict[str, WireLoad] = {}
    voltages: dict[float, Path] = {}
    for path in paths:
        try:
            library = groups(path.read_text())
            units = _units(library)
            templates = {
                " ".join(t.names): t for t in library.groups if t.kind.endswith("_template")
            }
            voltages[float(library.values["nom_voltage"]) * units.voltage] = path
            wires |= {" ".join(w.names): _wire_load(w, units) for w in library.of("wire_load")}
            for group in library.of("cell"):
                cell = _cell(group, units, templates)
                cells[cell.name] = cell
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"liberty must be Liberty files, not {str(path)!r} ({error})"
            ) from error
    if len(voltages) != 1:
        wanted = ", ".join(f"{v:g} V ({p.name})" for v, p in voltages.items())
        raise ValueError(f"liberty must be files of one voltage, not {wanted or 'none'}")
    return Library(next(iter(voltages)), cells, wires)
