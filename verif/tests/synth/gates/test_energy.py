"""Energies against numbers worked out by hand, and errors that must change them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.synth.gates import cells, energy_model, graph
from amxfp4.synth.gates.activity import Activity, Recorder
from amxfp4.synth.gates.energy_model import Conditions, Energy, by_component, by_instance
from amxfp4.synth.gates.simulation import ALL, Simulation

TINY = Path(__file__).parents[1] / "tiny.lib"
STREAMS = 64

# n1 = not (a and b); q is n1 a cycle later; y = not q.
BITS = {"clk": 2, "a": 3, "b": 4, "n1": 5, "q": 6, "y": 7}
MODULE: dict[str, Any] = {
    "ports": {
        **{name: {"direction": "input", "bits": [BITS[name]]} for name in ("clk", "a", "b")},
        "y": {"direction": "output", "bits": [BITS["y"]]},
    },
    "cells": {
        "front.gate": {"type": "NAND2", "connections": {"A": [3], "B": [4], "Y": [5]}},
        "back.state": {"type": "DFF", "connections": {"CLK": [2], "D": [5], "Q": [6]}},
        "back.gate": {"type": "INV", "connections": {"A": [6], "Y": [7]}},
    },
    "netnames": {name: {"bits": [bit]} for name, bit in BITS.items()},
}
INPUTS = [(0, 0), (1, 1), (1, 0), (1, 0), (0, 1)]
"""a and b in five cycles, of which the last four are counted."""
# What follows from them, cycle by cycle:
#   a   0 1 1 1 0     rises 1, falls 1
#   b   0 1 0 0 1     rises 2, falls 1
#   n1  1 0 1 1 1     rises 1, falls 1
#   q   0 1 0 1 1     rises 2, falls 1
#   y   1 0 1 0 0     rises 1, falls 2
CHANGES = {"a": (1, 1), "b": (2, 1), "n1": (1, 1), "q": (2, 1), "y": (1, 2)}

CONDITIONS = Conditions(frequency=100e6, slew=0.2e-9)


def circuit() -> tuple[graph.Netlist, cells.Library, Activity]:
    """Run the circuit above, the same in all streams."""
    library = cells.read([TINY])
    flat = graph.from_json(MODULE, library)
    simulation = Simulation(flat, library, STREAMS)
    recorder = None
    for a, b in INPUTS:
        simulation.set("a", ALL * np.uint64(a))
        simulation.set("b", ALL * np.uint64(b))
        simulation.settle()
        if recorder is None:
            recorder = Recorder(simulation)
        else:
            recorder.look()
        simulation.clock()
    assert recorder is not None
    return flat, library, recorder.activity()


def picojoules(energy: Energy) -> dict[str, float]:
    """Energies of one stream."""
    scale = 1e12 / STREAMS
    return {
        part.name: getattr(energy, part.name) * scale
        for part in dataclasses.fields(energy)
        if part.name != "toggles"
    }


def measured(conditions: Conditions = CONDITIONS, **changed: Any) -> dict[str, dict[str, float]]:
    """Energies of the circuit, by component."""
    flat, library, activity = circuit()
    activity = dataclasses.replace(activity, **changed)
    sums = by_component(by_instance(flat, library, activity, conditions), lambda p: p.split(".")[0])
    return {name: picojoules(energy) for name, energy in sums.items()}


# With C V^2 / 2 = 2 pJ a picofarad. The NAND's output is loaded with D, 1 pF, the inverter's with
# nothing; the mean of the NAND's arcs there is 2 pJ (rise) and 4 pJ (fall).
EXPECTED: dict[str, dict[str, float]] = {
    # a: 2 changes of 1 pF; b: 3 of 2 pF.
    "inputs": {"switching": 2 * 1 * 2 + 3 * 2 * 2, "internal": 0, "leakage": 0, "clock": 0},
    # n1: 2 changes of 1 pF; a and b are both high in one cycle of four.
    "front": {
        "switching": 2 * 1 * 2, "internal": 1 * 2 + 1 * 4,
        "leakage": (8 + 3 * 4) * 1e-9 * 10e-9 * 1e12, "clock": 0,
    },
    # q: 3 changes of 1 pF; y: nothing to charge. Q 10 and 6 pJ, Y 2 and 4 pJ, D 1 and 2 pJ.
    # The flip-flop's clock: 1 pF up and down, 4 pJ; D and Q differ in two of four cycles, 3 pJ,
    # else 8 pJ. It leaks 6 nW and 2 nW, half of the time each; the inverter 1 nW.
    "back": {
        "switching": 3 * 1 * 2,
        "internal": (2 * 10 + 1 * 6) + (1 * 2 + 2 * 4) + (1 * 1 + 1 * 2),
        "leakage": 4 * (4 + 1) * 1e-9 * 10e-9 * 1e12,
        "clock": 4 * 1 * 4 + 2 * 3 + 2 * 8,
    },
}  # fmt: skip


def test_energy_is_the_one_by_hand() -> None:
    """Every part of every component, and their sum."""
    got = measured()
    for name, parts in EXPECTED.items():
        assert got[name] == pytest.approx(parts, rel=1e-12), name
    whole = {part: sum(parts[part] for parts in EXPECTED.values()) for part in got[""]}
    assert got[""] == pytest.approx(whole, rel=1e-12)
    assert whole["switching"] == 26
    assert whole["internal"] == 45
    assert whole["clock"] == 38


def test_changes_are_the_ones_by_hand() -> None:
    """Rises and falls of every net."""
    flat, _, activity = circuit()
    assert activity.cycles == 4 * STREAMS
    for name, (rises, falls) in CHANGES.items():
        at = flat.names.index(name)
        assert (activity.rises[at], activity.falls[at]) == (rises * STREAMS, falls * STREAMS), name


def test_one_change_more_is_seen() -> None:
    """Toggles that are off by one give another energy."""
    flat, _, activity = circuit()
    rises = activity.rises.copy()
    rises[flat.names.index("n1")] += 1
    got = measured(rises=rises)
    assert got[""] != pytest.approx(measured()[""], rel=1e-12)
    # One more rise of 1 pF, with 2 pJ inside the NAND and 1 pJ inside the flip-flop.
    assert got["front"]["switching"] - EXPECTED["front"]["switching"] == pytest.approx(2 / STREAMS)
    assert got["front"]["internal"] - EXPECTED["front"]["internal"] == pytest.approx(2 / STREAMS)


def test_missing_load_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pin whose capacitance is forgotten gives another energy."""
    right = energy_model.loads

    def wrong(flat: graph.Netlist, *options: Any) -> Any:
        load = right(flat, *options)
        load[flat.names.index("n1")] = 0
        return load

    monkeypatch.setattr(energy_model, "loads", wrong)
    assert measured()[""]["switching"] == pytest.approx(26 - 4, rel=1e-12)


