"""Layouts of llama.cpp: blocks as records, in files of GGUF.

- MXFP4: an E8M0 code and 16 bytes; byte j holds elements j (low nibble) and j + 16.
- NVFP4: four E4M3 codes and four times 8 bytes; in a block byte j holds j (low) and j + 8. A factor
  is a tensor of its own, ``<stem>.scale``, which the owner's decoder does not apply: neither do we.
- Q8_0: an FP16 d and 32 int8: d * q. Q4_0: d and 16 bytes as in MXFP4: d * (q - 8). Q4_1: d, m:
  d * q + m. Their values are R(...) in FP32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.files.tensor_file import TensorFile
from amxfp4.params.formats import FORMATS, BlockFormat

from .tensor import Stored

__all__ = ["gguf", "halves", "joined_halves"]

_ROWS = {"MXFP4": (FORMATS["mxfp4"], 1), "NVFP4": (FORMATS["nvfp4"], 4)}
"""Format of a type, and how many blocks a record has."""


def gguf(file: TensorFile) -> Iterator[Stored]:
    """Tensors of a GGUF file that are no plain numbers."""
    for name, entry in file.entries.items():
        if not entry.bytes:
            continue
        rest: dict[str, Any] = {"shape": entry.shape, "axis": len(entry.shape) - 1}
        if entry.dtype in _ROWS:
            row, count = _ROWS[entry.dtype]
            scale = name.removesuffix(".weight") + ".scale"
            rest |= {"read": partial(_read, file, name, row, count), "row": row,
                     "format": row.name}  # fmt: skip
            if count > 1 and scale in file.entries:
                rest["note"] = f"without its factor, {scale}"
        elif entry.dtype in _DECODERS:
            rest |= {"decode": partial(_decode, file, name), "format": entry.dtype}
        else:
            continue
        yield Stored(name=name, layout="gguf", parts=(name,), code_8=0.0, **rest)


def halves(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Codes [..., 2n] of bytes [..., n], whose low nibbles are the first half."""
    return np.concatenate([raw & 15, raw >> 4], axis=-1)


def joined_halves(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Inverse of `halves`."""
    half = codes.shape[-1] // 2
    return codes[..., :half] | codes[..., half:] << np.uint8(4)


def _read(file: TensorFile, name: str, row: BlockFormat, count: int) -> Blocks:
    shape = file.entries[name].shape
    blocks = (*shape[:-1], shape[-1] // row.block)
    records = file.raw(name).reshape(-1, count + count * row.block // 2)
    codes = halves(records[:, count:].reshape(-1, row.block // 2))
    scales = np.array(records[:, :count]).reshape(blocks)
    return Blocks(codes.reshape(*blocks, row.block), scales, None, row.name, shape)


def _half(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Read the FP16 numbers [n, 1] of bytes [n, 2]."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _q8_0(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return _half(records[:, :2]) * records[:, 2:].view(np.int8).astype(np.float32)


def _q4_0(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return _half(records[:, :2]) * (halves(records[:, 2:]).astype(np.float32) - np.float32(8))


def _q4_1(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    scaled = _half(records[:, :2]) * halves(records[:, 4:]).astype(np.float32)
    return scaled + _half(records[:, 2:4])


_DECODERS: dict[str, tuple[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]]] = {
    "Q8_0": (34, _q8_0), "Q4_0": (18, _q4_0), "Q4_1": (20, _q4_1),
}  # fmt: skip
"""Bytes of a record of 32 elements, and its values."""


def _decode(file: TensorFile, name: str) -> npt.NDArray[np.float32]:
    entry = file.entries[name]
    size, decode = _DECODERS[entry.dtype]
    with np.errstate(all="ignore"):
        return decode(file.raw(name).reshape(-1, size)).reshape(entry.shape)
