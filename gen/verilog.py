"""Configuration in, Verilog and manifest out: the one module of ``gen`` that knows the RTL.

Generation is reproducible: the same configuration and the same tool versions give the same bytes.
"""

from __future__ import annotations

import gc
import json
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring

from amxfp4.gen.export import block_design, fusesoc, headers
from amxfp4.gen.manifest import make_manifest
from amxfp4.gen.netlist import is_identifier, to_verilog
from amxfp4.params.array import ArrayConfig
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.rtl.array import MacArray
from amxfp4.rtl.dequantizer import Dequantizer
from amxfp4.rtl.dot.dot import Dot
from amxfp4.rtl.engine.engine import Engine
from amxfp4.rtl.lib.share import ModuleLibrary, ports
from amxfp4.rtl.quantizer.quantizer import Quantizer
from amxfp4.rtl.serial.engine_uart import EngineUart
from amxfp4.rtl.weights.dequantizer import WeightDequantizer
from amxfp4.util import files

__all__ = ["Generated", "component", "describe", "generate", "write"]


@dataclass(frozen=True)
class Generated:
    """One generated unit."""

    text: str
    """The Verilog."""
    manifest: dict[str, Any]
    """What `amxfp4.gen.manifest.make_manifest` says about it."""
    beside: dict[str, str] = field(default_factory=dict)
    """Further files for those who use the unit, by name."""


def component(config: UnitConfig) -> Any:
    """Amaranth component of one unit, for those who build on it or simulate it.

    Raises
    ------
    TypeError
        `config` is not the configuration of a unit.
    """
    if isinstance(config, QuantizerConfig):
        return Quantizer(config)
    if isinstance(config, DequantizerConfig):
        return Dequantizer(config)
    if isinstance(config, WeightDequantizerConfig):
        return WeightDequantizer(config)
    if isinstance(config, EngineUartConfig):
        return EngineUart(config)
    if isinstance(config, EngineConfig):
        return Engine(config)
    if isinstance(config, ArrayConfig):
        return MacArray(config)
    if isinstance(config, DotConfig):
        return Dot(config)
    raise TypeError(f"config must be the configuration of a unit, not {config!r}")


def _ports(unit: wiring.Component) -> list[dict[str, Any]]:
    """Ports as they appear in the Verilog: clock, reset, then the streams' members."""
    clocked = [{"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")]
    return clocked + [
        {"name": name, "direction": "in" if flow is wiring.In else "out", "width": len(value)}
        for name, (flow, value) in ports(unit).items()
    ]


def _manifest(unit: Any, config: UnitConfig, top: str) -> dict[str, Any]:
    return make_manifest(
        config, _ports(unit), top=top, latency=unit.latency, cycles_per_block=config.beats
    )


def describe(config: UnitConfig) -> dict[str, Any]:
    """Manifest of one unit, which takes no time to make; errors as `generate`."""
    with warnings.catch_warnings():
        # Looked at, not elaborated, and gone before the warnings are heard again.
        warnings.simplefilter("ignore", UnusedElaboratable)
        manifest = _manifest(component(config), config, config.unit)
        gc.collect()
    return manifest


def generate(config: UnitConfig, name: str | None = None) -> Generated:
    """Generate the Verilog of one unit.

    The first line of the text is a comment with the unit and the digest of the configuration. All
    module names begin with that of the top, so that units of different names join in one design.

    Parameters
    ----------
    config
        The unit's configuration.
    name
        Name of the top module, of the files and of the FuseSoC core; by default the unit's.

    Raises
    ------
    TypeError
        `config` is not the configuration of a unit.
    ValueError
        `name` is no identifier.
    """
    if name is not None and not is_identifier(name):
        raise ValueError(
            "name must be a Verilog identifier (a letter, then letters, digits and underscores) "
            f"and no keyword, not {name!r}"
        )
    unit = component(config)
    top = config.unit if name is None else name
    manifest = _manifest(unit, config, top)
    library = ModuleLibrary()
    library.convert(unit, top)
    body = to_verilog(library.modules.values())
    settings = ", ".join(f"{k}={v}" for k, v in config.to_dict().items() if k != "unit")
    header = f"// amxfp4 {config.unit} {config.digest}\n// {settings}\n"
    beside = fusesoc.files(config, top)
    if isinstance(config, EngineConfig):
        beside |= headers.files(config, top)
    if config.unit == EngineConfig.unit:
        beside |= block_design.files(manifest["ports"], top)
    return Generated(header + body, manifest, beside)


def write(generated: Generated, directory: str | os.PathLike[str]) -> list[Path]:
    """Write ``TOP.v``, ``TOP.json`` and what goes with them into `directory`, or nothing.

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
    top = generated.manifest["top"]
    texts: dict[Path, str | bytes] = {
        folder / f"{top}.v": generated.text,
        folder / f"{top}.json": json.dumps(generated.manifest, indent=2) + "\n",
        **{folder / name: text for name, text in generated.beside.items()},
    }
    files.write_all(texts)
    return list(texts)
