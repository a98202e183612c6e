"""Tensors as other libraries export them, without the libraries: DLPack capsules made by hand."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

INT, UINT, FLOAT, BFLOAT, FLOAT8 = 0, 1, 2, 4, 10
"""Types by their code in DLPack."""
CPU, CUDA = 1, 2
"""Devices by their code in DLPack."""


class Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device", ctypes.c_int32 * 2), ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p), ("offset", ctypes.c_uint64),
    ]  # fmt: skip


class Managed(ctypes.Structure):
    """DLManagedTensor."""

    name = b"dltensor"
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    name = b"dltensor_versioned"
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", Tensor),
    ]  # fmt: skip


SHARED: list[Any] = []
"""What has been exported, which lives on: an array may call its deleter at any time."""
Delete = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)


class Exporter:
    """Shares the words of an array as a type that NumPy may not know; counts what becomes of them.

    Parameters
    ----------
    words
        Array of the words, with any strides; its memory is what is shared.
    code
        Their type, as DLPack numbers types.
    kind
        `Managed`, or `Versioned` of version 1.
    offset
        Bytes from the address that is stated to the first word.
    """

    def __init__(
        self, words: npt.NDArray[Any], code: int, kind: Any = Versioned, *, bits: int = 0,
        lanes: int = 1, major: int = 1, device: tuple[int, int] = (CPU, 0), offset: int = 0,
    ) -> None:  # fmt: skip
        self.words = words
        self.pair = device
        self.asked = self.deleted = 0
        self.sizes, self.steps = (
            (ctypes.c_int64 * max(1, words.ndim))(*values)
            for values in (words.shape, [s // words.itemsize for s in words.strides])
        )
        self.tensor = Tensor(
            words.ctypes.data - offset, device, words.ndim,
            code, bits or 8 * words.itemsize, lanes,
            ctypes.addressof(self.sizes), ctypes.addressof(self.steps), offset,
        )  # fmt: skip
        self.delete = Delete(self._delete)
        self.kind, self.major = kind, major
        self.made: list[Any] = []
        self.capsules: list[Any] = []

    def _delete(self, _: int) -> None:
        self.deleted += 1
        self.words[...] = 0  # as memory that is used for something else

    @property
    def left(self) -> int:
        """Capsules that nobody took, whose memory an exporter gives back itself."""
        return sum(_is_valid(capsule, self.kind.name) for capsule in self.capsules)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.pair

    def __dlpack__(
        self, *, stream: None = None, max_version: Any = None, dl_device: Any = None,
        copy: Any = None,
    ) -> Any:  # fmt: skip
        self.asked += 1
        if self.kind is Versioned and max_version is None:
            raise BufferError("it is read-only, which needs version 1")
        managed = self.kind(tensor=self.tensor)  # a new one each time: it is its taker's
        managed.deleter = ctypes.cast(self.delete, ctypes.c_void_p).value
        if self.kind is Versioned:
            managed.major, managed.minor, managed.flags = self.major, 1, 1
        self.made.append(managed)
        SHARED.append(self)
        self.capsules.append(_new(ctypes.addressof(managed), self.kind.name, None))
        return self.capsules[-1]


class Old(Exporter):
    """One from before version 1, which takes no request but for a stream."""

    def __init__(self, words: npt.NDArray[Any], code: int, **options: Any) -> None:
        super().__init__(words, code, Managed, **options)

    # Older exporters know no further arguments: that is what this one stands for.
    def __dlpack__(self, stream: Any = None) -> Any:  # type: ignore[override]
        return super().__dlpack__()


class Refusing(Exporter):
    """One that cannot export, and says why."""

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("it requires a gradient: detach it")


class ArrayLike:
    """What only knows how to become an array."""

    def __init__(self, array: npt.NDArray[Any] | None) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if self.array is None:
            raise RuntimeError("it lies on a device")
        return np.array(self.array, dtype, copy=copy)
