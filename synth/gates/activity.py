"""Traffic through a simulated netlist, and what it makes the gates do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.synth.gates import boolean
from amxfp4.synth.gates.cells import Cell
from amxfp4.synth.gates.graph import Indices
from amxfp4.synth.gates.simulation import ALL, Simulation, Words

__all__ = ["Activity", "Recorder", "TrafficError", "drive"]

Counts = npt.NDArray[np.int64]


_IDLE_LIMIT = 10_000
"""Cycles without a transfer after which no more will come."""
_DRAIN = 40
"""Cycles in which outputs would come that no input accounts for."""


class TrafficError(AssertionError):
    """The netlist did not stream as a unit does."""


@dataclass
class Activity:
    """What happened in the counted cycles, summed over all streams."""

    cycles: int
    """Cycles times streams."""
    rises: Counts
    """Of every net."""
    falls: Counts
    holds: dict[tuple[str, boolean.Tree, bool], Counts]
    """Cycles in which a condition held after all had settled, by cell, condition and whether the
    clock is high; of every instance."""
    edges: dict[tuple[str, str, boolean.Tree], tuple[Counts, Counts]]
    """Rises and falls of an input pin that left a condition true, by cell, pin and condition; of
    every instance."""


def _count(words: Words) -> Counts:
    """Ones in each row."""
    return np.bitwise_count(words).sum(axis=-1, dtype=np.int64)


@dataclass(frozen=True)
class _Watch:
    """Conditions of all instances of one cell."""

    kind: str
    cell: Cell
    rows: dict[str, Indices]
    states: list[boolean.Tree]
    pins: list[tuple[str, boolean.Tree]]

    def pin_values(self, values: Words, *, high: bool) -> dict[str, Any]:
        """Values of the pins that conditions read, with the clock as given."""
        known: dict[str, Any] = {pin: values[rows] for pin, rows in self.rows.items()}
        known["0"], known["1"] = np.uint64(0), ALL
        if self.cell.register is not None and self.cell.register.clock in known:
            known[self.cell.register.clock] = np.broadcast_to(
                ALL if high else np.uint64(0), known[self.cell.register.clock].shape
            )
        return known


class Recorder:
    """Counts changes and conditions of a simulation, one call of `look` a cycle.

    Parameters
    ----------
    simulation
        What to look at; its values now are those before the first counted cycle.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._before = simulation.values.copy()
        size = len(simulation.rows)
        self._cycles = 0
        self._rises, self._changes = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self._holds: dict[tuple[str, boolean.Tree, bool], Any] = {}
        self._edges: dict[tuple[str, str, boolean.Tree], tuple[Any, Any]] = {}
        self._watches = [
            watch
            for kind, group in simulation.netlist.cells.items()
            if (watch := self._watch(simulation.library.cells[kind], group.nets)) is not None
        ]

    def _watch(self, cell: Cell, nets: dict[str, Indices]) -> _Watch | None:
        states = [when for when, _ in cell.leakage]
        pins = []
        for name, pin in cell.pins.items():
            conditions = [p.when for p in pin.powers if p.when is not None and not pin.output]
            if pin.clock:
                states += conditions
            else:
                pins += [(name, when) for when in conditions]
        trees = [*states, *(when for _, when in pins)]
        if not trees:
            return None
        read = set().union(*map(boolean.names, trees), (name for name, _ in pins))
        rows = {pin: self._simulation.rows[nets[pin]] for pin in read}
        return _Watch(cell.name, cell, rows, list(dict.fromkeys(states)), pins)

    def look(self) -> None:
        """Count the cycle that has just settled."""
        now, before = self._simulation.values, self._before
        changed = now ^ before
        self._changes += _count(changed)
        np.bitwise_and(changed, now, out=changed)
        self._rises += _count(changed)
        for watch in self._watches:
            self._conditions(watch, now, before)
        before[:] = now
        self._cycles += self._simulation.streams

    def _conditions(self, watch: _Watch, now: Words, before: Words) -> None:
        holds, edges = self._holds, self._edges
        for high in (True, False) if watch.cell.register is not None else (True,):
            values = watch.pin_values(now, high=high)
            for tree in watch.states:
                key = (watch.kind, tree, high)
                holds[key] = holds.get(key, 0) + _count(boolean.evaluate(tree, values))
            if not high:
                continue
            for pin, tree in watch.pins:
                true = boolean.evaluate(tree, values)
                past = before[watch.rows[pin]]
                counts = _count(true & values[pin] & ~past), _count(true & ~values[pin] & past)
                old = edges.get((watch.kind, pin, tree), (0, 0))
                edges[watch.kind, pin, tree] = (old[0] + counts[0], old[1] + counts[1])

    def activity(self) -> Activity:
        """Give what was counted, by net and instance of the netlist."""
        rows = self._simulation.rows
        rises = self._rises[rows]
        return Activity(
            cycles=self._cycles,
            rises=rises,
            falls=self._changes[rows] - rises,
            holds=self._holds,
            edges=self._edges,
        )


