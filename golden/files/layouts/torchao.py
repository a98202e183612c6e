"""Layout of torchao's flattened checkpoints.

``P._w_qdata`` U8 [n, k/2], two codes to a byte, low nibble first; ``P._w_scale`` F8_E8M0 (MX) or
F8_E4M3 (NVFP4) [n, k/K], or swizzled as `parts.unswizzle` says; ``P._w_per_tensor_scale``, a
multiplier, where it has one. The metadata say of ``P.w`` in JSON what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.files.tensor_file import TensorFile
from amxfp4.golden.nibbles import split_nibbles
from amxfp4.params.formats import FORMATS

from .parts import factor, in_order, is_factor, unswizzle
from .tensor import Stored

__all__ = ["torchao"]

_TYPES = {"MXTensor": ("mxfp4", "F8_E8M0"), "NVFP4Tensor": ("nvfp4", "F8_E4M3")}
_LIST = "tensor_names"


def torchao(file: TensorFile) -> Iterator[Stored]:
    """Tensors as torchao stores them: value R(q * R(t * s))."""
    for name, text in file.metadata.items():
        found = _described(text)
        if found is not None:
            yield from _stored(file, name, *found)


def _described(text: str) -> tuple[str, dict[str, Any]] | None:
    """Type and fields of a tensor, if a text says so; any other text may stand beside."""
    if "_type" not in text:
        return None
    try:
        said = json.loads(text)
        kind, fields = said["_type"], said["_data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if kind not in _TYPES or not isinstance(fields, dict):
        return None
    element = fields.get("elem_dtype", {})
    held = element.get("_data") if isinstance(element, dict) else None
    return (kind, fields) if kind == "NVFP4Tensor" or held == "float4_e2m1fn_x2" else None


def _stored(file: TensorFile, name: str, kind: str, fields: dict[str, Any]) -> Iterator[Stored]:
    prefix, dot, last = name.rpartition(".")
    stem = f"{prefix}{dot}_{last}_"
    codes, scales, scale_2 = (stem + part for part in ("qdata", "scale", "per_tensor_scale"))
    format, dtype = _TYPES[kind]
    row = FORMATS[format]
    if codes not in file.entries or scales not in file.entries:
        return
    of_codes, of_scales = file.entries[codes], file.entries[scales]
    if of_codes.dtype != "U8" or of_scales.dtype != dtype or fields.get("block_size") != row.block:
        raise ValueError(f"{name} must be U8 codes and {dtype} scales in blocks of {row.block}")
    *lead, half = of_codes.shape or (0,)
    shape = (*lead, 2 * half)
    blocks = (*lead, 2 * half // row.block)
    swizzled = bool(fields.get("is_swizzled_scales"))
    rows = int(np.prod(lead, dtype=np.int64))
    wanted = blocks[-1] * rows
    if swizzled:
        wanted = -(-rows // 128) * -(-blocks[-1] // 4) * 512
    if not of_codes.bytes or 2 * half % row.block or of_scales.bytes != wanted:
        raise ValueError(f"{scales} must be {wanted:,} scales of {name}, not {of_scales}")
    given = scale_2 if is_factor(file.entries.get(scale_2)) else None

    def read() -> Blocks:
        held = split_nibbles(file.raw(codes)).reshape(*blocks, row.block)
        raw = in_order(file, scales, (-1,) if swizzled else blocks)
        of_blocks = unswizzle(raw, rows, blocks[-1]).reshape(blocks) if swizzled else raw
        return Blocks(held, of_blocks, None, row.name, shape, tensor_scale=factor(file, given))

    yield Stored(
        name=name, layout="torchao", format=row.name, shape=shape, axis=len(lead), row=row,
        parts=(codes, scales, given) if given else (codes, scales), fields=(name, _LIST), read=read,
        code_8=-0.0, note="swizzled scales" if swizzled else "",
    )  # fmt: skip
