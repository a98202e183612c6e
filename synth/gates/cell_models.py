"""What mapped cells do, as Verilog, so that netlists can be simulated and proved.

Models of standard cells are written from their Liberty description; those of FPGA cells are Yosys',
and of block RAM in ``synth/models``. A netlist of generic gates is plain Verilog already.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from amxfp4.synth.gates import boolean, cells
from amxfp4.synth.gates.cells import Cell, Library

__all__ = ["complete", "standard_cell"]

_WAIVED = "".join(
    f"/* verilator lint_off {name} */\n"
    for name in (
        "DECLFILENAME", "GENUNNAMED", "INITIALDLY", "PINMISSING", "SPECIFYIGN", "UNDRIVEN",
        "UNOPTFLAT", "UNUSED", "WIDTH",
    )
)  # fmt: skip
"""What Verilator finds in netlists, where bits that nothing needs are left open and two bits of a
carry chain seem to depend on themselves, and in Yosys' models."""


@functools.cache
def _ecp5() -> str:
    """Models of the cells of ECP5: those of Yosys, and of the block RAM, which it lacks."""
    lattice = resources.files("pyosys") / "share" / "lattice"
    texts = [(lattice / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh")]
    ours = (Path(__file__).parents[1] / "models" / "ecp5.v").read_text()
    return "\n".join(["`define NO_INCLUDES", *texts, ours])


def _after_zeros(tree: boolean.Tree) -> int:
    return int(boolean.evaluate(tree, dict.fromkeys(boolean.names(tree), 0) | {"0": 0, "1": 1})) & 1


def standard_cell(cell: Cell) -> str:
    """Verilog module of a standard cell: gates without delay, or a flip-flop.

    Raises
    ------
    ValueError
        The library does not say what an output does.
    """
    ports = [f"output {name}" for name in cell.outputs] + [f"input {name}" for name in cell.inputs]
    lines = [f"module {cell.name} ({', '.join(ports)});"]
    register = cell.register
    if register is not None:
        events = ["posedge clock"]
        updates = ""
        lines.append(f"  wire clock = {boolean.verilog(register.clock)};")
        for name, value, tree in (("clear", 0, register.clear), ("preset", 1, register.preset)):
            if tree is not None:
                lines.append(f"  wire {name} = {boolean.verilog(tree)};")
                events.append(f"posedge {name}")
                updates += f"if ({name}) {register.state} <= {value}; else "
        lines += [
            # As if it had taken in zeros: outputs agree with the design's registers before a reset.
            f"  reg {register.state} = {_after_zeros(register.next)};",
            f"  wire {register.inverse} = ~{register.state};",
            f"  always @({' or '.join(events)})",
            f"    {updates}{register.state} <= {boolean.verilog(register.next)};",
        ]
    for name in cell.outputs:
        function = cell.pins[name].function
        if function is None:
            raise ValueError(f"{cell.name} must have a function at pin {name}")
        lines.append(f"  assign {name} = {boolean.verilog(function)};")
    return "\n".join([*lines, "endmodule", ""])


def _standard_cells(netlist: str, library: Library) -> str:
    # Cells stand at the head of a line, before the name of the instance.
    used = set(re.findall(r"^\s*\\?(\w+)\s", netlist, re.M)) & set(library.cells)
    return "\n".join(standard_cell(library.cells[name]) for name in sorted(used))


def complete(netlist: str, target: str, liberty: Iterable[Path] = ()) -> str:
    """Verilog of a mapped netlist together with models of its cells.

    Parameters
    ----------
    netlist
        What the synthesis wrote.
    target
        What it was synthesized for.
    liberty
        The Liberty files of target ``liberty``.

    Raises
    ------
    ValueError
        There are no models for `target`, or for a cell of the netlist.
    """
    if target == "generic":
        return f"{_WAIVED}{netlist}"
    if target == "liberty":
        return f"{_WAIVED}{netlist}\n{_standard_cells(netlist, cells.read(liberty))}"
    if target not in ("ecp5", "ecp5-pnr"):
        raise ValueError(f"target must be one of generic, liberty, ecp5, ecp5-pnr, not {target!r}")
    modelled = dict.fromkeys(re.findall(r"^module (\w+)", _ecp5(), re.M))
    for cell in re.findall(r"^  ([A-Z]\w+) (?:#\(|\S+ +\()", netlist, re.M):
        if cell not in modelled:
            raise ValueError(f"cells for {target} must be of {', '.join(modelled)}, not {cell}")
    return f"{_WAIVED}{netlist}\n{_ecp5()}"
