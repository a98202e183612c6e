"""Configuration to Verilog, remembered: tests ask for the same units again and again."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from amxfp4.params.config import UnitConfig
from amxfp4.util.console import working
from amxfp4.util.files import digest, write
from amxfp4.verif.sim import build

__all__ = ["Source", "source"]


@dataclass(frozen=True)
class Source:
    """Verilog, its manifest and the files beside them, as the generator returns them."""

    text: str
    manifest: dict[str, Any]
    beside: dict[str, str] = field(default_factory=dict, kw_only=True)


# Amaranth numbers its signals, and its counter is not made for threads.
_generating = threading.RLock()

_PACKAGES = ("util", "params", "rtl", "gen")
"""Packages whose files decide what the generator writes."""


def _files(folders: Iterable[str | Path]) -> list[tuple[str, bytes]]:
    """List the sources in and below `folders`: their places there, and what they hold."""
    return [
        (str(path.relative_to(folder)), path.read_bytes())
        for folder in map(Path, folders)
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.vlt")])
    ]


def _folders() -> list[str]:
    """Folders of the packages that decide what the generator writes."""
    folders: list[str] = []
    for name in _PACKAGES:
        spec = importlib.util.find_spec(f"amxfp4.{name}")
        assert spec is not None
        folders += spec.submodule_search_locations or ()
    return folders


@cache
def _generator_key() -> str:
    """Digest of everything that decides what the generator writes, and what is kept of it."""
    from amxfp4.gen.manifest import TOOLS

    versions = [f"{name} {metadata.version(name)}" for name in TOOLS]
    here = Path(__file__).read_bytes()
    return digest(*versions, here, *(part for file in _files(_folders()) for part in file))


def source(
    config: UnitConfig,
    cache: Path = build.CACHE,
    *,
    make: Callable[[UnitConfig], Any] | None = None,
    changes: str = "",
) -> Source:
    """Verilog of a configuration: from the generator, or what it wrote before.

    What is remembered is filed under the contents of the generator and of all it imports, and the
    versions of its tools. A generator changed at run time must be called directly, or as `make`.

    Parameters
    ----------
    config
        A unit's configuration.
    cache
        Folder of builds.
    make
        What is called instead of the generator.
    changes
        All that decides what `make` returns, besides the configuration and the generator.
    """
    name = "-".join([config.unit, config.digest, _generator_key(), *([changes] if changes else [])])
    file = cache / "verilog-cache" / f"{name}.json"
    if file.is_file():
        return Source(**json.loads(file.read_text()))
    if make is None:
        from amxfp4.gen import verilog

        make = verilog.generate
    with _generating, working(f"generating the Verilog of {config.unit}"):
        made = make(config)
    kept = Source(made.text, made.manifest, beside=made.beside)
    write(file, json.dumps(asdict(kept)))
    return kept
