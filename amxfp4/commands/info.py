"""What a file of tensors holds: ``amxfp4 info``."""

from __future__ import annotations

from pathlib import Path

from amxfp4.commands.tensors import found, opened, others, show_codes, size
from amxfp4.util.console import Table

__all__ = ["info"]


def info(source: Path) -> None:
    """List the tensors of a file, stored as codes or not.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    with opened("FILE", source) as file:
        # FP8 and FP4 numbers without scales are tensors like others.
        codes = {name: t for name, t in found("FILE", file).items() if t.layout != "safetensors"}
        if codes:
            show_codes(file, codes)
        kept = others(file, codes)
        if kept:
            table = Table("tensor", "shape", "words", "bytes")
            for name, entry in kept.items():
                table.add(name, size(entry.shape), entry.word or entry.dtype, f"{entry.bytes:,}")
            table.show()
        for name in file.foreign:
            print(f"{name}: no array")
