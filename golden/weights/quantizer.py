"""Quantize weights to the formats of AFPQ (arXiv 2311.01792)."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import chunks, rows_of
from amxfp4.params.weights import WeightFormat, weight_format

from .blocks import WeightBlocks, groups_shape

__all__ = ["quantize"]

_Floats = npt.NDArray[np.float32]

_FP32_LARGEST = np.finfo(np.float32).max
_FP16_LARGEST = np.float32(np.finfo(np.float16).max)
_FP16_NORMAL = 2.0**-13
"""Scales from here on are no subnormal FP16 numbers."""


def quantize(
    x: npt.ArrayLike,
    format: str,
    *,
    axis: int = -1,
    block: int | None = None,
    packed: bool = False,
) -> WeightBlocks:
    """Quantize a tensor of weights to groups along one axis (arXiv 2311.01792).

    With T the largest value of the format's table, and R the rounding to FP32, RNE::

        p = max(0, max x_i)              n = max(0, max -x_i)
        afpq:  s_pos = R(p / T)          s_neg = R(n / T)
        fpq:   s_pos = s_neg = R(max(p, n) / T)
        code_i: the table's value nearest to R(x_i / s), s = s_pos if x_i > 0 else s_neg

    Halfway between two values the lower one is taken, the more negative one. Where p and n are 0
    both count as 1. If packed, s' is s rounded to FP16, and the values T[code] s, rounded to FP16,
    are coded again: the table's value nearest to their quotient by s', rounded to FP16. Both
    roundings saturate at 65504.

    Parameters
    ----------
    x
        As for `amxfp4.golden.quantize`.
    format
        Row of the table of weight formats, such as ``afpq-nf4``.
    axis
        The axis along which groups run. The last group is padded with zeros.
    block
        Elements per group: 128 (the default), or -1 for one group a row.
    packed
        Whether scales are FP16 and elements are coded again, as for AFPQ's packed files.

    Returns
    -------
    WeightBlocks
        - No element of a sign: its scale is 0.
        - A scale that rounds to 0: elements of that sign get the code of zero.
        - A NaN: all scales of the group are NaN, all elements have the code of zero.
        - An infinity counts as the largest FP32 number of its sign.

    Raises
    ------
    TypeError
        `x` is of another type, or a parameter is of the wrong kind.
    ValueError
        `x` is empty, `axis` out of range, `format` unknown, or `block` another number.

    Examples
    --------
    >>> b = quantize(np.array([6, 3.5, -0.5, -0.3, 0], np.float32), "afpq-fp4", block=-1)
    >>> b.codes, b.scale_pos, b.scale_neg
    (array([[15, 13,  0,  1,  7]], dtype=uint8), array([1.], dtype=float32), \
array([0.08333334], dtype=float32))
    """
    row = weight_format(format, block, packed)
    rows, whole, axis = rows_of(x, axis)
    shape = groups_shape(row, whole, axis)
    codes = np.empty((len(rows), shape[-1], row.size(whole[axis])), np.uint8)
    scales: Any = np.empty((row.sides, *codes.shape[:2]), f"f{row.scale_bits // 8}")
    parts = chunks(rows, codes.shape[-1])
    coder = _Coder(row, math.prod(s.stop - s.start for s in parts[0]) * codes.shape[-1])
    size = codes.shape[-1]
    for part, groups in parts:
        piece = rows[part, groups.start * size : groups.stop * size]
        coder(piece, codes[part, groups], scales[:, part, groups])
    return WeightBlocks(
        codes.reshape(*shape, size),
        scales[0].reshape(shape),
        scales[1].reshape(shape) if row.asymmetric else None,
        row.name,
        whole,
        axis,
        row.block,
        row.packed,
    )


@cache
def _steps(values: tuple[float, ...]) -> _Floats:
    """Return what a quotient must exceed for each code but the first; FP32 holds it exactly.

    The second of two zeros is stepped over: both have the same step.
    """
    above = [min(v for v in values if v > lower) for lower in values[:-1]]
    return np.array([(a + b) / 2 for a, b in zip(values, above, strict=False)], np.float32)


class _Coder:
    """Quantizes chunks of rows, with its scratch memory for `size` elements."""

    def __init__(self, row: WeightFormat, size: int) -> None:
        self.row = row
        self.steps = _steps(row.values)
        self.values = np.array(row.values, np.float32)
        self.x, self.negative = np.empty((2, size), np.float32)
        self.reached = np.empty(size, np.bool_)
        self.count = np.empty(size, np.uint8)

    def __call__(
        self, x: npt.NDArray[Any], codes: npt.NDArray[np.uint8], scales: npt.NDArray[Any]
    ) -> None:
        """Quantize x [rows, n] into codes [rows, groups, K] and scales [1 or 2, rows, groups]."""
        rows, groups, size = codes.shape
        padded = self.x[: codes.size].reshape(rows, groups * size)
        with np.errstate(all="ignore"):  # of IEEE 754, whose results are what is wanted
            padded[:, : x.shape[1]] = x
            padded[:, x.shape[1] :] = 0
            found, kept = self._encode(padded.reshape(-1, size))
        codes[...] = found.reshape(codes.shape)
        for side, scale in zip(scales, kept, strict=True):
            side[...] = scale.reshape(rows, groups)

    def _encode(self, x: _Floats) -> tuple[npt.NDArray[np.uint8], list[Any]]:
        """Codes of groups [n, K], and their scales [n] for each side, FP32 or FP16."""
        scales = self._scales(x)
        nan = np.isnan(scales[0])
        codes = self._nearest(self._quotients(x, scales))
        kept: list[Any] = scales
        if self.row.packed:
            kept = [np.minimum(s, _FP16_LARGEST).astype(np.float16) for s in scales]
            self._code_again(codes, scales, kept)
        codes[nan] = self.row.zero
        return codes, kept

    def _scales(self, x: _Floats) -> list[_Floats]:
        """FP32 scales of each side; all NaN for a group with one."""
        p, n = x.max(axis=1), -x.min(axis=1)
        p, n = (np.clip(m, 0, _FP32_LARGEST) + np.float32(0) for m in (p, n))
        if not self.row.asymmetric:
            p = n = np.maximum(p, n)
        empty = (p == 0) & (n == 0)
        sides = [p, n][: self.row.sides]
        for m in sides:
            m[empty] = 1
            m /= self.values[-1]
            m[np.isnan(m)] = np.nan  # one NaN, whichever came in
        return sides

    def _quotients(self, x: _Floats, scales: list[_Floats]) -> _Floats:
        """R(x / s), in place of x; 0 where the scale is 0."""
        divisors = [np.where(s > 0, s, np.float32(np.inf))[:, None] for s in scales]
        if not self.row.asymmetric:
            return np.divide(x, divisors[0], out=x)
        # One of both is a zero. This is faster than to choose the divisor of each element.
        negative = np.minimum(x, 0, out=self.negative[: x.size].reshape(x.shape))
        np.maximum(x, 0, out=x)
        for side, divisor in zip((x, negative), divisors, strict=True):
            np.divide(side, divisor, out=side)
        return np.add(x, negative, out=x)

    def _nearest(self, quotients: _Floats) -> npt.NDArray[np.uint8]:
        """Codes of the nearest values; of two the lower one."""
        q = quotients.reshape(-1)
        reached, count = self.reached[: q.size], self.count[: q.size]
        flags = reached.view(np.uint8)
        np.greater(q, self.steps[0], out=reached)
        np.copyto(count, flags)
        for step in self.steps[1:]:
            np.greater(q, step, out=reached)
            count += flags
        return count.reshape(quotients.shape)

    def _code_again(
        self, codes: npt.NDArray[np.uint8], scales: list[_Floats], kept: list[Any]
    ) -> None:
        """Code the FP16 values of codes [n, K] again by FP16 scales, in place.

        What a code becomes depends on its group alone. It stays what it is where FP16 has all bits
        of the scale and holds all values: quotients then move by less than a hundredth of the
        distance of two values.
        """
        large = _FP16_LARGEST / self.values[-1]
        doubtful = np.any([(s < _FP16_NORMAL) | (s > large) for s in scales], axis=0)
        if not doubtful.any():
            return
        exact, rounded = ([s[doubtful, None] for s in sides] for sides in (scales, kept))
        divisors = [np.where(s > 0, s, np.float16(np.inf)) for s in rounded]
        positive = self.values > 0
        y = self.values * np.where(positive, exact[0], exact[-1])
        y = np.clip(y, -_FP16_LARGEST, _FP16_LARGEST).astype(np.float16)
        quotients = y / np.where(positive, divisors[0], divisors[-1])
        again = np.searchsorted(self.steps, quotients.astype(np.float32)).astype(np.uint8)
        codes[doubtful] = np.take_along_axis(again, codes[doubtful], axis=1)
