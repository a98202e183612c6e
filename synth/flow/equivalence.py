"""Proofs that a mapped netlist does what the generated Verilog does.

Both circuits get the same inputs; a *miter* says when their outputs differ; ABC shows that it never
says so. Combinational circuits are compared for all inputs. Clocked ones start where two cycles of
reset lead, with data registers at zero, and are compared in all states that can follow: ABC finds
which nets of the two are always equal, and with them as an invariant the outputs.
"""

from __future__ import annotations

import enum
import re
import tempfile
from importlib import resources
from pathlib import Path

from amxfp4.synth.flow.net_names import Port, ports
from amxfp4.util import process, pyosys
from amxfp4.util.errors import ToolError

__all__ = ["ProofError", "Verdict", "prove"]


class ProofError(RuntimeError):
    """There was no answer: the circuits cannot be compared, or a limit was reached."""


class Verdict(enum.Enum):
    """What became of the claim that two circuits are equivalent."""

    PROVEN = "proven"
    REFUTED = "refuted"
    """There are inputs from which they differ."""


_SCRIPT = """
read_verilog design.v
hierarchy -check -top {top}
proc
flatten
rename {top} gold
design -stash gold
read_verilog netlist.v
hierarchy -check -top {top}
proc
flatten
rename {top} gate
design -stash gate
design -copy-from gold gold
design -copy-from gate gate
read_verilog miter.v
hierarchy -check -top miter
proc
flatten
memory_map
async2sync
opt -fast
techmap
opt -fast
setundef -zero -init -undriven
dfflegalize -cell $_DFF_P_ 01
aigmap
opt_clean
write_aiger -zinit miter.aig
"""

_RESET_CYCLES = 2
_DURING_RESET = {"clk": "clk", "rst": "rst | !running"}
"""What these ports get; the others get zeros until the reset is over."""

_STATUS = {"1": Verdict.PROVEN, "0": Verdict.REFUTED}


def _miter(ports: list[Port]) -> str:
    """Verilog of both circuits side by side, and of what says that they differ."""
    clocked = any(port.name == "clk" for port in ports)
    inputs = [port for port in ports if not port.output]
    outputs = [port for port in ports if port.output]
    if not outputs:
        raise ProofError("the design must have outputs")
    names = ", ".join(port.name for port in inputs)
    lines = [f"module miter({names}, differs);"]
    lines += [f"  input [{p.width - 1}:0] {p.name};" for p in inputs]
    lines += ["  output differs;", "  wire running;"]
    if clocked:
        lines += [
            f"  reg [{_RESET_CYCLES}:0] age = 1;",
            f"  assign running = age[{_RESET_CYCLES}];",
            "  always @(posedge clk) if (!running) age <= age << 1;",
        ]
    else:
        lines.append("  assign running = 1;")
    wired = {}
    for port in inputs:
        wired[port.name] = f"{port.name} & {{{port.width}{{running}}}}"
    wired |= {name: value for name, value in _DURING_RESET.items() if name in wired}
    for side in ("gold", "gate"):
        connections = [f".{name}({value})" for name, value in wired.items()]
        for port in outputs:
            lines.append(f"  wire [{port.width - 1}:0] {side}_{port.name};")
            connections.append(f".{port.name}({side}_{port.name})")
        lines.append(f"  {side} {side}_({', '.join(connections)});")
    different = " | ".join(f"(gold_{p.name} != gate_{p.name})" for p in outputs)
    return "\n".join([*lines, f"  assign differs = running & ({different});", "endmodule", ""])


def _decide(folder: Path, clocked: bool, timeout: int) -> Verdict:
    # `cycle` runs through the reset; `scorr` merges what is always equal.
    steps = [f"cycle -F {_RESET_CYCLES}", "scorr", "dprove"] if clocked else ["iprove"]
    commands = "; ".join(["read_aiger miter.aig", "strash", *steps, "print_status"])
    program = str(resources.files("pyosys") / "yosys-abc")
    text = process.run([program, "-q", commands], cwd=folder, timeout=timeout)
    found = re.findall(r"^Status = (-?\d)", text, re.M)
    if len(found) != 1 or found[0] not in _STATUS:
        raise ProofError(f"ABC came to no answer: {text[-1000:]!r}")
    return _STATUS[found[0]]


def prove(design: str, netlist: str, top: str, *, timeout: int = 300) -> Verdict:
    """Prove or refute that a netlist does what a design does.

    Parameters
    ----------
    design
        Verilog as generated.
    netlist
        Verilog of the netlist with models of its cells (`amxfp4.synth.gates.cell_models.complete`).
    top
        The top module of both.
    timeout
        Seconds for the solver.

    Raises
    ------
    ProofError
        Neither was shown.
    """
    try:
        return _prove(design, netlist, top, timeout)
    except (ToolError, ValueError) as error:
        raise ProofError(f"no answer: {error}") from None


def _prove(design: str, netlist: str, top: str, timeout: int) -> Verdict:
    found = ports(design, top)
    if set(found) != set(ports(netlist, top)):
        raise ProofError("design and netlist must have the same ports")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = {
            "design.v": design, "netlist.v": netlist, "miter.v": _miter(found),
            "script.ys": _SCRIPT.format(top=top),
        }  # fmt: skip
        for file, text in texts.items():
            (folder / file).write_text(text)
        pyosys.run(["script script.ys"], folder)
        return _decide(folder, any(port.name == "clk" for port in found), timeout)
