"""What lets a unit's Verilog drop into other flows: a FuseSoC core, a file list, lint waivers."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from amxfp4.params.config import UnitConfig

__all__ = ["WAIVERS", "files"]

WAIVERS = Path(__file__).parent / "waivers.vlt"
"""What the generated Verilog may do although ``verilator -Wall`` objects."""


def files(config: UnitConfig) -> dict[str, str]:
    """File contents by name: ``UNIT.core`` (FuseSoC, CAPI2), ``UNIT.f`` and ``UNIT.vlt``."""
    unit = config.unit
    return {
        f"{unit}.core": _core(config),
        f"{unit}.f": f"// Verilog of the unit; paths are from here: -F {unit}.f\n{unit}.v\n",
        f"{unit}.vlt": WAIVERS.read_text(),
    }


def _core(config: UnitConfig) -> str:
    unit = config.unit
    return f"""CAPI=2:
name: amxfp4:unit:{unit}:{metadata.version("amxfp4")}
description: "{unit}, configuration {config.digest}; {unit}.json says all of it"

filesets:
  rtl:
    files: [{unit}.v]
    file_type: verilogSource
  waivers:
    files: [{unit}.vlt]
    file_type: vlt

targets:
  default:
    filesets: [rtl]
    toplevel: {unit}
  lint:
    filesets: [waivers, rtl]
    toplevel: {unit}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
"""
