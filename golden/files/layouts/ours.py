"""Quantized tensors as entries of a safetensors file.

Two entries a tensor: ``<name>.codes``, uint8 [..., blocks, K / 2], two elements to a byte (one,
[..., blocks, K], where codes are wider than four bits), low
nibble first; and ``<name>.scales``, uint8 [..., blocks, 2 or 1], positive then negative, or the
scale and the zero point. One with a
factor has a third, ``<name>.tensor_scale``, float32. The metadata holds ``<name>.format``,
``<name>.block``, ``<name>.shape`` and ``<name>.axis``, and ``<name>.divides`` if the factor is a
divisor. Other tensors may stand beside them. Weights in a format of AFPQ: see `weights`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks, blocks_shape, by_name
from amxfp4.golden.checks import check_axis, check_kind, check_shape
from amxfp4.golden.files.tensor_file import Entry, TensorFile
from amxfp4.golden.nibbles import split_nibbles
from amxfp4.golden.table import REFERENCE_FORMATS, row_of
from amxfp4.golden.weights import pack_codes
from amxfp4.params.formats import FORMATS, BlockFormat
from amxfp4.params.weights import WEIGHT_FORMATS, WeightFormat

from . import weights
from .parts import factor, is_factor
from .tensor import Stored
from .weights import CODES, FIELDS, SCALES
from .writing import Layout, Row, entry

__all__ = ["OURS", "ours"]

FACTOR = ".tensor_scale"
DIVIDES = "divides"
"""What they say, ``true``, of one whose factor is a divisor."""


def _per_byte(row: BlockFormat) -> int:
    """Codes in a byte: two, or one where they are wider than four bits."""
    return 2 if row.element.width <= 4 else 1


class _Ours(Layout):
    name, formats = "blocks", (*FORMATS, *REFERENCE_FORMATS, *WEIGHT_FORMATS)

    def check_format(self, row: Row) -> None:
        """Any will do."""

    def check_shape(self, name: str, row: Row, shape: tuple[int, ...], axis: int) -> None:
        """Any will do."""

    def declared(
        self, name: str, row: Row, shape: tuple[int, ...], axis: int, *, factor: bool
    ) -> tuple[dict[str, Entry], dict[str, str]]:
        if isinstance(row, WeightFormat):
            return weights.declared(name, row, shape, axis)
        rows = blocks_shape(shape, axis, row.block)
        entries = {
            name + CODES: entry("U8", *rows, row.block // _per_byte(row)),
            name + SCALES: entry("U8", *rows, row.shared),
        }
        if factor:
            entries[name + FACTOR] = entry("F32")
        fields = (row.name, json.dumps(row.block), json.dumps(shape), json.dumps(axis))
        return entries, {f"{name}.{f}": text for f, text in zip(FIELDS, fields, strict=True)}

    def piece(
        self, row: Row, codes: npt.NDArray[np.uint8], scales: Sequence[npt.NDArray[Any]]
    ) -> npt.NDArray[np.uint8]:
        if isinstance(row, WeightFormat):
            return pack_codes(codes, row.bits)
        if _per_byte(row) == 1:
            return codes
        return super().piece(row, codes, scales)

    def rest(self, scales: npt.NDArray[Any], factor: float | None) -> npt.NDArray[Any]:
        return scales if scales.dtype.kind == "f" else super().rest(scales, factor)


OURS = _Ours()


def ours(file: TensorFile) -> Iterator[Stored]:
    """Tensors as `save_blocks` stores them; any other may be called ``x.codes`` as well.

    Raises
    ------
    ValueError
        Parts of a tensor do not belong together.
    """
    held = [*file.entries, *file.metadata]
    for key, held_as in file.entries.items():
        name = key.removesuffix(CODES)
        if name == key or held_as.dtype != "U8":
            continue
        if name + SCALES in held or f"{name}.format" in held:
            _check_parts(file, name)
            if file.metadata[f"{name}.format"] in WEIGHT_FORMATS:
                yield weights.stored(file, name, OURS.name)
                continue
            row, shape, axis, has_factor = _described(file, name)
            parts = (key, name + SCALES, *([name + FACTOR] if has_factor else []))
            yield Stored(
                name=name, layout=OURS.name, format=row.name, shape=shape, axis=axis, row=row,
                parts=parts, fields=tuple(f"{name}.{field}" for field in (*FIELDS, DIVIDES)),
                read=partial(_read, file, name, row, shape, axis, has_factor),
            )  # fmt: skip


def _check_parts(file: TensorFile, name: str) -> None:
    """Refuse codes without the rest of their tensor."""
    keys = [name + suffix for suffix in (CODES, SCALES)]
    for key in keys + [f"{name}.{field}" for field in FIELDS]:
        if key not in (file.entries if key in keys else file.metadata):
            raise ValueError(f"it holds {name}{CODES} but no {key}")


def _described(file: TensorFile, name: str) -> tuple[BlockFormat, tuple[int, ...], int, bool]:
    """Format, shape and axis of a quantized tensor, by its file, and whether it has a factor."""
    fields = [f"{name}.{field}" for field in FIELDS]
    try:
        format = file.metadata[fields[0]]
        block, sizes, number = (json.loads(file.metadata[field]) for field in fields[1:])
        row, shape = row_of(format, block), check_shape(sizes)
        axis = check_axis(number, len(shape))
        divides = json.loads(file.metadata.get(f"{name}.{DIVIDES}", "false"))
        check_kind(DIVIDES, divides, bool)
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise ValueError(f"metadata of {name} are not what quantize writes: {why}") from error
    has_factor = is_factor(file.entries.get(name + FACTOR))
    for key, wanted in OURS.declared(name, row, shape, axis, factor=has_factor)[0].items():
        if file.entries[key] != wanted:
            raise ValueError(
                f"{key} must be {wanted} for {row.name} in blocks of {block} along axis {axis} of "
                f"{list(shape)}, not {file.entries[key]}"
            )
    return row, shape, axis, has_factor


def _read(
    file: TensorFile,
    name: str,
    row: BlockFormat,
    shape: tuple[int, ...],
    axis: int,
    has_factor: bool,
) -> Blocks:
    scales = file.raw(name + SCALES)
    pos, *other = (np.array(scales[..., side]) for side in range(row.shared))
    raw = file.raw(name + CODES)
    codes = split_nibbles(raw) if _per_byte(row) == 2 else np.array(raw)
    scale = factor(file, name + FACTOR) if has_factor else 1.0
    divides = file.metadata.get(f"{name}.{DIVIDES}") == "true"
    shared = by_name(row, other[0] if other else None)
    return Blocks(
        codes, pos, format=row.name, shape=shape, axis=axis, tensor_scale=scale,
        divides=has_factor and divides, **shared,
    )  # fmt: skip
