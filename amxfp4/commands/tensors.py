"""What the commands on files of tensors share: open, name, show and copy what is in them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

from amxfp4.golden import files
from amxfp4.golden.files import Entry, TensorFile, Writer
from amxfp4.params.formats import BlockFormat
from amxfp4.util.console import Table
from amxfp4.util.errors import reading

__all__ = [
    "BLOCKS",
    "PIECE",
    "TENSORS",
    "Described",
    "copy",
    "decibels",
    "opened",
    "others",
    "require_suffix",
    "show_blocks",
    "size",
]

TENSORS = "a .npy, .npz or .safetensors file of float32, float16 or bfloat16 tensors"
BLOCKS = "a .safetensors file that amxfp4 quantize wrote"

Described = dict[str, tuple[BlockFormat, tuple[int, ...], int]]
"""Format, shape and axis of quantized tensors, by name."""
PIECE = 1 << 21
"""Elements worked on at a time, so that memory does not depend on the size of a tensor."""


@contextlib.contextmanager
def opened(parameter: str, path: Path, wanted: str = TENSORS) -> Iterator[TensorFile]:
    """Open a file of tensors; errors of what it declares name the parameter."""
    with contextlib.ExitStack() as stack:
        with reading(parameter, path, wanted):
            file = stack.enter_context(files.open_file(path))
            if not file.entries:
                raise ValueError(f"{path} must hold at least one tensor")
        yield file


def require_suffix(parameter: str, target: Path, *suffixes: str) -> None:
    """Refuse a name that cannot be written, before time is spent on what goes there."""
    if target.suffix not in suffixes or target.is_dir():
        raise ValueError(f"{parameter} must be a {' or '.join(suffixes)} file, not {str(target)!r}")
    if not target.parent.is_dir():
        raise ValueError(f"{parameter} must be a file in an existing folder, not {str(target)!r}")


def copy(file: TensorFile, name: str, writer: Writer) -> None:
    """Copy a tensor's bytes as they are."""
    raw = file.raw(name).reshape(-1)
    for start in range(0, raw.size, PIECE):
        writer.write(raw[start : start + PIECE])


def decibels(value: float) -> str:
    """Show an SQNR; a dash where it is none."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def size(shape: tuple[int, ...]) -> str:
    """Show a shape."""
    return "x".join(map(str, shape)) or "scalar"


def others(file: TensorFile, blocks: Described) -> dict[str, Entry]:
    """Tensors of a file that are not part of any blocks."""
    parts = {f"{name}{suffix}" for name in blocks for suffix in (".codes", ".scales")}
    return {name: entry for name, entry in file.entries.items() if name not in parts}


def show_blocks(file: TensorFile, tensors: Described) -> None:
    """Show a table of quantized tensors."""
    table = Table("tensor", "shape", "axis", "format", "K", "blocks", "bytes")
    for name, (row, shape, axis) in tensors.items():
        blocks = math.prod(file.entries[f"{name}.scales"].shape[:-1])
        of_blocks = f"{blocks * row.record_bytes:,}"
        table.add(name, size(shape), axis, row.name, row.block, f"{blocks:,}", of_blocks)
    table.show()
