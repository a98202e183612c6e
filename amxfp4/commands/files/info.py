"""What a file of tensors, or a checkpoint, holds: ``amxfp4 info``."""

from __future__ import annotations

from pathlib import Path

from amxfp4.commands.files.tensors import found, opened, others, show_codes, size
from amxfp4.golden.files import Checkpoint
from amxfp4.util.console import Table

__all__ = ["info"]


def info(source: Path) -> None:
    """List the tensors of a file or of a checkpoint, stored as codes or not, by their headers.

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
        if isinstance(file, Checkpoint):
            size_of_all = sum(entry.bytes for entry in file.entries.values())
            print(
                f"shards: {len(file.shards):,}; tensors: {len(codes):,} quantized, "
                f"{len(kept):,} others; bytes: {size_of_all:,}"
            )
