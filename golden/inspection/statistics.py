"""Statistics of tensors: what the codes of blocks are used for, and the range of words.

Everything about blocks but their number of signs follows from how often each element code stands
under each scale code, which is counted once; so nothing here depends on the order of a sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.dequantizer import scale_values, value_table
from amxfp4.golden.formats import element_index, element_values

__all__ = ["BlockStatistics", "Ratios", "WordStatistics", "block_statistics"]

Counts = npt.NDArray[np.int64]

_CHUNK = 1 << 17
"""Elements worked on at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """Ratios s+ / s- of the two scales of blocks, each block counted once.

    Only blocks count that have nonzero elements of both signs and two scales that are neither zero
    nor NaN: of any other block one scale stands for nothing.

    Parameters
    ----------
    values
        float64 [n], increasing: the ratios that occur.
    counts
        int64 [n]: how many blocks have each.
    """

    values: npt.NDArray[np.float64]
    counts: Counts

    @property
    def blocks(self) -> int:
        """How many blocks count."""
        return int(self.counts.sum())

    @property
    def median(self) -> float:
        """The middle one, of an even number the lower one of both; NaN if there is none."""
        if not self.blocks:
            return math.nan
        return float(self.values[np.searchsorted(self.counts.cumsum(), (self.blocks + 1) // 2)])

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest; NaN if there is none."""
        if not self.blocks:
            return math.nan, math.nan
        return float(self.values[0]), float(self.values[-1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BlockStatistics:
    """What the codes of a quantized tensor are used for. Padding is not counted.

    Parameters
    ----------
    elements, blocks
        Of the tensor.
    codes, values
        int64 [n]: how many elements have each code, or with a zero point each difference from it;
        and float64 [n], the value of each before scaling (`amxfp4.golden.formats.element_values`).
    used
        int64 [sides, 256]: how many blocks have each scale code, of a side with a nonzero element;
        positive then negative, or the only one.
    scales
        int64 [sides, 256]: the same of all blocks, whether or not the side has elements.
    zero_blocks
        Blocks whose elements are all zeros before scaling, of E2M1 codes 0 and 8.
    one_sided
        Blocks with nonzero elements, all of one sign.
    ratios
        Of the two scales; ``None`` when symmetric.
    rms
        Root of the mean square of the values that are finite, as `golden.dequantize` says, with
        the tensor's factor; NaN if none is.
    scale_values
        float64 [256]: value of each scale code, NaN where it is none, without the tensor's factor.
    """

    elements: int
    blocks: int
    codes: Counts
    values: npt.NDArray[np.float64]
    used: Counts
    scales: Counts
    zero_blocks: int
    one_sided: int
    ratios: Ratios | None
    rms: float
    scale_values: npt.NDArray[np.float64]

    @property
    def zeros(self) -> int:
        """Elements that are zero before scaling."""
        return int(self.codes[self.values == 0].sum())

    @property
    def saturated(self) -> int:
        """Elements of the largest magnitude: 6, or 7 and 8, or 15 from the zero point."""
        return int(self.codes[np.abs(self.values) >= self.values.max()].sum())

    @property
    def nan_scales(self) -> int:
        """Scales that are NaN, of all sides of all blocks."""
        return int(self.scales[:, np.isnan(self.scale_values)].sum())

    @property
    def zero_scales(self) -> int:
        """Scales that are zero, of all sides of all blocks."""
        return int(self.scales[:, self.scale_values == 0].sum())

    @property
    def exponents(self) -> list[dict[int, int]]:
        """How many scales in `used` have each exponent floor(log2 s), by side."""
        found: list[dict[int, int]] = []
        for side in self.used:
            counts: dict[int, int] = {}
            for code in np.flatnonzero(side):
                if (s := float(self.scale_values[code])) > 0:
                    exponent = math.frexp(s)[1] - 1
                    counts[exponent] = counts.get(exponent, 0) + int(side[code])
            found.append(dict(sorted(counts.items())))
        return found


def block_statistics(b: Blocks) -> BlockStatistics:
    """Count what the codes of a quantized tensor are used for.

    Parameters
    ----------
    b
        Quantized tensor of codes [..., blocks, K].

    Examples
    --------
    >>> from amxfp4.golden import quantize
    >>> found = block_statistics(quantize(np.array([6, 1.1, -0.1, 0, 0], np.float32)))
    >>> found.zeros, found.saturated, found.one_sided, found.ratios.median
    (2, 2, 0, 64.0)
    """
    row, size = b.row, b.block
    sides = np.stack(b.scales if row.asymmetric else b.scales[:1]).reshape(row.scales, -1)
    codes = element_index(row, b.codes, b.zero_point).reshape(-1, size)
    values = element_values(row)
    count, zero = len(values), int(np.flatnonzero(values == 0)[0])
    # A sign bit chooses the scale of a zero, too.
    low = (values < 0) | (row.asymmetric & (np.arange(count) >= count // 2))
    padding = -b.shape[b.axis] % size
    per_row = b.codes.shape[-2]
    pairs = np.zeros((256, count), np.int64)
    signs = np.zeros(4, np.int64)
    used = np.zeros((row.scales, 256), np.int64)
    both = np.zeros(1 << 16, np.int64)
    for start in range(0, len(codes), _CHUNK // size):
        part = slice(start, start + _CHUNK // size)
        of, scale = codes[part], sides[:, part]
        last = np.arange(start, start + len(of)) % per_row == per_row - 1
        if padding:
            of = of.copy()
            of[last, size - padding :] = zero
        negative, some = low[of], values[of] != 0
        index = np.where(negative, scale[-1][:, None], scale[0][:, None]).astype(np.intp)
        index = index * count + of
        pairs += np.bincount(index.reshape(-1), minlength=pairs.size).reshape(pairs.shape)
        if padding:  # they were made zeros
            pairs[:, zero] -= padding * np.bincount(scale[0][last], minlength=256)
        has = [(some & (negative == sign)).any(axis=-1) for sign in (0, 1)]
        signs += np.bincount(has[0] + 2 * has[1].astype(np.intp), minlength=4)
        if row.asymmetric:
            for n in range(2):
                used[n] += np.bincount(scale[n][has[n]], minlength=256)
            two = has[0] & has[1]
            index = scale[0][two].astype(np.intp) << 8 | scale[1][two]
            both += np.bincount(index, minlength=1 << 16)
        else:
            used[0] += np.bincount(scale[0][has[0] | has[1]], minlength=256)
    return BlockStatistics(
        elements=math.prod(b.shape), blocks=len(codes), codes=pairs.sum(axis=0), values=values,
        used=used,
        scales=np.stack([np.bincount(side, minlength=256) for side in sides]),
        zero_blocks=int(signs[0]), one_sided=int(signs[1] + signs[2]),
        ratios=_ratios(both, scale_values(row)) if row.asymmetric else None,
        rms=_rms(pairs, value_table(b)), scale_values=scale_values(row),
    )  # fmt: skip


def _ratios(both: Counts, values: npt.NDArray[np.float64]) -> Ratios:
    pairs = np.flatnonzero(both)
    pos, neg = values[pairs >> 8], values[pairs & 255]
    valid = (pos > 0) & (neg > 0)
    ratios, place = np.unique(pos[valid] / neg[valid], return_inverse=True)
    counts = np.zeros(len(ratios), np.int64)
    np.add.at(counts, place, both[pairs[valid]])
    return Ratios(ratios, counts)


def _rms(pairs: Counts, table: npt.NDArray[np.float32]) -> float:
    finite = np.isfinite(table)
    count = int(pairs[finite].sum())
    squares = np.square(table[finite].astype(np.float64))
    return math.sqrt(float((pairs[finite] * squares).sum()) / count) if count else math.nan


@dataclass(slots=True)
class WordStatistics:
    """Range of floating-point values that are seen in pieces.

    Parameters
    ----------
    elements, zeros, nan, infinite
        How many there are; of zeros, either sign.
    largest
        Largest magnitude of those that are finite, 0 if none is.
    """

    elements: int = 0
    zeros: int = 0
    nan: int = 0
    infinite: int = 0
    largest: float = 0.0
    _squares: float = field(default=0.0, repr=False)

    def add(self, x: npt.NDArray[Any]) -> None:
        """Add elements: float64, float32 or float16 of any shape."""
        flat = x.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK].astype(np.float64)
            finite = np.isfinite(part)
            nan = int(np.count_nonzero(np.isnan(part)))
            self.elements += part.size
            self.nan += nan
            self.infinite += part.size - int(np.count_nonzero(finite)) - nan
            part[~finite] = 0
            self.zeros += int(np.count_nonzero((part == 0) & finite))
            np.abs(part, out=part)
            self.largest = max(self.largest, float(part.max()))
            # Not a dot product: BLAS adds in an order of the machine's.
            with np.errstate(over="ignore"):  # of FP64 words
                self._squares += float(np.square(part, out=part).sum())

    @property
    def rms(self) -> float:
        """Root of the mean square of those that are finite, in FP64; NaN if none is."""
        finite = self.elements - self.nan - self.infinite
        return math.sqrt(self._squares / finite) if finite else math.nan
