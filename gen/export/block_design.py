"""The engine as a cell of a block design: a wrapper with the names that such tools look for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["files", "wrapper"]

_BUSES = "s_axi:s_axis_a:s_axis_b:m_axis_c"


def _attributes(signal: str, parameter: str) -> str:
    info = f'X_INTERFACE_INFO = "xilinx.com:signal:{signal}"'
    return f'  (* {info} *)\n  (* X_INTERFACE_PARAMETER = "{parameter}" *)\n'


def files(ports: Iterable[dict[str, Any]], top: str) -> dict[str, str]:
    """Give the wrapper by the name it is written under."""
    return {f"{top}_axi.v": wrapper(ports, top)}


def wrapper(ports: Iterable[dict[str, Any]], top: str) -> str:
    """Verilog of ``TOP_axi``: the engine with ``aclk`` and ``aresetn``, its buses marked.

    IP Integrator takes buses from names such as ``s_axis_a_tdata`` by itself, but not to which
    clock they belong, nor that a reset is active high; so the attributes are here (Xilinx UG994,
    "Inferring Control Signals in a RTL Module"). Other tools ignore them.

    Parameters
    ----------
    ports
        The manifest's: ``{"name", "direction", "width"}`` of every port of the engine.
    top
        Name of the engine's module.
    """
    clock = f"ASSOCIATED_BUSIF {_BUSES}, ASSOCIATED_RESET aresetn"
    heads = [
        _attributes("clock:1.0 aclk CLK", clock) + "  input aclk",
        _attributes("reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW") + "  input aresetn",
    ]
    wires = ["    .clk(aclk)", "    .rst(~aresetn)"]
    for port in ports:
        name, width = port["name"], port["width"]
        if name in ("clk", "rst"):
            continue
        irq = _attributes("interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH")
        bits = f" [{width - 1}:0]" if width > 1 else ""
        heads.append(f"{irq if name == 'irq' else ''}  {port['direction']}put{bits} {name}")
        wires.append(f"    .{name}({name})")
    listed, wired = ",\n".join(heads), ",\n".join(wires)
    return (
        "// The engine for block designs: aclk, aresetn, and the attributes of its buses.\n"
        f"module {top}_axi (\n{listed}\n);\n  {top} engine (\n{wired}\n  );\nendmodule\n"
    )
