"""What lets a unit's Verilog drop into other flows: a FuseSoC core, a file list, lint waivers."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from amxfp4.params.config import UnitConfig

__all__ = ["WAIVERS", "files"]

WAIVERS = Path(__file__).parent / "waivers.vlt"
"""What the generated Verilog may do although ``verilator -Wall`` objects."""


def files(config: UnitConfig, top: str) -> dict[str, str]:
    """Contents of ``TOP.core`` (FuseSoC, CAPI2), ``TOP.f`` and ``TOP.vlt``, by name."""
    return {
        f"{top}.core": _core(config, top),
        f"{top}.f": f"// Verilog of the unit; paths are from here: -F {top}.f\n{top}.v\n",
        f"{top}.vlt": WAIVERS.read_text(),
    }


def _core(config: UnitConfig, top: str) -> str:
    # FuseSoC takes the last of two cores of one name, whatever they hold: the digest is a part.
    return f"""CAPI=2:
name: amxfp4:unit_{config.digest}:{top}:{metadata.version("amxfp4")}
description: "{config.unit}, configuration {config.digest}; {top}.json says all of it"

filesets:
  rtl:
    files: [{top}.v]
    file_type: verilogSource
  waivers:
    files: [{top}.vlt]
    file_type: vlt

targets:
  default:
    filesets: [rtl]
    toplevel: {top}
  lint:
    filesets: [waivers, rtl]
    toplevel: {top}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
"""
