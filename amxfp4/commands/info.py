"""What a file of tensors holds: ``amxfp4 info``."""

from __future__ import annotations

from pathlib import Path

from amxfp4.commands.tensors import BLOCKS, opened, others, show_blocks, size
from amxfp4.golden import files
from amxfp4.util.console import Table
from amxfp4.util.errors import reading

__all__ = ["info"]


def info(source: Path) -> None:
    """List the tensors of a file, quantized or not.

    Raises
    ------
    ValueError
        The file is neither.
    """
    with opened("FILE", source) as file:
        with reading("FILE", source, BLOCKS):
            blocks = {name: files.describe(file, name) for name in files.block_names(file)}
        if blocks:
            show_blocks(file, blocks)
        kept = others(file, blocks)
        if kept:
            table = Table("tensor", "shape", "words", "bytes")
            for name, entry in kept.items():
                table.add(name, size(entry.shape), entry.word or entry.dtype, f"{entry.bytes:,}")
            table.show()
        for name in file.foreign:
            print(f"{name}: no array")
