"""A unit's Verilog and manifest in a folder: ``amxfp4 verilog``."""

from __future__ import annotations

from pathlib import Path

from amxfp4.params.config import UnitConfig
from amxfp4.util.console import working
from amxfp4.util.errors import writing

__all__ = ["generate"]


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
    with working(f"generating {unit}"):
        generated = verilog.generate(config)
    with writing("--out", folder, "a folder that can be written"):
        verilog.write(generated, folder)
    *names, last = [f"{folder / unit}.v", *generated.beside, f"{unit}.json"]
    print(f"  wrote {', '.join(names)} and {last}, configuration {config.digest}", flush=True)
