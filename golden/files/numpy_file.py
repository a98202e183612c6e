"""NumPy's files: arrays alone (.npy) and zipped (.npz).

An array's header is a line of Python: a dictionary of descr, fortran_order and shape, after six
bytes of magic and two of version. It is read here, since NumPy forgets the byte order of the two
anonymous bytes that bfloat16 is saved as, and allocates what a header declares before it looks.
"""

from __future__ import annotations

import ast
import contextlib
import math
import mmap
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from .tensor_file import NUMPY, Entry, MappedFile, TensorFile

__all__ = ["NpyFile", "NpzFile"]

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 1 << 16
_TYPES = {np.dtype(code).newbyteorder("="): name for name, code in NUMPY.items() if name != "BF16"}
"""What safetensors calls the types that both know."""
_BF16 = ("V2", "bfloat16")
_DEFLATED = 1040
"""No byte of a deflated member stands for more than 1,032 bytes."""


class _Array:
    """What the header of an array declares."""

    def __init__(self, stream: IO[bytes]) -> None:
        fields = _fields(stream)
        try:
            descr, fortran, shape = (fields[k] for k in ("descr", "fortran_order", "shape"))
            sizes = [type(n) is int and 0 <= n < 1 << 63 for n in shape]
            self.dtype = np.dtype(descr)
        except (KeyError, TypeError, ValueError, SyntaxError) as error:
            raise ValueError(f"its header is not that of an array: {error}") from error
        if not isinstance(shape, tuple) or not all(sizes) or not isinstance(fortran, bool):
            raise ValueError("its header is not that of an array: its shape must be sizes")
        if self.dtype.hasobject:
            raise ValueError("it holds Python objects, which are programs, not numbers")
        self.order: Any = "F" if fortran else "C"
        # NumPy reads these as bytes without an order, whatever the header says.
        self.is_bf16 = isinstance(descr, str) and descr.lstrip("<>=|") in _BF16
        if self.is_bf16:
            self.dtype = np.dtype(">u2" if descr.startswith(">") else "<u2")
        native = self.dtype.newbyteorder("=")
        name = "BF16" if self.is_bf16 else _TYPES.get(native, native.name)
        self.entry = Entry(name, shape, math.prod(shape) * self.dtype.itemsize)

    def of(self, held: Any, offset: int = 0) -> npt.NDArray[Any]:
        """Make the array of the bytes of a buffer, in the machine's order."""
        count = math.prod(self.entry.shape)
        stored = (
            np.frombuffer(held, self.dtype, count, offset) if count else np.empty(0, self.dtype)
        )
        shaped = stored.reshape(self.entry.shape, order=self.order)
        return shaped.astype(self.dtype.newbyteorder("="), copy=False)


def _fields(stream: IO[bytes]) -> dict[str, Any]:
    start = stream.read(8)
    if start[:6] != _MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise ValueError("it does not begin as an array that NumPy saved")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MOST_HEADER:
        raise ValueError(f"its header must be of at most {_MOST_HEADER:,} bytes, not {length:,}")
    text = stream.read(length)
    if len(text) < length:
        raise ValueError("its header is cut off")
    try:
        fields = ast.literal_eval(text.decode("utf-8" if start[6] == 3 else "latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"its header is not that of an array: {_first(error)}") from error
    if not isinstance(fields, dict):
        raise ValueError("its header is not that of an array: it must be a dictionary")
    return fields


def _first(error: Exception) -> str:
    """Say what is wrong in one short line."""
    return (str(error).partition("\n")[0] or type(error).__name__)[:80]


class NpyFile(MappedFile):
    """An open .npy file, whose one array is named as the file; see `TensorFile`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        self.foreign: list[str] = []
        with path.open("rb") as stream:
            self._array = _Array(stream)
            self._start = stream.tell()
            held = os.fstat(stream.fileno()).st_size - self._start
            if self._array.entry.bytes != held:
                raise ValueError(
                    f"it declares {self._array.entry.bytes:,} bytes of {self._array.entry} and "
                    f"holds {held:,}"
                )
            self.mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self.entries = {path.stem: self._array.entry}

    def raw(self, name: str) -> npt.NDArray[Any]:
        """See `TensorFile`."""
        return self._array.of(self.mapped, self._start)


class NpzFile(TensorFile):
    """An open .npz file: a member of each array, named as the array and .npy; see `TensorFile`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        self.foreign: list[str] = []
        self.entries: dict[str, Entry] = {}
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:  # whatever the library raises, the file is to blame
            raise ValueError(f"it is not a zip file: {_first(error)}") from error
        self._size = path.stat().st_size
        try:
            for member in self._zip.infolist():
                self._enter(member)
        except ValueError:
            self._zip.close()
            raise

    def _enter(self, member: zipfile.ZipInfo) -> None:
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            self.foreign.append(name)
            return
        if name in self.entries:
            raise ValueError(f"it holds {member.filename!r} twice")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Others allocate what a damaged header of theirs asks for.
            raise ValueError(f"{member.filename!r} is compressed in a way that NumPy does not use")
        if member.file_size > self._size * _DEFLATED:
            raise ValueError(f"{member.filename!r} declares more bytes than it can hold")
        with self._member(member) as (array, stream):
            held = member.file_size - stream.tell()
        if array.entry.bytes != held:
            raise ValueError(
                f"{member.filename!r} declares {array.entry.bytes:,} bytes of {array.entry} and "
                f"holds {held:,}"
            )
        self.entries[name] = array.entry

    @contextlib.contextmanager
    def _member(self, member: zipfile.ZipInfo) -> Iterator[tuple[_Array, IO[bytes]]]:
        """Open a member and read its header; the stream stands where its elements begin."""
        try:
            with self._zip.open(member) as stream:
                yield _Array(stream), stream
        except Exception as error:  # checksums, compression, passwords: whatever is wrong with it
            raise ValueError(f"{member.filename!r}: {_first(error)}") from error

    def raw(self, name: str) -> npt.NDArray[Any]:
        """See `TensorFile`; the whole member is read, and its checksum compared."""
        try:
            with self._member(self._zip.getinfo(f"{name}.npy")) as (array, stream):
                return array.of(stream.read())
        except ValueError as error:
            raise ValueError(f"{self.path} cannot be read: {error}") from error

    def release(self) -> None:
        """See `TensorFile`; nothing is mapped."""

    def close(self) -> None:
        """See `TensorFile`."""
        self._zip.close()
