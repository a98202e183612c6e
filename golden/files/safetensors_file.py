"""Safetensors files, read and written tensor by tensor.

Eight bytes give the size of the header, a JSON object of ``name: {dtype, shape, data_offsets}``
and ``__metadata__``; the tensors' bytes follow, without gaps. The library of that name reads and
writes whole files only, sorts tensors by type, and its NumPy half has no BF16 or FP8: it is what
tests compare this with.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from amxfp4.util.files import replacing

from .tensor_file import BITS, NUMPY, Entry, MappedFile

__all__ = ["SafetensorsFile", "Writer", "parsed", "written"]

_MOST_HEADER = 100_000_000
"""The library's own limit, in bytes."""


class SafetensorsFile(MappedFile):
    """An open safetensors file; see `TensorFile`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.foreign: list[str] = []
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            header = _header(stream, size)
            self.metadata = _metadata(header.pop("__metadata__", {}))
            start = stream.tell()
            self.entries, offsets = _entries(header, size - start)
            self._offsets = {name: start + offset for name, offset in offsets.items()}
            # The header is there, so that what is mapped is not empty.
            self.mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def raw(self, name: str) -> npt.NDArray[Any]:
        """See `TensorFile`."""
        entry = self.entries[name]
        stored = np.dtype(NUMPY.get(entry.dtype, "u1"))
        count = entry.bytes // stored.itemsize
        array = np.frombuffer(self.mapped, stored, count, self._offsets[name])
        native: npt.NDArray[Any] = array.astype(stored.newbyteorder("="), copy=False)
        return native.reshape(entry.shape) if count == math.prod(entry.shape) else native


def _header(stream: BinaryIO, size: int) -> dict[str, Any]:
    first = stream.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > min(size - 8, _MOST_HEADER):
        raise ValueError(f"its header is cut off: {size:,} bytes in all")
    return parsed(stream.read(length), "its header")


def parsed(text: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object whose names are all different; errors call it `what`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ValueError(f"{what} has {name!r} twice")
            found[name] = value
        return found

    try:
        held = json.loads(text, object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{what} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error
    if not isinstance(held, dict):
        raise ValueError(f"{what} is not an object of tensors")
    return held


def _metadata(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError("its metadata must be texts by name")
    return found


def _entries(header: dict[str, Any], size: int) -> tuple[dict[str, Entry], dict[str, int]]:
    """Check what a header declares against the size of the data; sort it as they lie there."""
    places = sorted((_place(name, fields) for name, fields in header.items()), key=lambda p: p[:2])
    entries, offsets, at = {}, {}, 0
    for start, end, name, entry in places:
        if start != at or end > size:
            raise ValueError(
                f"tensor {name!r} must lie from byte {at:,} on, within {size:,}, not at "
                f"{start:,} to {end:,}"
            )
        entries[name], offsets[name], at = entry, start, end
    if at != size:
        raise ValueError(f"its tensors must fill {size:,} bytes, not {at:,}")
    return entries, offsets


def _place(name: str, fields: Any) -> tuple[int, int, str, Entry]:
    try:
        dtype, shape, (start, end) = (fields[k] for k in ("dtype", "shape", "data_offsets"))
        numbers = all(type(n) is int and 0 <= n < 1 << 63 for n in (*shape, start, end))
        name.encode()  # JSON has half characters, which no file can name
    except (KeyError, TypeError, ValueError):
        numbers = False
    if not numbers or not isinstance(dtype, str):
        raise ValueError(f"tensor {name!r} must have a dtype, a shape and two data_offsets")
    entry = Entry(dtype, tuple(shape), end - start)
    bits = BITS.get(dtype)  # a type that came later is listed, and only its bytes are known
    if bits is not None and math.prod(shape) * bits != 8 * entry.bytes:
        raise ValueError(f"tensor {name!r} must be of {entry}, not of {entry.bytes:,} bytes")
    return start, end, name, entry


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream to what becomes the file `path` when the block ends, whole or not at all.

    Raises
    ------
    OSError
        It cannot be written; what was there is as it was.
    """
    try:
        if not path.parent.is_dir():
            raise NotADirectoryError(f"{path.parent} is no folder")
        with replacing(path) as part, part.open("xb") as stream:
            yield stream
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error


class Writer:
    """Writes a safetensors file piece by piece, in the order of its header.

    The header comes first, so that types and shapes must be known; equal input gives equal bytes.
    The file appears when the block ends, and only if all that was declared has been written.

    Parameters
    ----------
    path
    entries
        What is going to be written, by name, in this order.
    metadata
        Texts by name; they are sorted.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "x.safetensors"
    ...     with Writer(path, {"x": Entry("U8", (2, 3), 6)}, {"made": "here"}) as writer:
    ...         for row in ([1, 2, 3], [4, 5, 6]):
    ...             writer.write(np.array(row, np.uint8))
    ...     SafetensorsFile(path).raw("x").tolist()
    [[1, 2, 3], [4, 5, 6]]
    """

    alignment = 1
    """Bytes of which each tensor takes a multiple."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        entries: Mapping[str, Entry],
        metadata: Mapping[str, str],
    ) -> None:
        self._path, self._entries, self._metadata = Path(path), entries, metadata
        self._left = deque(entry.bytes for entry in entries.values() if entry.bytes)

    def __enter__(self) -> Self:
        head = self._head()
        self._stack = contextlib.ExitStack()
        self._stream = self._stack.enter_context(written(self._path))
        self._stream.write(head)
        return self

    def _head(self) -> bytes:
        header: dict[str, Any] = {}
        if self._metadata:
            header["__metadata__"] = dict(sorted(self._metadata.items()))
        at = 0
        for name, entry in self._entries.items():
            end = at + entry.bytes
            header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [at, end]}
            at = end
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    def write(self, piece: npt.NDArray[Any]) -> None:
        """Append the bytes of a tensor, of its next piece, or of several, in C order.

        They become little endian.
        """
        little = piece.astype(piece.dtype.newbyteorder("<"), order="C", copy=False)
        left = little.reshape(-1).view(np.uint8) if little.size else np.empty(0, np.uint8)
        while left.size:
            size = min(self._left[0], left.size)
            self._stream.write(left[:size].data)
            left, self._left[0] = left[size:], self._left[0] - size
            if not self._left[0]:
                self._left.popleft()
                self._stream.write(bytes(-self._stream.tell() % self.alignment))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and self._left:
            failed = ValueError(f"{sum(self._left):,} bytes of what was declared are missing")
            self._stack.__exit__(type(failed), failed, None)
            raise failed
        self._stack.__exit__(kind, error, trace)
