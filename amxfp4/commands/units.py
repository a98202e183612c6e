"""From command line options to a unit's Verilog and manifest in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amxfp4.params.checks import choose
from amxfp4.params.config import UnitConfig
from amxfp4.params.units import UNITS
from amxfp4.util.console import working
from amxfp4.util.errors import writing

__all__ = ["STREAMING", "configure", "generate"]

STREAMING = tuple(unit for unit in UNITS if not unit.startswith("engine"))
"""Units with one stream in and one out, which whole batches can be run through."""


def configure(unit: str, options: dict[str, Any], *, among: Iterable[str] = UNITS) -> UnitConfig:
    """Make the configuration of `unit`, one of `among`, from the options that were given.

    Raises
    ------
    ValueError
        `unit` is unknown, has no such option, or does not take the value.
    """
    config_class = choose("UNIT", unit, {name: UNITS[name] for name in among})
    names = [field.name for field in dataclasses.fields(config_class)]
    for name in options:
        if name not in names:
            allowed = ", ".join(map(_option, names))
            raise ValueError(f"option of {unit} must be one of {allowed}, not {_option(name)!r}")
    return config_class(**options)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def generate(config: UnitConfig, folder: Path) -> None:
    """Write ``folder/UNIT.v`` and ``folder/UNIT.json``, and say what they hold.

    Raises
    ------
    ValueError
        `folder` is something other than a folder, or cannot be written.
    """
    # Before generating, which takes seconds.
    with writing("--out", folder, "a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
    from amxfp4.gen import verilog

    fields = config.to_dict()
    unit = fields.pop("unit")
    print(f"{unit}: " + " ".join(f"{name}={value}" for name, value in fields.items()), flush=True)
    with working(f"generating the Verilog of {config.unit}"):
        generated = verilog.generate(config)
    with writing("--out", folder, "a folder that can be written"):
        verilog.write(generated, folder)
    *names, last = [f"{folder / unit}.v", *generated.beside, f"{unit}.json"]
    print(f"  wrote {', '.join(names)} and {last}, configuration {config.digest}", flush=True)
