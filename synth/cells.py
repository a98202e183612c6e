"""Cells of a standard-cell library as its Liberty files describe them: function, charge, energy.

Everything is in SI units here: farads, joules, watts, seconds, volts. The files' own units are read
from their headers.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from amxfp4.synth import boolean

__all__ = ["Cell", "Group", "Library", "Pin", "Power", "Register", "Table", "groups", "read"]

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_NOISE = re.compile(r"/\*.*?\*/|//[^\n]*|\\\r?\n", re.S)
# One statement: the end of a group, `name : value;`, or `name (arguments)` with `;` or a body.
_STATEMENT = re.compile(
    r"""\s*(?:(?P<close>\})|;|(?P<name>[\w]+)\s*(?:
        :\s*(?P<value>"[^"]*"|[^;\n}]*)
        | \((?P<arguments>(?:"[^"]*"|[^")])*)\)\s*(?P<body>\{)?
    ))""",
    re.X,
)


@dataclass
class Group:
    """One group of a Liberty file: ``kind (names) { values and groups }``."""

    kind: str
    names: list[str]
    values: dict[str, str] = field(default_factory=dict)
    """Attributes as text; those written ``name (arguments)`` without the parentheses."""
    groups: list[Group] = field(default_factory=list)

    def of(self, kind: str) -> list[Group]:
        """Find the groups of one kind directly below."""
        return [group for group in self.groups if group.kind == kind]


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,\"]+", text) if word]


def groups(text: str) -> Group:
    """Read a Liberty file as its ``library`` group.

    Raises
    ------
    ValueError
        The text is not of that form.
    """
    text = _NOISE.sub(" ", text)
    root = Group("", [])
    stack, position = [root], 0
    while found := _STATEMENT.match(text, position):
        position = found.end()
        if found["close"]:
            if len(stack) == 1:
                raise ValueError("a Liberty file must close what it opened, not more")
            stack.pop()
        elif found["body"]:
            group = Group(found["name"], _words(found["arguments"]))
            stack[-1].groups.append(group)
            stack.append(group)
        elif found["name"]:
            value = found["value"] if found["arguments"] is None else found["arguments"]
            stack[-1].values[found["name"]] = value.strip().strip('"')
    rest = text[position:].strip()
    if rest or len(stack) != 1 or len(root.groups) != 1 or root.groups[0].kind != "library":
        line = text[:position].count("\n") + 1
        raise ValueError(f"a Liberty file must be one library group, not so near line {line}")
    return root.groups[0]


@dataclass(frozen=True)
class Table:
    """Energy in joules over input transition time (s) and output load (F)."""

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """[slews][loads]."""

    def at(self, slew: float, load: float) -> float:
        """Energy between the nearest entries, linearly; beyond the ends that of the end."""
        (i, f), (j, g) = _place(self.slews, slew), _place(self.loads, load)
        rows = [row[j] * (1 - g) + row[min(j + 1, len(row) - 1)] * g for row in self.values]
        return rows[i] * (1 - f) + rows[min(i + 1, len(rows) - 1)] * f


def _place(points: tuple[float, ...], x: float) -> tuple[int, float]:
    """Index of the entry below `x`, and how far towards the next one it is, 0 to 1."""
    i = min(max(bisect.bisect_right(points, x) - 1, 0), len(points) - 1)
    if i + 1 == len(points):
        return i, 0.0
    return i, min(max((x - points[i]) / (points[i + 1] - points[i]), 0.0), 1.0)


@dataclass(frozen=True)
class Power:
    """Energy inside a cell when a pin changes."""

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
class Library:
    """Cells of one process at one corner."""

    voltage: float
    cells: dict[str, Cell]


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
    return tuple(map(float, _words(text)))


def _table(group: Group, templates: dict[str, Group], units: _Units) -> Table | None:
    flat = [x * units.energy for x in _numbers(group.values.get("values", ""))]
    if not any(flat):
        return None
    template = templates.get(" ".join(group.names))
    axes: dict[str, tuple[float, ...]] = {}
    for n in (1, 2) if template is not None else ():
        points = group.values.get(f"index_{n}", template.values.get(f"index_{n}"))  # type: ignore[union-attr]
        if points is not None:
            axes[template.values[f"variable_{n}"]] = _numbers(points)  # type: ignore[union-attr]
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
            powers.append(Power(_condition(power), tables[0], tables[1]))
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


def read(paths: Iterable[Path]) -> Library:
    """Read the Liberty files of one library.

    Raises
    ------
    ValueError
        A file is not Liberty, misses what energies are computed from, or is of another corner
        than the others.
    """
    cells: dict[str, Cell] = {}
    voltages: dict[float, Path] = {}
    for path in paths:
        try:
            library = groups(path.read_text())
            units = _units(library)
            templates = {
                " ".join(t.names): t for t in library.groups if t.kind.endswith("_template")
            }
            voltages[float(library.values["nom_voltage"]) * units.voltage] = path
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
    return Library(next(iter(voltages)), cells)
