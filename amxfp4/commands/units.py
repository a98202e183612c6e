"""A unit's Verilog and manifest in a folder: ``amxfp4 verilog``."""

from __future__ import annotations

from pathlib import Path

from amxfp4.params.config import UnitConfig
from amxfp4.util.console import working
from amxfp4.util.errors import writing

__all__ = ["generate"]


def generate(config: UnitConfig, folder: Path, name: str | None = None) -> None:
    """Write ``folder/NAME.v`` and ``folder/NAME.json``, and say what they hold.

    Raises
    ------
    ValueError
        `name` is no identifier, or `folder` is something other than a folder, or cannot be written.
    """
    # Before generating, which takes seconds.
    with writing("--out", folder, "a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
    from amxfp4.gen import verilog

    fields = config.to_dict()
    unit = fields.pop("unit")
    print(f"{unit}: " + " ".join(f"{name}={value}" for name, value in fields.items()), flush=True)
    with working(f"generating {unit}"):
        generated = verilog.generate(config, name)
    with writing("--out", folder, "a folder that can be written"):
        verilog.write(generated, folder)
    top = generated.manifest["top"]
    *names, last = [f"{folder / top}.v", *generated.beside, f"{top}.json"]
    print(f"  wrote {', '.join(names)} and {last}, configuration {config.digest}", flush=True)