@pytest.mark.parametrize("condition", ["D ^ Q", "A & B", "CLK"])
def test_uncounted_condition_is_seen(condition: str) -> None:
    """Conditions decide about clock, leakage and input pins: without counts energies differ."""
    from amxfp4.synth.gates import boolean

    tree = boolean.parse(condition)
    _, _, activity = circuit()
    holds = {k: v * 0 if k[1] == tree else v for k, v in activity.holds.items()}
    edges = {k: (v[0] * 0, v[1] * 0) if k[2] == tree else v for k, v in activity.edges.items()}
    assert measured(holds=holds, edges=edges)[""] != pytest.approx(measured()[""], rel=1e-9)


def test_energy_follows_conditions() -> None:
    """Leakage goes with time; internal energy with slopes and loads; wires add their load."""
    slow = measured(Conditions(frequency=50e6, slew=0.2e-9))
    assert slow[""]["leakage"] == pytest.approx(2 * measured()[""]["leakage"])
    assert slow[""]["internal"] == measured()[""]["internal"]

    steep = measured(Conditions(frequency=100e6, slew=0.1e-9))
    assert steep["front"]["internal"] == pytest.approx(9 + 9)
    between = measured(Conditions(frequency=100e6, slew=0.15e-9))
    assert between["front"]["internal"] == pytest.approx((9 + 9 + 2 + 4) / 2)

    # A wire to one pin is 2 long, at 0.5 pF: 1 pF more on n1, on q and on the inputs. At 2 pF the
    # NAND's arcs are halfway to their second entries: rise 3 and 3, fall 5 and 5.
    wired = measured(Conditions(frequency=100e6, slew=0.2e-9, wire_load="short"))
    assert wired["front"]["switching"] == pytest.approx(2 * 2 * 2)
    assert wired["front"]["internal"] == pytest.approx(3 + 5)
    with pytest.raises(ValueError, match="wire_load must be one of short, not 'long'"):
        measured(Conditions(wire_load="long"))
    with pytest.raises(ValueError, match="frequency must be above 0 Hz"):
        measured(Conditions(frequency=0))


def test_usual_slew_is_the_second_entry() -> None:
    """The default transition time is an entry of the library's own tables."""
    assert energy_model.usual_slew(cells.read([TINY])) == pytest.approx(0.2e-9)
    default = measured(Conditions(frequency=100e6))
    assert default[""] == pytest.approx(measured()[""])
