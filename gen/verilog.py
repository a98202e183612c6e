"""Configuration in, Verilog and manifest out: the one module of ``gen`` that knows the RTL.

Generation is reproducible: the same configuration and the same tool versions give the same bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from amxfp4.gen.config import DequantizerConfig, QuantizerConfig, UnitConfig
from amxfp4.gen.manifest import make_manifest
from amxfp4.gen.netlist import to_verilog
from amxfp4.rtl.dequantizer import Dequantizer
from amxfp4.rtl.quantizer import Quantizer
from amxfp4.rtl.share import ModuleLibrary

__all__ = ["Generated", "generate", "write"]


@dataclass(frozen=True)
class Generated:
    """One generated unit."""

    text: str
    """The Verilog."""
    manifest: dict[str, Any]
    """What `amxfp4.gen.manifest.make_manifest` says about it."""


def _component(config: UnitConfig) -> Any:
    if isinstance(config, QuantizerConfig):
        return Quantizer(config)
    if isinstance(config, DequantizerConfig):
        return Dequantizer(config)
    raise TypeError(f"config must be the configuration of a unit, not {config!r}")


def _ports(component: wiring.Component) -> list[dict[str, Any]]:
    """Ports as they appear in the Verilog: clock, reset, then the streams' members."""
    ports = [{"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")]
    for path, member, value in component.signature.flatten(component):
        ports.append(
            {
                "name": "__".join(map(str, path)),
                "direction": "in" if member.flow == wiring.In else "out",
                "width": len(getattr(value, "as_value", lambda v=value: v)()),
            }
        )
    return ports


def generate(config: UnitConfig) -> Generated:
    """Generate the Verilog of one unit.

    The first line of the text is a comment with the digest of the configuration; the top module
    is called as the unit.

    Raises
    ------
    TypeError
        `config` is not the configuration of a unit.
    """
    component = _component(config)
    manifest = make_manifest(
        config,
        _ports(component),
        latency=component.latency,
        cycles_per_block=config.beats,  # type: ignore[attr-defined]
    )
    library = ModuleLibrary()
    text = rtlil.convert(component, name=config.unit, platform=library, emit_src=False)
    body = to_verilog(text, library.modules.values())
    settings = ", ".join(f"{k}={v}" for k, v in config.to_dict().items() if k != "unit")
    header = f"// amxfp4 {config.unit} {config.digest}\n// {settings}\n"
    return Generated(header + body, manifest)


def write(generated: Generated, directory: str | os.PathLike[str]) -> list[Path]:
    """Write ``UNIT.v`` and ``UNIT.json`` into `directory`, each whole or not at all.

    Returns
    -------
    The paths written.

    Raises
    ------
    OSError
        The directory cannot be made or written.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    unit = generated.manifest["unit"]
    texts = {
        folder / f"{unit}.v": generated.text,
        folder / f"{unit}.json": json.dumps(generated.manifest, indent=2) + "\n",
    }
    for path, text in texts.items():
        _write_whole(path, text)
    return list(texts)


def _write_whole(path: Path, text: str) -> None:
    """Write beside the target, then move into place: a reader never sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
