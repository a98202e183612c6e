"""Configuration to Verilog, remembered: tests ask for the same units again and again."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from amxfp4.params.config import UnitConfig
from amxfp4.verif.sim import build

__all__ = ["Source", "source"]


@dataclass(frozen=True)
class Source:
    """Verilog and its manifest, as the generator returns them."""

    text: str
    manifest: dict[str, Any]


@cache
def _generator_key() -> str:
    """Digest of everything that decides what the generator writes."""
    from amxfp4.gen.manifest import TOOLS

    files = []
    for package in ("util", "params", "rtl", "gen"):
        spec = importlib.util.find_spec(f"amxfp4.{package}")
        assert spec is not None
        for folder in spec.submodule_search_locations or ():
            files += sorted(Path(folder).rglob("*.py"))
    versions = [f"{name} {metadata.version(name)}" for name in TOOLS]
    return build.digest(*versions, *(part for f in files for part in (f.name, f.read_bytes())))


def source(config: UnitConfig, cache: Path = build.CACHE) -> Source:
    """Verilog of a configuration: from the generator, or what it wrote before.

    What is remembered is filed under the contents of ``gen`` and ``rtl`` and the versions of
    their tools. A generator changed at run time must be called directly.

    Parameters
    ----------
    config
        A unit's configuration.
    cache
        Folder of builds.
    """
    file = cache / "verilog-cache" / f"{config.unit}-{config.digest}-{_generator_key()}.json"
    if file.is_file():
        kept = json.loads(file.read_text())
        return Source(kept["text"], kept["manifest"])
    from amxfp4.gen import verilog

    made = verilog.generate(config)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as scratch:
        json.dump({"text": made.text, "manifest": made.manifest}, scratch)
    Path(scratch.name).replace(file)
    return Source(made.text, made.manifest)
