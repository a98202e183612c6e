"""The engine as a cell of a block design: a wrapper with the names that such tools look for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["FILE", "wrapper"]

FILE = "engine_axi.v"
"""The name it is written under."""

_BUSES = "s_axi:s_axis_a:s_axis_b:m_axis_c"


def _attributes(signal: str, parameter: str) -> str:
    info = f'X_INTERFACE_INFO = "xilinx.com:signal:{signal}"'
    return f'  (* {info} *)\n  (* X_INTERFACE_PARAMETER = "{parameter}" *)\n'


def wrapper(ports: Iterable[dict[str, Any]]) -> str:
    """Verilog of ``engine_axi``: `engine` with ``aclk`` and ``aresetn``, its buses told by name.

    IP Integrator takes buses from names such as ``s_axis_a_tdata`` by itself, but not to which
    clock they belong, nor that a reset is active high; so the attributes are here (Xilinx UG994,
    "Inferring Control Signals in a RTL Module"). Other tools ignore them.

    Parameters
    ----------
    ports
        The manifest's: ``{"name", "direction", "width"}`` of every port of ``engine``.
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
        told = _attributes("interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH")
        bits = f" [{width - 1}:0]" if width > 1 else ""
        heads.append(f"{told if name == 'irq' else ''}  {port['direction']}put{bits} {name}")
        wires.append(f"    .{name}({name})")
    listed, wired = ",\n".join(heads), ",\n".join(wires)
    return (
        "// The engine for block designs: aclk, aresetn, and the attributes of its buses.\n"
        f"module engine_axi (\n{listed}\n);\n  engine engine (\n{wired}\n  );\nendmodule\n"
    )
