"""Weights in the formats of AFPQ as entries of a safetensors file.

Two entries a tensor: ``<name>.codes``, uint8 [..., groups, bytes], codes of 4 or 3 bits as
`amxfp4.golden.weights.pack_codes` packs a group; and ``<name>.scales``, [..., groups, 2 or 1],
positive then negative: float32, or float16 of packed weights. The metadata are those of blocks.
"""

from __future__ import annotations

import json
from functools import partial

import numpy as np

from amxfp4.golden.checks import check_axis, check_shape
from amxfp4.golden.files.tensor_file import Entry, TensorFile
from amxfp4.golden.weights import WeightBlocks, bytes_of, groups_shape, unpack_codes
from amxfp4.params.weights import WeightFormat, weight_format

from .tensor import Stored
from .writing import entry

__all__ = ["CODES", "FIELDS", "SCALES", "declared", "stored"]

CODES, SCALES = ".codes", ".scales"
FIELDS = ("format", "block", "shape", "axis")
"""What the metadata say of a quantized tensor, as ``<name>.<field>``."""


def declared(
    name: str, row: WeightFormat, shape: tuple[int, ...], axis: int
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Entries in the order in which they are written, and metadata."""
    groups = groups_shape(row, shape, axis)
    entries = {
        name + CODES: entry("U8", *groups, bytes_of(row.size(shape[axis]), row.bits)),
        name + SCALES: entry(f"F{row.scale_bits}", *groups, row.sides),
    }
    fields = (row.name, json.dumps(row.block), json.dumps(shape), json.dumps(axis))
    return entries, {f"{name}.{f}": text for f, text in zip(FIELDS, fields, strict=True)}


def stored(file: TensorFile, name: str, layout: str) -> Stored:
    """Describe the tensor of a file whose parts and metadata are there.

    Raises
    ------
    ValueError
        Parts of the tensor do not belong together.
    """
    fields = [f"{name}.{field}" for field in FIELDS]
    packed = file.entries[name + SCALES].dtype == "F16"
    try:
        block, sizes, number = (json.loads(file.metadata[field]) for field in fields[1:])
        row = weight_format(file.metadata[fields[0]], block, packed)
        shape = check_shape(sizes)
        axis = check_axis(number, len(shape))
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise ValueError(f"metadata of {name} are not what quantize writes: {why}") from error
    for key, wanted in declared(name, row, shape, axis)[0].items():
        if file.entries[key] != wanted:
            raise ValueError(
                f"{key} must be {wanted} for {row.name} in groups of {block} along axis {axis} of "
                f"{list(shape)}, not {file.entries[key]}"
            )
    return Stored(
        name=name, layout=layout, format=row.name, shape=shape, axis=axis, weights=row,
        parts=(name + CODES, name + SCALES), fields=tuple(fields),
        read=partial(_read, file, name, row, shape, axis),
    )  # fmt: skip


def _read(
    file: TensorFile, name: str, row: WeightFormat, shape: tuple[int, ...], axis: int
) -> WeightBlocks:
    raw, scales = file.raw(name + CODES), file.raw(name + SCALES)
    pos, *neg = (np.array(scales[..., side]) for side in range(row.sides))
    codes = unpack_codes(raw, row.bits, row.size(shape[axis]))
    second = neg[0] if neg else None
    return WeightBlocks(codes, pos, second, row.name, shape, axis, row.block, row.packed)
