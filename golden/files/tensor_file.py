"""What a file of tensors holds: types and shapes at once, bytes when they are asked for."""

from __future__ import annotations

import abc
import contextlib
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import values

__all__ = ["BITS", "NUMPY", "Entry", "MappedFile", "Tensor", "TensorFile"]

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
}  # fmt: skip
"""Bits of an element of each type that safetensors has, by its name there."""
NUMPY = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "C64": "<c8",
}  # fmt: skip
"""How NumPy reads their bytes, where it can."""
WORDS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}
"""The word format of each type that can be quantized, as safetensors names types."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor as read from a file.

    Parameters
    ----------
    values
        float32 or float16; a bf16 tensor is float32 that holds BF16 values.
    word
        Format of the file's words: ``fp32``, ``fp16`` or ``bf16``.
    """

    values: npt.NDArray[np.float32] | npt.NDArray[np.float16]
    word: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file declares about one tensor.

    Parameters
    ----------
    dtype
        Its type as safetensors names it (``BF16``, ``F8_E4M3``, ``I64``); one that safetensors
        does not have, as NumPy names it (``complex128``).
    shape
        Elements along each axis; empty for a scalar.
    bytes
        Size of its elements.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def word(self) -> str | None:
        """Format of its words if it can be quantized: ``fp32``, ``fp16`` or ``bf16``."""
        return WORDS.get(self.dtype)

    @property
    def known(self) -> bool:
        """Whether a safetensors file can hold it."""
        return self.dtype in BITS

    def values(self, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values, float32 or float16, of stored words of this type or of a piece of them."""
        return values(raw, "bf16") if self.word == "bf16" else raw

    def __str__(self) -> str:
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"


class TensorFile(abc.ABC):
    """An open file of tensors.

    Attributes
    ----------
    path
    entries
        What there is, by name, in the order of the file.
    metadata
        Texts by name, of a safetensors file.
    foreign
        Names of what lies in the file and is no array.
    """

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str]
    foreign: list[str]

    @abc.abstractmethod
    def raw(self, name: str) -> npt.NDArray[Any]:
        """Elements as they are stored, in the machine's byte order; BF16 as uint16.

        Of types narrower than a byte, and of ones that NumPy does not have, the bytes. The array
        may be of the file itself: it is read as it is used, and must not be after `close`.
        """

    def tensor(self, name: str) -> Tensor:
        """Read a tensor of one of the word formats into memory."""
        entry = self.entries[name]
        assert entry.word is not None
        return Tensor(np.array(entry.values(self.raw(name))), entry.word)

    @abc.abstractmethod
    def release(self) -> None:
        """Give back the memory of what was read, once it was used."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the file."""


class MappedFile(TensorFile):
    """A file whose tensors are read where they lie, as pages of memory."""

    mapped: mmap.mmap

    def release(self) -> None:
        """See `TensorFile`."""
        if hasattr(self.mapped, "madvise"):  # not on every system
            self.mapped.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """See `TensorFile`."""
        with contextlib.suppress(BufferError):  # an array of the file keeps it open
            self.mapped.close()