def to_words(bits: npt.NDArray[np.uint8]) -> Words:
    """Bits [..., streams] as words [..., streams / 64]: stream s in bit s % 64 of word s // 64."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64, copy=False)


def to_bits(words: Words) -> npt.NDArray[np.uint8]:
    """Undo `to_words`."""
    raw = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(raw, axis=-1, bitorder="little")


def drive(
    simulation: Simulation,
    beats: npt.NDArray[np.uint32],
    n_out: int,
    *,
    skip: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Activity, npt.NDArray[np.uint32]]:
    """Stream beats through a unit at full speed, in all copies at once.

    Parameters
    ----------
    simulation
        A netlist with the ports of a unit, in its initial state.
    beats : uint32 [streams, n, words]
        Input payloads of every stream, bit 0 in bit 0 of word 0.
    n_out
        Outputs that a stream's beats account for.
    skip
        Beats of a stream that enter before counting begins, so that the pipeline is full; from 1
        to n - 1.
    progress
        Called with the number of beats taken and of all beats.

    Returns
    -------
    activity : Activity
        Of the cycles from beat `skip` to the last one's entering.
    outputs : uint32 [streams, n_out, words]

    Raises
    ------
    TrafficError
        The copies do not move together, or an output is missing or one too many.
    """
    streams, count, _ = beats.shape
    if streams != simulation.streams or not 0 < skip < count:
        wanted = f"[{simulation.streams}, n > {skip} > 0, words]"
        raise ValueError(f"beats must be {wanted}, not {list(beats.shape)}")
    for port, bit in (("rst", ALL), ("i__valid", 0), ("o__ready", ALL), ("i__payload", 0)):
        simulation.set(port, bit)
    simulation.settle()
    simulation.clock()
    simulation.set("rst", 0)

    outputs: list[npt.NDArray[np.uint8]] = []
    recorder: Recorder | None = None
    taken, idle, drained = 0, 0, 0
    while taken < count or len(outputs) < n_out or drained < _DRAIN:
        drained = drained + 1 if taken == count and len(outputs) == n_out else 0
        offering = taken < count
        simulation.set("i__valid", ALL if offering else 0)
        if offering:
            simulation.set("i__payload", _payload(beats[:, taken], simulation))
        simulation.settle()
        if recorder is not None and offering:
            recorder.look()
        i_moves = offering and _together(simulation, "i__ready")
        o_moves = _together(simulation, "o__valid")
        if o_moves:
            outputs.append(to_bits(simulation.get("o__payload")))
        idle = 0 if i_moves or o_moves else idle + 1
        if len(outputs) > n_out or idle > _IDLE_LIMIT:
            raise TrafficError(f"outputs must be {n_out} a stream, not {len(outputs)}")
        taken += i_moves
        if recorder is None and taken == skip:
            recorder = Recorder(simulation)
        if i_moves and progress is not None:
            progress(taken, count)
        simulation.clock()
    assert recorder is not None
    return recorder.activity(), _gather(outputs)


def _payload(beat: npt.NDArray[np.uint32], simulation: Simulation) -> Words:
    """One beat of all streams [streams, words] as words [bits, streams / 64]."""
    raw = np.ascontiguousarray(beat, dtype="<u4").view(np.uint8)
    bits = np.unpackbits(raw, axis=1, bitorder="little")
    return to_words(bits[:, : len(simulation.netlist.ports["i__payload"])].T)


def _together(simulation: Simulation, port: str) -> bool:
    """Value of a handshake signal, which does not depend on data."""
    words = simulation.get(port)
    if (words != words[0, 0]).any() or words[0, 0] not in (0, ALL):
        raise TrafficError(f"{port} must not depend on data")
    return bool(words[0, 0])


def _gather(outputs: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint32]:
    """Output payloads, [bits, streams] each, as [streams, n, words]."""
    bits = np.stack(outputs).transpose(2, 0, 1)
    bits = np.pad(bits, ((0, 0), (0, 0), (0, -bits.shape[2] % 32)))
    raw = np.packbits(bits, axis=2, bitorder="little")
    return np.ascontiguousarray(raw).view("<u4").astype(np.uint32, copy=False)
