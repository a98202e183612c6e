"""How two tensors differ: codes and scales of blocks, values of any, bytes of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.params.formats import E2M1

__all__ = [
    "Differing",
    "First",
    "ValueDifferences",
    "byte_differences",
    "code_differences",
    "scale_differences",
]

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class First:
    """The first difference in C order.

    Parameters
    ----------
    index
        Where it is.
    a, b
        What either tensor has there.
    """

    index: Index
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Differing:
    """How many differ, and the first of them.

    Parameters
    ----------
    count
        How many differ.
    first
        The first; ``None`` if none does.
    zeros
        Of element codes: how many of those that differ are two codes of zero, as 0 and 8 of E2M1.
    """

    count: int
    first: First | None = None
    zeros: int = 0


def _elements(b: Blocks) -> npt.NDArray[np.uint8]:
    """Element codes in shape and axis order of the tensor, without padding; a view."""
    rows = b.codes.reshape(*b.codes.shape[:-2], -1)[..., : b.shape[b.axis]]
    return np.moveaxis(rows, -1, b.axis)


def code_differences(a: Blocks, b: Blocks) -> Differing:
    """Compare the element codes of two tensors, whatever their scales, blocks and axes.

    Parameters
    ----------
    a, b
        Quantized tensors of one shape, of formats that share their element.

    Returns
    -------
    Differing
        Its index is that of the element in the tensor. Codes of padding, behind the end of a row,
        belong to no element and are not compared.

    Raises
    ------
    ValueError
        The shapes differ.

    Examples
    --------
    >>> one = np.array([[60]], np.uint8)
    >>> x, y = (np.zeros((1, 1, 16), np.uint8) for _ in range(2))
    >>> y[0, 0, 3:5] = 8, 2
    >>> code_differences(*(Blocks(c, one, one, "amxfp4", (1, 16)) for c in (x, y)))
    Differing(count=2, first=First(index=(0, 3), a=0, b=8), zeros=1)
    """
    _same_shape(a.shape, b.shape)
    x, y = _elements(a), _elements(b)
    unequal = x != y
    zeros = 0
    if unequal.any() and a.row.element == b.row.element == E2M1:
        # Both are zeros where nothing but the bit of the sign is set.
        zeros = int(np.count_nonzero(unequal & ((x | y) & 7 == 0)))
    return _differing(unequal, x, y, zeros)


def scale_differences(a: Blocks, b: Blocks) -> Differing | None:
    """Compare the scale codes of two tensors.

    Returns
    -------
    Differing or None
        Its index is [..., block, side]: the axes of `Blocks`, and 0 for the scale of positive
        elements (of all of them when symmetric) or 1 for that of negative ones, or for the zero
        point. ``None`` if scales of the two do not belong to the same elements or are of different
        codes: another block size, axis, scale format or number of scales and zero points.
    """
    kinds = [
        (x.shape, x.axis, x.block, x.row.scale, x.row.scales, x.row.zero_point) for x in (a, b)
    ]
    if kinds[0] != kinds[1]:
        return None
    x, y = (np.stack(t.shared, axis=-1) for t in (a, b))
    return _differing(x != y, x, y)


def byte_differences(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Differing:
    """Compare elements of one type and shape that have no values here, byte by byte.

    The first difference is that of the first byte of the first element that differs.
    """
    _same_shape(x.shape, y.shape)
    if not x.size * x.itemsize:
        return Differing(0)
    a, b = (
        np.ascontiguousarray(t).reshape(-1).view(np.uint8).reshape(*t.shape, -1) for t in (x, y)
    )  # fmt: skip
    unequal = a != b
    found = _differing(unequal, a, b)
    if found.first is None:
        return found
    first = First(found.first.index[:-1], found.first.a, found.first.b)
    return Differing(int(np.count_nonzero(unequal.any(axis=-1))), first)


class ValueDifferences:
    """Values of two tensors that are seen in pieces, in C order.

    Two values are equal if they are as numbers: -0 equals +0, a narrower word equals the wider one
    of its value, and a NaN equals any NaN.

    Parameters
    ----------
    shape
        Of both tensors.
    """

    def __init__(self, shape: Index) -> None:
        self._shape = shape
        self._seen = self._count = 0
        self._first: First | None = None

    def add(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
        """Add the next elements of either tensor: float64, float32 or float16 [n]."""
        _same_shape(x.shape, y.shape)
        unequal = x != y
        unequal &= ~(np.isnan(x) & np.isnan(y))
        count = int(np.count_nonzero(unequal))
        if count and self._first is None:
            at = int(unequal.argmax())
            index = np.unravel_index(self._seen + at, self._shape)
            self._first = First(tuple(map(int, index)), float(x[at]), float(y[at]))
        self._seen += x.size
        self._count += count

    @property
    def found(self) -> Differing:
        """How many differ so far."""
        return Differing(self._count, self._first)


def _differing(
    unequal: npt.NDArray[np.bool_], x: npt.NDArray[np.uint8], y: npt.NDArray[np.uint8],
    zeros: int = 0,
) -> Differing:  # fmt: skip
    count = int(np.count_nonzero(unequal))
    if not count:
        return Differing(0)
    index = tuple(map(int, np.unravel_index(int(unequal.argmax()), unequal.shape)))
    return Differing(count, First(index, int(x[index]), int(y[index])), zeros)


def _same_shape(a: Index, b: Index) -> None:
    if a != b:
        raise ValueError(f"b must be of shape {a} as a is, not {b}")
