"""Energy of a mapped netlist: what its gates did, times what each act costs in its library.

    E = sum over nets of changes * C V^2 / 2             switching
      + sum over pins of changes * internal energy       internal
      + sum over cells of leakage power * time           leakage
      + the same two for the clock's pins, every cycle   clock

docs/energy.md says what this leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.synth.gates import boolean
from amxfp4.synth.gates.activity import Activity
from amxfp4.synth.gates.cells import Cell, Library, Pin, Power, Table
from amxfp4.synth.gates.graph import ONE, Instances, Netlist

__all__ = ["Conditions", "Energy", "by_component", "by_instance", "loads", "usual_slew"]

Floats = npt.NDArray[np.float64]

INPUTS = "inputs"
"""The name under which the nets of the input ports are counted."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the library's tables need to know, and activity does not tell."""

    frequency: float = 100e6
    """Of the clock, in hertz; leakage alone depends on it."""
    slew: float | None = None
    """Transition time of every input, in seconds; ``None`` for `usual_slew`."""
    wire_load: str = ""
    """Name of a wire-load model of the library; wires have no capacitance without one."""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules, by where they go."""

    switching: float = 0.0
    """Charging and discharging nets, the clock's apart."""
    internal: float = 0.0
    """Inside cells, when their pins change."""
    leakage: float = 0.0
    clock: float = 0.0
    """The clock's pins, and what a flip-flop takes at every edge even if it keeps its state."""

    toggles: float = 0
    """Changes of nets behind it: a number, not an energy."""

    @property
    def total(self) -> float:
        """Energy in all."""
        return self.switching + self.internal + self.leakage + self.clock

    def __add__(self, other: Energy) -> Energy:
        return Energy(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Energy)}
        )


def usual_slew(library: Library) -> float:
    """Second entry of the transition times that most power tables of a library have."""
    axes = Counter(
        table.slews
        for cell in library.cells.values()
        for pin in cell.pins.values()
        for power in pin.powers
        for table in (power.rise, power.fall)
        if table is not None and len(table.slews) > 1
    )
    return axes.most_common(1)[0][0][1] if axes else 0.0


def loads(netlist: Netlist, library: Library, wire_load: str = "") -> Floats:
    """Capacitance of every net in farads: the input pins on it, and its wire if there is a model.

    Raises
    ------
    ValueError
        The library has no such model.
    """
    capacitance, fanout = np.zeros(len(netlist.names)), np.zeros(len(netlist.names))
    for kind, group in netlist.cells.items():
        cell = library.cells[kind]
        for pin in cell.inputs:
            np.add.at(capacitance, group.nets[pin], cell.pins[pin].capacitance)
            np.add.at(fanout, group.nets[pin], 1)
    if wire_load:
        capacitance += library.wire_load(wire_load).capacitance(fanout)
    capacitance[: ONE + 1] = 0
    return capacitance


@dataclass(frozen=True)
class _Model:
    """All that the energy of an instance depends on."""

    netlist: Netlist
    library: Library
    activity: Activity
    load: Floats
    slew: float
    period: float

    def _edge(self, table: Table | None, load: Any) -> Any:
        return 0.0 if table is None else table.at(self.slew, load)

    def _output(self, cell: Cell, pin: Pin, nets: npt.NDArray[np.intp]) -> Any:
        """Give the internal energy of changes of an output: the mean of its arcs."""
        powers = pin.powers
        if cell.register is not None:
            # Set and clear are off: they are behind no change.
            powers = tuple(p for p in powers if p.related == cell.register.clock)
        load, activity = self.load[nets], self.activity
        rise = sum(self._edge(p.rise, load) for p in powers) / max(len(powers), 1)
        fall = sum(self._edge(p.fall, load) for p in powers) / max(len(powers), 1)
        return activity.rises[nets] * rise + activity.falls[nets] * fall

    def _split(
        self, powers: tuple[Power, ...], counts: Any, everything: Any
    ) -> Iterator[tuple[Power, Any]]:
        """Events of every group of a pin; those that no condition fits go to the one without."""
        rest = everything
        for power in powers:
            if power.when is not None:
                fitting = counts(power.when)
                rest = rest - fitting
                yield power, fitting
        for power in powers:
            if power.when is None:
                yield power, np.maximum(rest, 0)

    def _input(self, cell: Cell, name: str, nets: npt.NDArray[np.intp]) -> Any:
        """Give the internal energy of changes of an input that is not a clock."""
        activity, powers = self.activity, cell.pins[name].powers
        total: Any = 0.0
        for edge, changes in enumerate((activity.rises, activity.falls)):

            def counts(when: boolean.Tree, edge: int = edge) -> Any:
                return activity.edges[cell.name, name, when][edge]

            for power, events in self._split(powers, counts, changes[nets]):
                total = total + events * self._edge((power.rise, power.fall)[edge], 0.0)
        return total

    def _clock(self, cell: Cell, name: str) -> Any:
        """Energy of a clock pin, which rises and falls once a cycle."""
        activity, pin = self.activity, cell.pins[name]
        total: Any = activity.cycles * pin.capacitance * self.library.voltage**2

        def counts(when: boolean.Tree) -> Any:
            return activity.holds[cell.name, when, True]

        for power, cycles in self._split(pin.powers, counts, activity.cycles):
            total = total + cycles * (self._edge(power.rise, 0.0) + self._edge(power.fall, 0.0))
        return total

    def _leakage(self, cell: Cell) -> Any:
        """Energy of leakage; a flip-flop's clock is high and low for half of a cycle each."""
        levels = (True, False) if cell.register is not None else (True,)
        total: Any = 0.0
        rest: Any = float(self.activity.cycles)
        for when, power in cell.leakage:
            cycles = sum(self.activity.holds[cell.name, when, high] for high in levels) / len(
                levels
            )
            total, rest = total + cycles * power, rest - cycles
        return (total + np.maximum(rest, 0) * cell.default_leakage) * self.period

    def of(self, kind: str, group: Instances) -> dict[str, Any]:
        """Parts of `Energy` of all instances of one cell."""
        cell = self.library.cells[kind]
        clock = cell.register.clock if cell.register is not None else None
        parts: dict[str, Any] = {f.name: np.zeros(len(group.paths)) for f in fields(Energy)}
        changes = self.activity.rises + self.activity.falls
        for name in cell.outputs:
            nets = group.nets[name]
            parts["toggles"] += changes[nets]
            parts["switching"] += changes[nets] * self.load[nets] * self.library.voltage**2 / 2
            parts["internal"] += self._output(cell, cell.pins[name], nets)
        for name in cell.inputs:
            if name == clock:
                parts["clock"] += self._clock(cell, name)
            else:
                parts["internal"] += self._input(cell, name, group.nets[name])
        parts["leakage"] += self._leakage(cell)
        return parts

    def of_inputs(self) -> Energy:
        """Give what drives the input ports the energy of their nets; the clock is not one."""
        nets = {int(n) for name in self.netlist.inputs for n in self.netlist.ports[name]}
        clocks = {
            int(n)
            for kind, group in self.netlist.cells.items()
            if (register := self.library.cells[kind].register) is not None
            for n in group.nets[register.clock]
        }
        at = np.array(sorted(nets - clocks), np.intp)
        changes = (self.activity.rises + self.activity.falls)[at]
        return Energy(
            switching=float(changes @ self.load[at] * self.library.voltage**2 / 2),
            toggles=float(changes.sum()),
        )


def by_instance(
    netlist: Netlist, library: Library, activity: Activity, conditions: Conditions
) -> dict[str, Energy]:
    """Energy of every instance by its path, and of the input ports' nets under ``inputs``.

    Joules of all counted cycles of all streams together. A net belongs to what drives it.

    Raises
    ------
    ValueError
        A condition is not what it must be.
    """
    slew = usual_slew(library) if conditions.slew is None else conditions.slew
    if not conditions.frequency > 0:
        raise ValueError(f"frequency must be above 0 Hz, not {conditions.frequency!r}")
    load = loads(netlist, library, conditions.wire_load)
    model = _Model(netlist, library, activity, load, slew, 1 / conditions.frequency)
    energies = {INPUTS: model.of_inputs()}
    for kind, group in netlist.cells.items():
        parts = model.of(kind, group)
        for at, path in enumerate(group.paths):
            energies[path] = Energy(**{name: float(values[at]) for name, values in parts.items()})
    return energies


def by_component(
    energies: Mapping[str, Energy], component_of: Callable[[str], str]
) -> dict[str, Energy]:
    """Sum the energies of instances, as `by_instance` returns them, by component.

    The sum of everything comes first, under the empty name.
    """
    sums = {"": Energy()}
    for path, energy in energies.items():
        for name in ("", component_of(path)):
            sums[name] = sums.get(name, Energy()) + energy
    return sums
