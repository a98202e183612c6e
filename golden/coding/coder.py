"""From the words of blocks to codes: thresholds that are reached, a chunk at a time."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import load_words, rows_are_adjacent
from amxfp4.golden.formats import element_thresholds, one_code, scale_thresholds
from amxfp4.golden.rounding import FP32_SIGN
from amxfp4.params.formats import FP32, BlockFormat, ScaleRule, Ties

from .integers import count_integers, range_codes
from .search import Candidate, LeastError, around
from .second import take_second

__all__ = ["Coder"]

_LINE = 64
"""Elements that a row of scratch memory is a whole and odd number of, so that the rows start in
different sets of the caches: rows of 4,096 bytes are slow to transpose."""


class _Tables:
    """Thresholds and codes in words of one width, which are the upper bits of FP32's."""

    def __init__(self, row: BlockFormat, ties: Ties, width: int) -> None:
        self.row, self.ties = row, ties
        self.cut = FP32.width - width
        self.signed, unsigned = (np.dtype(f"{kind}{width // 8}") for kind in "iu")
        self.sign_bit = unsigned.type(FP32_SIGN >> self.cut)
        self.scale_steps = self._upper(scale_thresholds(row, ties))
        self.element_steps = self._upper(element_thresholds(row, ties))
        self.negative_steps = self.element_steps.view(unsigned) | self.sign_bit
        assert FP32.inf_magnitude is not None
        self.first_nan = (FP32.inf_magnitude >> self.cut) + (not row.power_of_two)
        assert row.scale.nan_magnitude is not None
        self.one, self.nan = one_code(row), row.scale.nan_magnitude
        # Of words of 16 bits a table of all maxima is faster than a search.
        few = np.arange(1 << (width - 1) if width == 16 else 0)
        self.scale_codes = self._reached(few.astype(self.signed))

    def _upper(self, steps: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
        """Cut thresholds to the width of the words, rounded up; what no word reaches stays so."""
        lower = steps & ((1 << self.cut) - 1) != 0
        upper = (steps >> self.cut) + lower
        table: npt.NDArray[Any] = np.minimum(upper, np.iinfo(self.signed).max).astype(self.signed)
        return table

    def scale(self, m: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Scale codes of block maxima [n] that are no NaN."""
        return self.scale_codes.take(m) if self.scale_codes.size else self._reached(m)

    def scale_of_four(self, m: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Scale codes under which the maxima are 4."""
        return self._reached(m, self._upper(scale_thresholds(self.row, self.ties, 4)))

    def _reached(
        self, m: npt.NDArray[Any], steps: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[np.uint8]:
        steps = self.scale_steps if steps is None else steps
        code = np.searchsorted(steps, m, side="right").astype(np.uint8)
        code[m == 0] = self.one
        return code


_tables = cache(_Tables)


class Coder:
    """Quantizes chunks of rows, with its tables and scratch memory.

    A chunk is held element-major, [K, blocks]: maxima over a block and comparisons with a
    block's thresholds then are loops over long contiguous rows. Words of FP32 are compared as they
    are; BF16 is its upper half, and so are the thresholds that it can reach.
    """

    def __init__(
        self,
        row: BlockFormat,
        ties: Ties,
        width: int,
        blocks: int,
        search: range | None = None,
        second: int = 0,
    ) -> None:
        self.row, self.search, self.second = row, search, second
        self.tables = tables = _tables(row, ties, width)
        self.signed, self.unsigned = tables.element_steps.dtype, tables.negative_steps.dtype
        # The element code of a negative magnitude is sign + magnitude.
        self.sign = 1 << (row.element.width - 1)
        stride = (-(-blocks // _LINE) | 1) * _LINE
        self.key = np.empty((row.block, stride), self.signed)
        self.reached = np.empty((row.block, stride), np.bool_)
        self.count = np.empty((row.block, stride), np.uint8)
        if search is not None or row.scale_rule is ScaleRule.FOUR_OR_SIX:
            self.least_error = LeastError(row, blocks)

    def __call__(
        self, x: npt.NDArray[Any], codes: npt.NDArray[np.uint8], scales: npt.NDArray[np.uint8]
    ) -> None:
        """Quantize x [rows, n] into codes [rows, blocks, K] and scales [1 or 2, rows, blocks]."""
        rows, blocks, block = codes.shape
        # Keep the order of memory in the long axis, so that copies run along it.
        adjacent = rows_are_adjacent(x)
        order = (block, blocks, rows) if adjacent else (block, rows, blocks)
        key, count = self.key[:, : rows * blocks], self.count[:, : rows * blocks]
        words = key.reshape(order)
        load_words(x, words.transpose(0, 2, 1) if adjacent else words, self.tables.cut)
        with np.errstate():
            # NumPy copies what it broadcasts over rows that are shorter than half its buffer.
            np.setbufsize(16)
            sides = self._encode(key, count)
        back = (2, 1, 0) if adjacent else (1, 2, 0)
        codes[...] = count.reshape(order).transpose(back)
        for side, code in zip(scales, sides, strict=False):
            side[...] = code.reshape(order[1:]).T if adjacent else code.reshape(order[1:])

    def _encode(
        self, key: npt.NDArray[Any], count: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Write the element codes of bit patterns [K, n] to count; return both scale codes [n].

        In place of a second one the zero point, where a format has one.
        """
        tables, unsigned = self.tables, key.view(self.unsigned)
        # As signed integers positive words are the largest; as unsigned ones, negative words.
        p = np.maximum(key.max(axis=0), 0)
        n = np.maximum((unsigned.max(axis=0) ^ tables.sign_bit).view(self.signed), 0)
        m = np.maximum(p, n)
        nan = m >= tables.first_nan
        pos = tables.scale(p if self.row.asymmetric else m)
        neg = tables.scale(n) if self.row.asymmetric else pos
        if self.row.zero_point:
            steps = tables.element_steps
            pos, neg = range_codes(p, n, tables.cut, self.row, tables.ties, steps)
        if self.search is not None:
            start = [pos, neg] if self.row.asymmetric else [pos]
            pos, neg = self._chosen(key, start, around(start, self.row, self.search))
        elif self.second:
            pos, neg = self._with_second(key, pos, neg)
        elif self.row.scale_rule is ScaleRule.FOUR_OR_SIX:
            there = [np.ones(m.shape, np.bool_)]
            pair = [([code], there) for code in (pos, tables.scale_of_four(m))]
            pos, neg = self._chosen(key, [pos], pair)
        self._count(key, count, pos, neg)
        if nan.any():
            pos[nan] = tables.nan
            neg[nan] = 0 if self.row.zero_point else tables.nan
            count[:, nan] = 0
        return pos, neg

    def _count(
        self,
        key: npt.NDArray[Any],
        count: npt.NDArray[np.uint8],
        pos: npt.NDArray[np.uint8],
        neg: npt.NDArray[np.uint8],
    ) -> None:
        """Write the element codes of bit patterns [K, n] under scale codes [n] to count."""
        tables, unsigned = self.tables, key.view(self.unsigned)
        negative = tables.negative_steps.take(pos if self.row.zero_point else neg, axis=1)
        positive = tables.element_steps.take(pos, axis=1)
        reached = self.reached[:, : key.shape[1]]
        if not self.row.element.exponent_bits:
            zero = neg if self.row.zero_point else None
            pairs = zip(negative, positive, strict=True)
            count_integers(key, pairs, zero, self.row.element, self.reached, self.count)
            return
        # All of the scratch memory at once, since one long row is faster than many.
        flags, total = self.reached.reshape(-1).view(np.uint8), self.count.reshape(-1)
        # Reaching the first negative threshold also sets the sign: it counts sign + 1.
        np.greater_equal(unsigned, negative[0], out=reached)
        np.multiply(flags, np.uint8(self.sign + 1), out=total)
        for step in negative[1:]:
            np.greater_equal(unsigned, step, out=reached)
            total += flags
        for step in positive:
            np.greater_equal(key, step, out=reached)
            total += flags

    def _chosen(
        self,
        key: npt.NDArray[Any],
        start: list[npt.NDArray[np.uint8]],
        candidates: list[Candidate],
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Scale codes of least error among candidates, by side."""
        x = (key.astype(np.int32) << self.tables.cut).view(np.float32)

        def encode(
            at: npt.NDArray[np.intp], pos: npt.NDArray[np.uint8], neg: npt.NDArray[np.uint8]
        ) -> npt.NDArray[np.uint8]:
            few = Coder(self.row, self.tables.ties, 8 * key.itemsize, at.size)
            few._count(key[:, at], few.count[:, : at.size], pos, neg)
            return few.count[:, : at.size]

        found = self.least_error(x, start, candidates, encode)
        return found[0], found[-1]

    def _with_second(
        self, key: npt.NDArray[Any], pos: npt.NDArray[np.uint8], neg: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Scale codes where each may be the second."""
        sign = self.tables.sign_bit.view(self.signed)
        if not self.row.asymmetric:
            pos = take_second(key & ~sign, pos, self.row, self.second)
            return pos, pos
        return (
            take_second(key, pos, self.row, self.second),
            take_second(key ^ sign, neg, self.row, self.second),
        )
