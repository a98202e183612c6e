"""Arrays of other libraries as NumPy's: DLPack (dmlc.github.io/dlpack), bfloat16 included.

NumPy imports every tensor that DLPack can describe, but for types that it does not have itself, and
bfloat16 is one. Here the field of an exported tensor that says bfloat16 is rewritten, to uint16,
before NumPy sees it. All the rest is NumPy's: strides, offsets, both kinds of capsules, keeping the
memory while it is used, and giving it back once. No library is needed for its tensors to be read.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["as_array"]

_CPU = 1
_UINT, _BFLOAT = 1, 4
"""Codes of a device and of two types, as DLPack numbers them."""


class _Tensor(ctypes.Structure):
    """Beginning of ``DLTensor``, as far as its type."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
    ]  # fmt: skip


class _Versioned(ctypes.Structure):
    """Beginning of ``DLManagedTensorVersioned``, of version 1."""

    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", _Tensor),
    ]  # fmt: skip


# Functions of our own: argument types of those in `ctypes.pythonapi` are set for all who call them.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _described(capsule: object) -> _Tensor | None:
    """Tensor of a capsule that nobody has taken yet, where it lies; ``None`` of other versions."""
    if _is_valid(capsule, b"dltensor"):  # a DLManagedTensor, which begins with the tensor
        return _Tensor.from_address(_pointer(capsule, b"dltensor"))
    if _is_valid(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        tensor: _Tensor = managed.tensor
        return tensor if managed.major == 1 else None
    return None


class _Words:
    """An exporter as NumPy shall see it: its bfloat16 are uint16."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter
        self.are_bf16 = False

    def __dlpack_device__(self) -> Any:
        return self.exporter.__dlpack_device__()

    def __dlpack__(self, **request: Any) -> Any:
        # Exporters from before version 1 refuse a request by TypeError; NumPy then asks without.
        capsule = self.exporter.__dlpack__(**request)
        tensor = _described(capsule)
        if tensor is not None and (tensor.code, tensor.bits, tensor.lanes) == (_BFLOAT, 16, 1):
            # The capsule, and what it points to, belong to whoever asked for it.
            tensor.code, self.are_bf16 = _UINT, True
        return capsule


def as_array(parameter: str, x: Any) -> npt.NDArray[Any]:
    """Return `x` as an array, without a copy where that can be.

    Parameters
    ----------
    parameter
        What errors call `x`.
    x
        An array; a tensor of any library that exports DLPack (``__dlpack__`` and
        ``__dlpack_device__``, as PyTorch, JAX and CuPy do), in the CPU's memory; or what NumPy
        makes an array of otherwise (``__array__``, buffers, lists).

    Returns
    -------
    Array of the same shape. Of bfloat16 words from DLPack the float32 values, exact, in memory of
    their own: NumPy has no bfloat16.

    Raises
    ------
    TypeError
        It has a mask, or cannot be read: a tensor of a type that NumPy does not have (FP8), one
        that requires a gradient, a sparse one. The message says why, in the words of the library.
    ValueError
        It is not in the CPU's memory.

    Examples
    --------
    >>> as_array("x", memoryview(b"amx"))
    array([ 97, 109, 120], dtype=uint8)
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{parameter} must be an array without a mask: fill it first")
    try:
        if isinstance(x, (np.ndarray, np.generic)) or not hasattr(x, "__dlpack__"):
            return np.asarray(x)
        if getattr(x, "is_neg", bool)():  # PyTorch exports what it has yet to negate as it is
            x = x.resolve_neg()
        words, device = _Words(x), x.__dlpack_device__()
        array = np.from_dlpack(words) if device[0] == _CPU else None
    # Whatever a library raises, its tensor is to blame.
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        kind = type(x).__name__
        raise TypeError(
            f"{parameter} must be an array that NumPy can read, not {kind}: {error}"
        ) from error
    if array is None:
        place = getattr(x, "device", tuple(device))
        raise ValueError(f"{parameter} must be in the CPU's memory, not on {place}: copy it first")
    if words.are_bf16:  # the upper half of FP32
        wide = array.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return array
