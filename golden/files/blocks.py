"""Quantized tensors as entries of a safetensors file.

Two entries a tensor: ``<name>.codes``, uint8 [..., blocks, K / 2], two elements to a byte, low
nibble first; and ``<name>.scales``, uint8 [..., blocks, 2 or 1], positive then negative. The
metadata holds ``<name>.format``, ``<name>.block``, ``<name>.shape`` and ``<name>.axis``. Other
tensors may stand beside them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from amxfp4.golden.blocks import Blocks, blocks_shape
from amxfp4.golden.checks import check_axis, check_kind, check_shape
from amxfp4.golden.packing import join_nibbles, split_nibbles
from amxfp4.params.formats import BlockFormat, block_format

from .safetensors_file import Writer
from .tensor_file import Entry, TensorFile
from .tensors import open_file

__all__ = [
    "FIELDS",
    "block_names",
    "declared",
    "describe",
    "load_blocks",
    "read_blocks",
    "save_blocks",
]

CODES, SCALES = ".codes", ".scales"
FIELDS = ("format", "block", "shape", "axis")
"""What the metadata say of a quantized tensor, as ``<name>.<field>``."""


def declared(
    name: str, row: BlockFormat, shape: tuple[int, ...], axis: int
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries and metadata of a tensor of `shape` once it is quantized along `axis`."""
    blocks = blocks_shape(shape, axis, row.block)
    entries = {
        name + suffix: Entry("U8", (*blocks, last), int(np.prod(blocks, dtype=np.int64)) * last)
        for suffix, last in ((CODES, row.block // 2), (SCALES, row.scales))
    }
    fields = (row.name, json.dumps(row.block), json.dumps(shape), json.dumps(axis))
    return entries, {f"{name}.{f}": text for f, text in zip(FIELDS, fields, strict=True)}


def save_blocks(path: str | os.PathLike[str], tensors: Mapping[str, Blocks]) -> None:
    """Write quantized tensors to a safetensors file, in their order.

    The file appears complete or not at all; equal tensors give equal bytes.

    Parameters
    ----------
    path
        Ends in ``.safetensors``; an existing file is replaced and its mode kept.
    tensors
        Quantized tensors by name.

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError
        A tensor is not `Blocks`.
    ValueError
        The suffix is another one, or there is no tensor.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"path must end in .safetensors, not {str(path)!r}")
    if not tensors:
        raise ValueError("tensors must hold at least one tensor, not none")
    entries: dict[str, Entry] = {}
    metadata: dict[str, str] = {}
    for name, b in tensors.items():
        check_kind(f"tensor {name}", b, Blocks)
        own, fields = declared(name, b.row, b.shape, b.axis)
        entries |= own
        metadata |= fields
    with Writer(path, entries, metadata) as writer:
        for b in tensors.values():
            writer.write(join_nibbles(b.codes))
            sides = [b.scale_pos] if b.scale_neg is None else [b.scale_pos, b.scale_neg]
            writer.write(np.stack(sides, axis=-1))


def block_names(file: TensorFile) -> list[str]:
    """Names of the quantized tensors of a file; any other may be called ``x.codes`` as well."""
    names = [
        name.removesuffix(CODES)
        for name, entry in file.entries.items()
        if name.endswith(CODES) and entry.dtype == "U8"
    ]
    held = [*file.entries, *file.metadata]
    return [name for name in names if name + SCALES in held or f"{name}.format" in held]


def load_blocks(path: str | os.PathLike[str]) -> dict[str, Blocks]:
    """Read quantized tensors that `save_blocks` wrote; other tensors beside them are left alone.

    Returns
    -------
    Quantized tensors by name, in the order of the file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is truncated, not a safetensors file, or holds no blocks, or ones whose parts do
        not belong together. The message names the file.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            names = block_names(file)
            if not names:
                raise ValueError("it holds no <name>.codes of blocks")
            return {name: read_blocks(file, name) for name in names}
    except ValueError as error:
        why = str(error).removeprefix(f"{path} cannot be read: ")
        raise ValueError(f"{path} cannot be read as blocks: {why}") from error


def describe(file: TensorFile, name: str) -> tuple[BlockFormat, tuple[int, ...], int]:
    """Format, shape and axis of a quantized tensor, by what its file declares.

    Raises
    ------
    ValueError
        Its parts do not belong together.
    """
    keys = [name + suffix for suffix in (CODES, SCALES)]
    fields = [f"{name}.{field}" for field in FIELDS]
    for key in keys + fields:
        if key not in (file.entries if key in keys else file.metadata):
            raise ValueError(f"it holds {name}{CODES} but no {key}")
    try:
        format = file.metadata[fields[0]]
        block, sizes, number = (json.loads(file.metadata[field]) for field in fields[1:])
        row, shape = block_format(format, block), check_shape(sizes)
        axis = check_axis(number, len(shape))
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise ValueError(f"metadata of {name} are not what quantize writes: {why}") from error
    for key, entry in declared(name, row, shape, axis)[0].items():
        if file.entries[key] != entry:
            raise ValueError(
                f"{key} must be {entry} for {row.name} in blocks of {block} along axis {axis} of "
                f"{list(shape)}, not {file.entries[key]}"
            )
    return row, shape, axis


def read_blocks(file: TensorFile, name: str) -> Blocks:
    """Read one quantized tensor of a file.

    Raises
    ------
    ValueError
        Its parts do not belong together.
    """
    row, shape, axis = describe(file, name)
    scales = file.raw(name + SCALES)
    pos, *neg = (np.array(scales[..., side]) for side in range(row.scales))
    codes = split_nibbles(file.raw(name + CODES))
    return Blocks(codes, pos, neg[0] if neg else None, row.name, shape, axis)
