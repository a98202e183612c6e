"""Faults planted in mapped netlists: a gate of another function, two wires swapped."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["flipped", "swapped"]

# What a gate is called, and what replaces it: the inverse table, OR for AND, XOR for NAND.
_GATES = {
    "generic": (r"^  assign [^;]*&", lambda gate: gate[0][:-1] + "|"),
    "liberty": (r"^  NAND2 ", lambda gate: "  XOR2 "),
    "ecp5": (r"\.INIT\(16'h(\w{4})", lambda gate: f".INIT(16'h{0xFFFF ^ int(gate[1], 16):04x}"),
}
# The net that a flip-flop takes over.
_STATES = {
    "generic": r"<= (\S+);",
    "liberty": r"\.D\((\\?\S+(?: \[\d+\])? ?)\)",
    "ecp5": r"\.DI\((\\?\S+(?: \[\d+\])? ?)\)",
}


def flipped(netlist: str, target: str, rng: np.random.Generator) -> str:
    """Netlist with one gate, drawn at random, of another function.

    Raises
    ------
    ValueError
        There is no such gate.
    """
    pattern, new = _GATES[target]
    found = list(re.finditer(pattern, netlist, re.M))
    if not found:
        raise ValueError(f"netlist for {target} must have gates")
    gate = found[int(rng.integers(len(found)))]
    return netlist[: gate.start()] + new(gate) + netlist[gate.end() :]


def swapped(netlist: str, target: str, rng: np.random.Generator) -> str:
    """Netlist in which two flip-flops, drawn at random, take over each other's next state.

    Raises
    ------
    ValueError
        There are not two.
    """
    found = list(re.finditer(_STATES[target], netlist))
    first, second = found[0], found[0]
    if len({place[1] for place in found}) < 2:
        raise ValueError(f"netlist for {target} must have two flip-flops")
    while first[1] == second[1]:
        first, second = (found[n] for n in sorted(rng.integers(len(found), size=2)))
    middle = netlist[first.end(1) : second.start(1)]
    return netlist[: first.start(1)] + second[1] + middle + first[1] + netlist[second.end(1) :]
