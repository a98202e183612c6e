"""A small checkpoint for tests, and ways to interrupt its conversion and to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli
from amxfp4.commands.files import quantize
from amxfp4.golden import files

__all__ = [
    "INDEX", "PLACES", "SHARDS", "TENSORS", "Stopped", "again", "make", "stop", "whole",
]  # fmt: skip

INDEX = "model.safetensors.index.json"
SHARDS = [f"model-{number}-of-3.safetensors" for number in (1, 2, 3)]
PLACES = {
    "embed.weight": 0, "layers.0.weight": 0, "layers.0.norm": 1, "layers.1.norm": 1,
    "layers.1.weight": 1, "lm_head.weight": 2,
}  # fmt: skip
"""Number of the shard of each tensor."""
_RNG = np.random.default_rng(5)
TENSORS = {
    name: _RNG.standard_normal((96,) if "norm" in name else (24, 96)).astype(np.float32)
    for name in PLACES
}


def make(folder: Path) -> Path:
    """Write it as the folder `folder`."""
    folder.mkdir()
    for number, shard in enumerate(SHARDS):
        held = {name: TENSORS[name] for name in PLACES if PLACES[name] == number}
        safetensors.numpy.save_file(held, folder / shard, {"format": "pt"})
    places = {name: SHARDS[number] for name, number in PLACES.items()}
    index = {"metadata": {"total_size": 7, "made": "by hand"}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index))
    (folder / "config.json").write_text('{"model_type": "small"}')
    (folder / "tokenizer.model").write_bytes(bytes(range(256)))
    return folder


def whole(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too; and none of it is unfinished."""
    assert not (folder / files.STATE).exists()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Stopped(BaseException):
    """Ends a run as nothing in it expects."""


def stop(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Run until `at` is worked on."""
    work = quantize._quantize

    def stick(file: Any, name: str, options: Any, writer: Any) -> float:
        if name == at:
            raise Stopped
        return work(file, name, options, writer)

    with monkeypatch.context() as patch:
        patch.setattr(quantize, "_quantize", stick)
        with pytest.raises(Stopped):
            cli.run(["quantize", "model", "q"])


def again(capfd: Any, code: int, *options: str, target: str = "q") -> str:
    """Run the command, once more; return what it prints or its one line of error."""
    capfd.readouterr()
    assert cli.run(["quantize", "model", target, *options]) == code
    printed = capfd.readouterr()
    assert code == 0 or printed.err.count("\n") == 1
    return printed.err if code else printed.out
