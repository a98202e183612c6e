"""Gate-level simulation of many streams at once, and what changed in it.

Bit s of a 64-bit word is a net's value in stream s: one operation on words evaluates a gate in 64
copies of the circuit, each fed with data of its own. Gates have no delay, so that a net changes at
most once a cycle: glitches do not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.synth.gates import boolean
from amxfp4.synth.gates.cells import Cell, Library, Register
from amxfp4.synth.gates.graph import ONE, Indices, Netlist

__all__ = ["ALL", "Simulation", "Words"]

Words = npt.NDArray[np.uint64]

ALL = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class _Step:
    """Cells of one kind whose inputs are known: their output `pin` at nets [start, stop)."""

    tree: boolean.Tree
    inputs: dict[str, Indices]
    start: int
    stop: int


@dataclass(frozen=True)
class _Flops:
    """Flip-flops of one kind."""

    register: Register
    inputs: dict[str, Indices]
    outputs: list[tuple[boolean.Tree, Indices]]


class Simulation:
    """A netlist with the state of all its copies.

    Parameters
    ----------
    netlist
        Combinational cells, and flip-flops that all see the rising edge of the port `clock`.
    library
        What its cells do.
    streams
        Copies of the circuit, a multiple of 64.
    clock
        The clock's port; a circuit without flip-flops needs none.

    Raises
    ------
    ValueError
        The netlist has a loop, a latch, another clock, or a flip-flop that is set or cleared.
    """

    def __init__(
        self, netlist: Netlist, library: Library, streams: int, clock: str = "clk"
    ) -> None:
        if streams < 64 or streams % 64:
            raise ValueError(f"streams must be a positive multiple of 64, not {streams!r}")
        self.streams = streams
        self.netlist, self.library = netlist, library
        clocks = netlist.ports.get(clock, np.zeros(0, np.intp))
        self._clock = int(clocks[0]) if len(clocks) else None
        self._flops = [
            self._flip_flops(library.cells[kind], group.nets)
            for kind, group in netlist.cells.items()
            if library.cells[kind].register is not None
        ]
        self.rows = np.zeros(len(netlist.names), np.intp)
        """Row of every net in `values`: outputs of one step stand side by side."""
        self._steps = self._levelize()
        self.values: Words = np.zeros((len(netlist.names), streams // 64), np.uint64)
        """Values of all nets, [rows, streams / 64]."""
        self.values[self.rows[ONE]] = ALL
        if self._clock is not None:
            # Data change after the rising edge, while the clock is high.
            self.values[self.rows[self._clock]] = ALL
        self.settle()

    def _flip_flops(self, cell: Cell, nets: dict[str, Indices]) -> _Flops:
        register = cell.register
        assert register is not None
        at = nets.get(register.clock) if isinstance(register.clock, str) else None
        if at is None or self._clock is None or (at != self._clock).any():
            raise ValueError(f"every {cell.name} must see the rising edge of the one clock")
        for asynchronous in (register.clear, register.preset):
            if asynchronous is None:
                continue
            tied = {pin: nets[pin] for pin in boolean.names(asynchronous)}
            if any((n > ONE).any() for n in tied.values()):
                raise ValueError(f"set and clear of every {cell.name} must be tied")
            if (boolean.evaluate(asynchronous, tied) & 1).any():
                raise ValueError(f"set and clear of every {cell.name} must be off")
        outputs = [(cell.pins[pin].function, nets[pin]) for pin in cell.outputs]
        return _Flops(register, {pin: nets[pin] for pin in cell.inputs}, outputs)

    def _levelize(self) -> list[_Step]:
        """Order the steps so that every input is known, and give every net a row."""
        gates: list[tuple[str, str, int]] = []
        driver: dict[int, int] = {}
        netlist, library = self.netlist, self.library
        for kind, group in netlist.cells.items():
            cell = library.cells[kind]
            if cell.register is not None:
                continue
            for pin in cell.outputs:
                if cell.pins[pin].function is None:
                    raise ValueError(f"{kind} must have a function at pin {pin}")
                for at, output in enumerate(group.nets[pin]):
                    driver[int(output)] = len(gates)
                    gates.append((kind, pin, at))
        level = self._levels(gates, driver)
        # Gates of one level and kind make one step; its outputs get neighbouring rows.
        order: dict[tuple[int, str, str], list[int]] = {}
        for gate, (kind, pin, at) in enumerate(gates):
            order.setdefault((level[gate], kind, pin), []).append(at)
        rows = [n for n in range(len(netlist.names)) if n not in driver]
        blocks = []
        for (_, kind, pin), members in sorted(order.items()):
            outputs = netlist.cells[kind].nets[pin][members]
            blocks.append((kind, pin, members, len(rows)))
            rows.extend(map(int, outputs))
        self.rows[rows] = np.arange(len(rows))
        steps = []
        for kind, pin, members, start in blocks:
            tree = library.cells[kind].pins[pin].function
            nets = netlist.cells[kind].nets
            inputs = {name: self.rows[nets[name][members]] for name in boolean.names(tree)}
            steps.append(_Step(tree, inputs, start, start + len(members)))
        return steps

    def _levels(self, gates: list[tuple[str, str, int]], driver: dict[int, int]) -> list[int]:
        """Longest path from a port or flip-flop to each gate, in gates."""
        netlist, library = self.netlist, self.library
        needs: list[list[int]] = []
        for kind, pin, at in gates:
            nets = netlist.cells[kind].nets
            used = boolean.names(library.cells[kind].pins[pin].function)
            needs.append([driver[n] for name in used if (n := int(nets[name][at])) in driver])
        feeds: list[list[int]] = [[] for _ in gates]
        waiting = [len(n) for n in needs]
        for gate, sources in enumerate(needs):
            for source in sources:
                feeds[source].append(gate)
        level = [0] * len(gates)
        ready = [gate for gate, count in enumerate(waiting) if not count]
        done = 0
        while ready:
            gate = ready.pop()
            done += 1
            for follower in feeds[gate]:
                level[follower] = max(level[follower], level[gate] + 1)
                waiting[follower] -= 1
                if not waiting[follower]:
                    ready.append(follower)
        if done != len(gates):
            stuck = next(g for g, count in enumerate(waiting) if count)
            kind, pin, at = gates[stuck]
            raise ValueError(f"gates must not form a loop ({netlist.cells[kind].paths[at]})")
        return level

    def set(self, port: str, words: Any) -> None:
        """Drive an input port with [bits, streams / 64] words, or with one bit for all."""
        self.values[self.rows[self.netlist.ports[port]]] = words

    def get(self, port: str) -> Words:
        """Values of a port, [bits, streams / 64]."""
        return self.values[self.rows[self.netlist.ports[port]]]

    def settle(self) -> None:
        """Let changed inputs and states reach every net."""
        values = self.values
        for step in self._steps:
            inputs: dict[str, Any] = {name: values[rows] for name, rows in step.inputs.items()}
            inputs["0"], inputs["1"] = np.uint64(0), ALL
            values[step.start : step.stop] = boolean.evaluate(step.tree, inputs)

    def clock(self) -> None:
        """Let every flip-flop take its next state. `settle` follows, after new inputs."""
        values = self.values
        next_values = []
        for flops in self._flops:
            inputs = {pin: values[self.rows[at]] for pin, at in flops.inputs.items()}
            next_values.append(boolean.evaluate(flops.register.next, inputs))
        for flops, state in zip(self._flops, next_values, strict=True):
            known = {flops.register.state: state, flops.register.inverse: ~state}
            for tree, at in flops.outputs:
                values[self.rows[at]] = boolean.evaluate(tree, known)
