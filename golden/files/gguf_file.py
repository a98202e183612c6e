"""GGUF files (llama.cpp), read and written tensor by tensor.

A header of counts, keys with values, and tensors (name, dimensions from the innermost outwards,
type, offset), all little endian; then the tensors' bytes, each at a multiple of the alignment. The
package ``gguf`` reads every value of a header into Python objects before it looks at a tensor, and
trusts what a file declares: it is what tests compare this with.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .safetensors_file import Writer
from .tensor_file import BITS, NUMPY, Entry, MappedFile

__all__ = ["MOST_AXES", "TYPES", "GgufFile", "GgufWriter"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
"""Where a file does not say another one."""
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
}  # fmt: skip
"""Name, elements and bytes of a block of each type, by its number."""

MOST_AXES = 4
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
"""Types of values, as `struct` calls them."""


class GgufFile(MappedFile):
    """An open GGUF file; see `TensorFile`. The metadata are the texts of its header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.foreign: list[str] = []
        with path.open("rb") as stream:
            first = stream.read(8)
            if first[:4] != MAGIC or len(first) < 8:
                raise ValueError("it does not begin as a GGUF file does")
            version = int.from_bytes(first[4:], "little")
            if version not in VERSIONS:
                raise ValueError(f"it must be of version 2 or 3, little endian, not {version:#x}")
            self.mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        header = _Header(self.mapped)
        tensors, keys = header.scalar("Q"), header.scalar("Q")
        alignment = ALIGNMENT
        self.metadata = {}
        self._keys: dict[str, int] = {}
        for _ in range(keys):
            key = header.text()
            self._keys[key] = header.at
            value = header.value()
            if key == "general.alignment":
                alignment = value
            elif isinstance(value, str):
                self.metadata[key] = value
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"its alignment must be a power of two, not {alignment!r}")
        declared = [self._declared(header) for _ in range(tensors)]
        start = -(-header.at // alignment) * alignment
        self.entries, self._offsets = {}, {}
        end = 0
        for name, entry, offset in sorted(declared, key=lambda d: d[2]):
            if (
                offset % alignment
                or offset < end
                or start + offset + entry.bytes > len(self.mapped)
            ):
                raise ValueError(
                    f"tensor {name!r} must lie at a multiple of {alignment}, behind byte {end:,} "
                    f"and within {len(self.mapped) - start:,}, not at {offset:,} to "
                    f"{offset + entry.bytes:,}"
                )
            self._offsets[name], end = start + offset, offset + entry.bytes
        if not start + end <= len(self.mapped) <= start + -(-end // alignment) * alignment:
            raise ValueError(
                f"its tensors must fill {len(self.mapped) - start:,} bytes, not {end:,}"
            )
        for name, entry, _ in declared:
            if name in self.entries:
                raise ValueError(f"its header has {name!r} twice")
            self.entries[name] = entry

    def _declared(self, header: _Header) -> tuple[str, Entry, int]:
        name, axes = header.text(), header.scalar("I")
        if axes > MOST_AXES:
            raise ValueError(f"tensor {name!r} must be of at most {MOST_AXES} axes, not {axes}")
        shape = tuple(header.scalar("Q") for _ in range(axes))[::-1]
        number, offset = header.scalar("I"), header.scalar("Q")
        if number not in TYPES:
            raise ValueError(f"tensor {name!r} must be of a type that is known, not {number}")
        dtype, elements, size = TYPES[number]
        if shape and shape[-1] % elements:
            raise ValueError(f"tensor {name!r} must have rows of whole blocks of {elements}")
        return name, Entry(dtype, shape, math.prod(shape) // elements * size), offset

    def value(self, key: str) -> Any:
        """Read the value of a key of the header: a number, a text, or a list of them.

        Raises
        ------
        ValueError
            The header does not have the key.
        """
        if key not in self._keys:
            raise ValueError(f"its header must have the key {key!r}")
        return _Header(self.mapped, self._keys[key]).value(whole=True)

    def raw(self, name: str) -> npt.NDArray[Any]:
        """See `TensorFile`."""
        entry = self.entries[name]
        stored = np.dtype(NUMPY[entry.dtype] if entry.dtype in BITS else "u1")
        count = entry.bytes // stored.itemsize
        array = np.frombuffer(self.mapped, stored, count, self._offsets[name])
        native: npt.NDArray[Any] = array.astype(stored.newbyteorder("="), copy=False)
        return native.reshape(entry.shape) if entry.dtype in BITS else native


class _Header:
    """Reads a header from front to back; nothing is taken for longer than the file."""

    def __init__(self, mapped: mmap.mmap, at: int = 8) -> None:
        self._mapped, self.at = mapped, at

    def _take(self, size: int) -> int:
        start = self.at
        if size > len(self._mapped) - start:
            raise ValueError(f"its header is cut off: {len(self._mapped):,} bytes in all")
        self.at += size
        return start

    def scalar(self, code: str) -> Any:
        start = self._take(struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{code}", self._mapped, start)[0]

    def text(self) -> str:
        length = self.scalar("Q")
        start = self._take(length)
        try:
            return self._mapped[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"its header has a text that is not UTF-8: {error}") from error

    def value(self, *, whole: bool = False) -> Any:
        """Read a value; of an array, pass over it unless it is to be read whole."""
        kind = self.scalar("I")
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(self._code(kind))
        kind, count = self.scalar("I"), self.scalar("Q")
        if whole and kind == _STRING:
            return [self.text() for _ in range(count)]
        if whole:
            return [self.scalar(self._code(kind)) for _ in range(count)]
        if kind == _STRING:
            for _ in range(count):
                self._take(self.scalar("Q"))
        else:
            self._take(count * struct.calcsize(f"<{self._code(kind)}"))
        return None

    def _code(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise ValueError(f"its header has a value of the unknown type {kind}")
        return _SCALARS[kind]


class GgufWriter(Writer):
    """Writes a GGUF file piece by piece; see `Writer`. The metadata are texts of its header.

    Raises
    ------
    ValueError
        A tensor is of a type or of a number of axes that GGUF does not have.
    """

    alignment = ALIGNMENT

    def _head(self) -> bytes:
        numbers = {name: number for number, (name, _, _) in TYPES.items()}
        head = MAGIC + struct.pack("<IQQ", 3, len(self._entries), len(self._metadata))
        for key, text in sorted(self._metadata.items()):
            head += _text(key) + struct.pack("<I", _STRING) + _text(text)
        at = 0
        for name, entry in self._entries.items():
            if entry.dtype not in numbers or len(entry.shape) > MOST_AXES:
                raise ValueError(
                    f"tensor {name!r} must be of a type of GGUF and of at most {MOST_AXES} axes, "
                    f"not {entry}"
                )
            head += _text(name) + struct.pack("<I", len(entry.shape))
            head += b"".join(struct.pack("<Q", size) for size in reversed(entry.shape))
            head += struct.pack("<IQ", numbers[entry.dtype], at)
            at += -(-entry.bytes // ALIGNMENT) * ALIGNMENT
        return head + bytes(-len(head) % ALIGNMENT)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw
