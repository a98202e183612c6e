"""Quantized tensors as entries of a safetensors file.

Two entries a tensor: ``<name>.codes``, uint8 [..., blocks, K / 2], two elements to a byte, low
nibble first; and ``<name>.scales``, uint8 [..., blocks, 2 or 1], positive then negative. The
metadata holds ``<name>.format``, ``<name>.block``, ``<name>.shape`` and ``<name>.axis``; where the
tensor has a factor also ``<name>.tensor_scale``, and ``<name>.divides`` if it is a divisor. Other
tensors may stand beside them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from amxfp4.golden.blocks import Blocks, blocks_shape
from amxfp4.golden.checks import check_axis, check_fp32, check_kind, check_shape
from amxfp4.golden.files.safetensors_file import Writer
from amxfp4.golden.files.tensor_file import Entry, TensorFile
from amxfp4.golden.packing import join_nibbles, split_nibbles
from amxfp4.params.formats import BlockFormat, block_format

from .tensor import Stored

__all__ = ["declared", "ours", "save_blocks"]

CODES, SCALES = ".codes", ".scales"
FIELDS = ("format", "block", "shape", "axis")
"""What the metadata say of a quantized tensor, as ``<name>.<field>``."""
FACTOR = {"tensor_scale": 1.0, "divides": False}
"""What they say of its factor, where it is not this."""


def declared(
    name: str, row: BlockFormat, shape: tuple[int, ...], axis: int, *factor: float
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries and metadata of a tensor of `shape` once it is quantized along `axis`.

    What follows is its factor, and whether that is a divisor.
    """
    blocks = blocks_shape(shape, axis, row.block)
    entries = {
        name + suffix: Entry("U8", (*blocks, last), int(np.prod(blocks, dtype=np.int64)) * last)
        for suffix, last in ((CODES, row.block // 2), (SCALES, row.scales))
    }
    fields = (row.name, json.dumps(row.block), json.dumps(shape), json.dumps(axis))
    metadata = {f"{name}.{f}": text for f, text in zip(FIELDS, fields, strict=True)}
    for (field, usual), value in zip(FACTOR.items(), factor, strict=False):
        if value != usual:
            metadata[f"{name}.{field}"] = json.dumps(value)
    return entries, metadata


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
        own, fields = declared(name, b.row, b.shape, b.axis, b.tensor_scale, b.divides)
        entries |= own
        metadata |= fields
    with Writer(path, entries, metadata) as writer:
        for b in tensors.values():
            writer.write(join_nibbles(b.codes))
            sides = [b.scale_pos] if b.scale_neg is None else [b.scale_pos, b.scale_neg]
            writer.write(np.stack(sides, axis=-1))


def ours(file: TensorFile) -> Iterator[Stored]:
    """Tensors as `save_blocks` stores them; any other may be called ``x.codes`` as well.

    Raises
    ------
    ValueError
        Parts of a tensor do not belong together.
    """
    held = [*file.entries, *file.metadata]
    for key, entry in file.entries.items():
        name = key.removesuffix(CODES)
        if name == key or entry.dtype != "U8":
            continue
        if name + SCALES in held or f"{name}.format" in held:
            row, shape, axis = _described(file, name)
            yield Stored(
                name=name, layout="blocks", format=row.name, shape=shape, axis=axis, row=row,
                parts=(key, name + SCALES),
                fields=tuple(f"{name}.{field}" for field in (*FIELDS, *FACTOR)),
                read=partial(_read, file, name, row, shape, axis),
            )  # fmt: skip


def _described(file: TensorFile, name: str) -> tuple[BlockFormat, tuple[int, ...], int]:
    """Format, shape and axis of a quantized tensor, by what its file declares."""
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
        _factor(file, name)
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


def _factor(file: TensorFile, name: str) -> tuple[float, bool]:
    said = {field: file.metadata.get(f"{name}.{field}") for field in FACTOR}
    scale, divides = (
        usual if (text := said[field]) is None else json.loads(text)
        for field, usual in FACTOR.items()
    )
    return check_fp32(f"{name}.tensor_scale", scale), check_kind(f"{name}.divides", divides, bool)


def _read(
    file: TensorFile, name: str, row: BlockFormat, shape: tuple[int, ...], axis: int
) -> Blocks:
    scales = file.raw(name + SCALES)
    pos, *neg = (np.array(scales[..., side]) for side in range(row.scales))
    codes = split_nibbles(file.raw(name + CODES))
    second = neg[0] if neg else None
    return Blocks(codes, pos, second, row.name, shape, axis, *_factor(file, name))
