"""Types of one code an element that safetensors has: FP8, E8M0 and FP4."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from amxfp4.golden.files.tensor_file import TensorFile
from amxfp4.golden.formats import decode, values
from amxfp4.golden.nibbles import split_nibbles
from amxfp4.params.formats import E2M1, E4M3, E8M0, FloatFormat

from .tensor import Stored

__all__ = ["plain"]

_TYPES: dict[str, FloatFormat | None] = {
    "F4": E2M1, "F8_E4M3": E4M3, "F8_E8M0": E8M0, "F8_E5M2": None,
}  # fmt: skip
"""E5M2 is half of FP16, with infinity; as a scale it has none."""


def plain(file: TensorFile) -> Iterator[Stored]:
    """Tensors of small floating-point numbers, without scales."""
    for name, entry in file.entries.items():
        if entry.dtype in _TYPES and entry.bytes:
            yield Stored(
                name=name, layout="safetensors", format=entry.dtype, shape=entry.shape,
                axis=max(len(entry.shape) - 1, 0), parts=(name,),
                decode=partial(_decode, file, name),
            )  # fmt: skip


def _decode(file: TensorFile, name: str) -> npt.NDArray[np.float32]:
    entry = file.entries[name]
    raw, fmt = file.raw(name), _TYPES[entry.dtype]
    if fmt is None:
        done = values(np.left_shift(raw, 8, dtype=np.uint16), "fp16")
    else:
        codes = split_nibbles(raw) if fmt is E2M1 else raw
        done = _table(fmt)[codes]
    return done.reshape(entry.shape)


def _table(fmt: FloatFormat) -> npt.NDArray[np.float32]:
    """Value of every code; the sign of zero stays."""
    table = decode(np.arange(1 << fmt.width, dtype=np.uint8), fmt).astype(np.float32)
    if fmt.signed_bit:
        table[len(table) // 2] = -0.0
    return table
