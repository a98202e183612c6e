"""What the commands on files of tensors share: open, name, show and copy what is in them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

from amxfp4.golden import files
from amxfp4.golden.blocks import blocks_shape
from amxfp4.golden.files import Entry, Stored, TensorFile, Writer
from amxfp4.golden.weights import bytes_of, groups_shape
from amxfp4.params.formats import BlockFormat
from amxfp4.params.weights import WeightFormat
from amxfp4.util.console import Table
from amxfp4.util.errors import reading

__all__ = [
    "BLOCKS",
    "PIECE",
    "TENSORS",
    "blocks_of",
    "copy",
    "decibels",
    "found",
    "opened",
    "others",
    "require_suffix",
    "show_codes",
    "size",
    "warn_of_poor",
]

TENSORS = "a .npy, .npz, .safetensors or .gguf file of tensors, or a checkpoint"
BLOCKS = "a file or a checkpoint of blocks, in a layout of docs/files.md"

_POOR = 6.0
"""SQNR in dB below which a quantization is poor: its error is half as large as the tensor."""
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


def warn_of_poor(name: str, ratio: float) -> None:
    """Say so where an SQNR in dB is poor."""
    if ratio < _POOR:
        print(f"{name}: SQNR {ratio:.2f} dB, below {_POOR:g} dB, is poor")


def size(shape: tuple[int, ...]) -> str:
    """Show a shape."""
    return "x".join(map(str, shape)) or "scalar"


def blocks_of(
    row: BlockFormat | WeightFormat, shape: tuple[int, ...], axis: int
) -> tuple[int, int]:
    """Count the blocks or groups of a tensor, and the bytes of their codes and scales."""
    axis %= len(shape)
    if isinstance(row, WeightFormat):
        count = math.prod(groups_shape(row, shape, axis))
        codes = bytes_of(row.size(shape[axis]), row.bits)
        return count, count * (codes + row.sides * row.scale_bits // 8)
    count = math.prod(blocks_shape(shape, axis, row.block))
    return count, count * row.record_bytes


def found(parameter: str, file: TensorFile) -> dict[str, Stored]:
    """Tensors that a file stores as codes; errors name the parameter."""
    with reading(parameter, file.path, BLOCKS):
        return files.stored(file)


def others(file: TensorFile, tensors: dict[str, Stored]) -> dict[str, Entry]:
    """Tensors of a file that are not part of any codes."""
    parts = {part for tensor in tensors.values() for part in tensor.parts}
    return {name: entry for name, entry in file.entries.items() if name not in parts}


def show_codes(file: TensorFile, tensors: dict[str, Stored]) -> None:
    """Show a table of tensors that are stored as codes."""
    table = Table("tensor", "shape", "axis", "layout", "format", "K", "blocks", "bytes")
    for t in tensors.values():
        row = t.row or t.weights
        blocks = f"{blocks_of(row, t.shape, t.axis)[0]:,}" if row else "-"
        held = sum(file.entries[part].bytes for part in t.parts)
        block = row.block if row else "-"
        format = f"{t.format} packed" if t.weights and t.weights.packed else t.format
        table.add(t.name, size(t.shape), t.axis, t.layout, format, block, blocks, f"{held:,}")
    table.show()
    for t in tensors.values():
        if t.note:
            print(f"{t.name}: {t.note}")
