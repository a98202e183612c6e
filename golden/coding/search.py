"""Scales that are searched: the code near that of the maximum whose elements have the least error.

For each scale, so with two scales for each sign, c0 is the code of S(m), and of the finite codes
above 0 from c0 + lo to c0 + hi the one is taken that minimizes::

    E(c) = sum (|x_i| - q_i(c) s(c))^2        over the elements that the scale governs, exactly

q_i(c) is the element under scale s(c), as without a search; of equal errors the smallest code wins.
Where there is no such code, no element, a NaN or an infinity, the scale is what it is without a
search. Nothing else of a format changes: a search costs time, or area, where scales are chosen.

``nvfp4-46`` has two candidates: the scales nearest to m / 6 and to m / 4 (arXiv 2512.02010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import decode, magnitude_value
from amxfp4.params.formats import FP32, BlockFormat, ScaleRule

__all__ = ["LIMIT", "Candidate", "Encode", "LeastError", "around", "check_search"]

LIMIT = 16
"""How far from c0 candidates may be."""
_UNIT = 149
"""Every FP32 number, and every element times a scale, is a multiple of 2^-149."""
_CLOSE = 2.0**-44
"""Relative distance below which sums in FP64 of up to 128 squares decide nothing."""

_BINADE = np.int32(0x7F800000)
"""Exponent bits of FP32."""
_HALF = 1 << 22
"""The upper half of a binade in FP32: 1.5 times its power of two."""
_APART = 272
"""Elements between arrays, no multiple of a page."""
_SIGNS = {1: (0,), 2: (1, -1)}
"""Signs of the elements that each of one or two scales governs; 0 for both."""

_integers = np.frompyfunc(int, 1, 1)

_Codes = npt.NDArray[np.uint8]
_Values = npt.NDArray[np.float64]
Encode = Callable[[npt.NDArray[np.intp], _Codes, _Codes], _Codes]
"""Element codes [K, m] of the blocks at [m] under scale codes [m] of positive and of negative
elements."""
Candidate = tuple[list[_Codes], list[npt.NDArray[np.bool_]]]
"""Scale codes [n] of each side, and whether there are such codes."""


def check_search(search: object, row: BlockFormat, rule: str) -> range:
    """Return the offsets of the candidates.

    Raises
    ------
    TypeError
        `search` is no pair of integers.
    ValueError
        It is out of range, or scales of `row` or of `rule` are not searched.
    """
    pair = tuple(search) if isinstance(search, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) for n in pair):
        raise TypeError(f"search must be a pair of integers (lo, hi), not {search!r}")
    lo, hi = pair
    if not -LIMIT <= lo <= hi <= LIMIT:
        raise ValueError(
            f"search must be (lo, hi) with {-LIMIT} <= lo <= hi <= {LIMIT}, not {search!r}"
        )
    if row.scale_rule is not ScaleRule.NEAREST:
        raise ValueError(f"search must be left out for the scales of {row.name}, not {search!r}")
    if rule != "nearest":
        raise ValueError(f"search must be left out with rule {rule!r}, not {search!r}")
    return range(lo, hi + 1)


def around(start: Sequence[_Codes], row: BlockFormat, offsets: range) -> list[Candidate]:
    """Candidates about the codes of the maxima of each side."""
    found = []
    for offset in offsets:
        wanted = [code.astype(np.int16) + offset for code in start]
        codes = [np.clip(c, 1, row.scale.max_magnitude).astype(np.uint8) for c in wanted]
        found.append((codes, [c == w for c, w in zip(codes, wanted, strict=True)]))
    return found


class LeastError:
    """Finds the scales of least error of up to `blocks` blocks at a time, in memory it keeps.

    FP32 decides nearly always; blocks in which two errors are too close for it are decided exactly.
    """

    def __init__(self, row: BlockFormat, blocks: int) -> None:
        self._row = row
        element = row.element
        self._scales = decode(np.arange(256, dtype=np.uint8), row.scale)
        # One piece of memory, since arrays of their own would meet in few sets of the caches.
        size = row.block * blocks
        memory = np.empty((7, size + _APART), np.float32)[:, :size].reshape(7, row.block, blocks)
        self._work, self._ends = memory[:5], memory[5:]
        # NumPy is slow at a maximum with a scalar.
        self._ends[0] = 2.0 ** (1 - element.bias)
        self._ends[1] = magnitude_value(element, element.max_magnitude)
        places = FP32.mantissa_bits - element.mantissa_bits
        self._magic = np.int32((places << FP32.mantissa_bits) + _HALF)

    def __call__(
        self,
        x: npt.NDArray[np.float32],
        start: Sequence[_Codes],
        candidates: Sequence[Candidate],
        encode: Encode,
    ) -> list[_Codes]:
        """Scale codes [n] of each side of blocks x [K, n]: the candidates of least error.

        Parameters
        ----------
        x
            NaN and infinity included.
        start
            Codes of S(p) and S(n), or of S(max(p, n)): for sides without an element or a candidate,
            with a NaN or an infinity.
        candidates
            Of equal errors the first wins.
        encode
            Used for some of the blocks.
        """
        best = [code.copy() for code in start]
        doubtful = np.zeros(x.shape[1], np.bool_)
        for side, codes in enumerate(best):
            offered = [(c[side], there[side]) for c, there in candidates]
            doubtful |= self._screen(x, _SIGNS[len(start)][side], codes, offered)
        at = np.flatnonzero(doubtful)
        if at.size:
            few = [([c[at] for c in codes], [t[at] for t in there]) for codes, there in candidates]
            found = _exactly(
                x[:, at].astype(np.float64), [code[at] for code in start], few, self._row,
                lambda pos, neg: encode(at, pos, neg),
            )  # fmt: skip
            for code, decided in zip(best, found, strict=True):
                code[at] = decided
        return best

    def _screen(
        self,
        x: npt.NDArray[np.float32],
        sign: int,
        best: _Codes,
        candidates: Sequence[tuple[_Codes, npt.NDArray[np.bool_]]],
    ) -> npt.NDArray[np.bool_]:
        """Write the codes of least error in FP32 to `best` [n], for elements of a sign; 0 for both.

        Returns where they may be wrong [n]. With u = |x| / s the distance of u to the nearest
        element is computed from u in FP32, which is within 2^-23 u; u is rounded by adding and
        subtracting a number whose last place is the step of the elements there. By Cauchy's
        inequality an error E = sum (|x| - q s)^2 then is within 2^-17 E + K 2^-25 M^2, M the
        block's maximum, and within 2^-17 E for the sum of 128 squares in FP32; twice as much is
        allowed for, and what squares lose that are subnormal.
        """
        n = x.shape[1]
        magnitudes, u, v, q, step = (work[:, :n] for work in self._work)
        lowest, highest = (end[:, :n] for end in self._ends)
        bits = step.view(np.int32)
        with np.errstate(all="ignore"):
            if sign:
                v[...] = 0
                np.multiply(x, np.float32(sign), out=u)
                np.maximum(u, v, out=magnitudes)
            else:
                np.abs(x, out=magnitudes)
            largest = magnitudes.max(axis=0).astype(np.float64)
            sought = (largest > 0) & np.isfinite(largest)
            allowed = len(x) * 2.0**-24 * np.square(largest)
            least, slack = np.full(n, np.inf), np.zeros(n)
            doubtful = np.zeros(n, np.bool_)
            for codes, there in candidates:
                s = self._scales[codes]
                np.multiply(magnitudes, (1 / s).astype(np.float32), out=u)
                np.minimum(u, highest, out=v)
                np.maximum(v, lowest, out=step)
                np.bitwise_and(bits, _BINADE, out=bits)
                np.add(bits, self._magic, out=bits)
                np.add(v, step, out=q)
                np.subtract(q, step, out=q)
                np.subtract(u, q, out=u)
                total = np.einsum("kn,kn->n", u, u).astype(np.float64) * np.square(s)
                unsure = allowed + 2.0**-15 * total + 2.0**-118 * np.square(s)
                valid = sought & there
                close = np.abs(least - total) <= slack + unsure
                doubtful |= valid & (close | ~np.isfinite(total))
                better = valid & (total < least)
                best[...] = np.where(better, codes, best)
                least = np.where(better, total, least)
                slack = np.where(better, unsure, slack)
        return doubtful


def _exactly(
    x: _Values,
    start: Sequence[_Codes],
    candidates: Sequence[Candidate],
    row: BlockFormat,
    encode: Callable[[_Codes, _Codes], _Codes],
) -> list[_Codes]:
    """Find what `LeastError` does, in FP64 and integers."""
    largest = [np.where(of, np.abs(x), 0).max(axis=0) for of in _governed(x, len(start))]
    sought = [(m > 0) & np.isfinite(m) for m in largest]
    x = np.where(np.isfinite(x), x, 0)
    governed = [of.astype(np.float64) for of in _governed(x, len(start))]
    negative = x < 0
    table = decode(np.arange(1 << row.element.width, dtype=np.uint8), row.element)
    scales = decode(np.arange(256, dtype=np.uint8), row.scale)
    best = [code.copy() for code in start]
    least = [np.full(x.shape[1], np.inf) for _ in start]
    # Values under each candidate, and at which of them the least error is.
    values: list[_Values] = []
    places = [np.zeros(x.shape[1], np.intp) for _ in start]
    for place, (codes, there) in enumerate(candidates):
        value = table.take(encode(codes[0], codes[-1]))
        factor = scales[codes[0]]
        value *= np.where(negative, scales[codes[1]], factor) if len(start) == 2 else factor
        values.append(value)
        error = x - value
        np.square(error, out=error)
        for side, of in enumerate(governed):
            total = np.einsum("kn,kn->n", error, of)
            distance, both = least[side] - total, least[side] + total
            better = distance > 0
            close = np.isfinite(both) & (np.abs(distance) <= _CLOSE * both)
            valid = sought[side] & there[side]
            at = np.flatnonzero(close & valid)
            if at.size:
                before = np.stack(values)[places[side][at], :, at].T
                exact = [_exact(x[:, at], v, of[:, at]) for v in (value[:, at], before)]
                better[at] = exact[0] < exact[1]
            better &= valid
            best[side][better] = codes[side][better]
            least[side][better] = total[better]
            places[side][better] = place
    return best


def _governed(x: _Values, sides: int) -> list[npt.NDArray[np.bool_]]:
    """Elements that each side's scale governs."""
    return [x > 0, x < 0] if sides == 2 else [np.ones(x.shape, np.bool_)]


def _exact(x: _Values, value: _Values, of: _Values) -> npt.NDArray[np.object_]:
    """Add up squares as integers [n], in units of 2^-298."""
    whole, found = (_integers(np.ldexp(v * of, _UNIT)) for v in (x, value))
    total: npt.NDArray[np.object_] = np.square(whole - found).sum(axis=0)
    return total
