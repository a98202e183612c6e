"""Quantize tensors to blocks of narrow elements (arXiv 2411.09909; OCP MX v1.0 section 6.3)."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose
from amxfp4.params.formats import FP32, BlockFormat, ScaleRule, Ties
from amxfp4.params.weights import WeightFormat, WeightName

from .blocks import Blocks, blocks_shape, by_name, chunks, load_words, rows_are_adjacent, rows_of
from .factor.modelopt import ModelOpt, check_modelopt
from .factor.tensor_scale import auto_scale, check_scale, divided
from .formats import element_thresholds, one_code, scale_thresholds
from .integers import count_integers, range_codes
from .rounding import FP32_SIGN
from .search import Candidate, around, check_search, least_error
from .table import any_row
from .weights import WeightBlocks, check_plain
from .weights import quantize as quantize_weights

__all__ = ["RULES", "quantize"]

RULES = {"nearest": False, "modelopt": True}
"""How scales and elements are chosen; whether by ModelOpt's rule."""
_CHUNK_SEARCHED = 1 << 15
"""Elements worked on at a time where scales are searched, in FP64."""
_LINE = 64
"""Elements that a row of scratch memory is a whole and odd number of, so that the rows start in
different sets of the caches: rows of 4,096 bytes are slow to transpose."""


@overload
def quantize(  # type: ignore[overload-overlap]  # Literals are strings, too
    x: npt.ArrayLike,
    format: WeightName,
    *,
    axis: int = -1,
    block: int | None = None,
    packed: bool = False,
) -> WeightBlocks: ...
@overload
def quantize(
    x: npt.ArrayLike,
    format: str = "amxfp4",
    *,
    axis: int = -1,
    ties: str | None = None,
    block: int | None = None,
    tensor_scale: float | str | None = None,
    rule: str = "nearest",
    search: tuple[int, int] | None = None,
) -> Blocks: ...
def quantize(
    x: npt.ArrayLike,
    format: str = "amxfp4",
    *,
    axis: int = -1,
    ties: str | None = None,
    block: int | None = None,
    tensor_scale: float | str | None = None,
    rule: str = "nearest",
    search: tuple[int, int] | None = None,
    packed: bool = False,
) -> Blocks | WeightBlocks:
    """Quantize a tensor to blocks along one axis (arXiv 2411.09909, section 4).

    For each block x[0..K-1]::

        p = max(0, max x_i)        n = max(0, max -x_i)
        asymmetric:  s_pos = S(p)  s_neg = S(n)
        symmetric:   s_pos = s_neg = S(max(p, n))
        q_i = R(|x_i| / s)         s = s_pos if x_i > 0 else s_neg

    R rounds to the nearest E2M1 magnitude and saturates at 6. S(m) rounds m / 6 to the nearest
    scale and saturates at the largest one; ``nvfp4-46`` takes that of m / 4 where it has the
    smaller error. With power-of-two scales S(m) is 2^(floor(log2 m) - 2) (OCP MX v1.0), one more
    from 7/8 of the next binade on for ``-roundup``; the smallest that holds m for ``-rceil``.
    ``int4`` has integers up to 7 in place of 6; ``int4-asym`` is, each result clamped to 0..15::

        s = S(p + n), of 15 in place of 6      z = R(n / s)      q_i = R(x_i / s) + z

    All is decided on exact values.

    Parameters
    ----------
    x
        float32, float16 or bfloat16 array of one or more axes, or a tensor of another library in
        the CPU's memory (by DLPack, such as PyTorch's). Subnormals count at full value, -0 counts
        as 0.
    format
        Row of the format table, such as ``amxfp4`` or ``mxfp4``. The weight formats of AFPQ, such
        as ``afpq-nf4``, take `axis`, `block` and `packed` alone: see `amxfp4.golden.weights`.
    axis
        The reduction axis, along which blocks run. The last block is padded with +0.
    ties
        ``RNA`` (the default): halfway goes away from zero. ``RNE``: to the even code. For scales
        and elements.
    block
        Elements per block: 16, 32, 64 or 128; by default the format's own. Of weight formats 128
        or -1, one group a row.
    tensor_scale
        FP32 factor t of the whole tensor, finite and above 0: R(x / t) is quantized in place of x,
        R the rounding to FP32. ``auto``: what `auto_scale` says. 1 by default.
    rule
        ``nearest``: the equations above. ``modelopt``: NVFP4 as NVIDIA's ModelOpt writes weights,
        see `amxfp4.golden.factor.modelopt`; its ties are ``RNE``, its factor ``auto`` by default.
    search
        (lo, hi): each scale is chosen among the codes from lo to hi above that of S, by the error
        of its elements, see `amxfp4.golden.search`. Not with scales that are powers of two.
    packed
        Of weight formats: whether scales are FP16.

    Returns
    -------
    Blocks
        With codes uint8 [..., blocks, K]. Elements that round to zero have code 0. Of a weight
        format `WeightBlocks`.

        - No element of a sign: its scale is 1.0; 2^-127 for power-of-two scales.
        - A maximum whose scale rounds to 0: scale code 0, elements of that sign 0.
        - A NaN: all scales of the block are NaN, all elements 0.
        - An infinity: its scale saturates and it becomes 6 times that; with power-of-two scales
          the block is NaN.
        - Where scale or elements are 0, so is the zero point.

    Raises
    ------
    TypeError
        `x` is of another type or requires a gradient, or a parameter is of the wrong kind.
    ValueError
        `x` is empty or on another device, `axis`, `tensor_scale` or `search` out of range,
        `format`, `ties`, `block` or `rule` unknown, or the rule is for another format or other
        ties.

    Examples
    --------
    >>> x = np.array([6, 3, -0.5, -0.25, 0.2], np.float32)
    >>> b = quantize(x, "amxfp4", block=16)
    >>> b.codes[0, :6], hex(b.scale_pos[0]), hex(b.scale_neg[0])
    (array([ 7,  5, 15, 13,  0,  0], dtype=uint8), '0x3c', '0x2d')
    """
    row = any_row(format, block, packed)
    if isinstance(row, WeightFormat):
        check_plain(row, ties=ties, tensor_scale=tensor_scale, rule=rule, search=search)
        return quantize_weights(x, row.name, axis=axis, block=block, packed=packed)
    modelopt = choose("rule", rule, RULES)
    usual = "RNE" if modelopt else "RNA"
    mode = choose("ties", usual if ties is None else ties, {str(t): t for t in Ties})
    if modelopt:
        check_modelopt(row, mode)
    steps = None if search is None else check_search(search, row, rule)
    rows, whole, axis = rows_of(x, axis)
    shape = blocks_shape(whole, axis, row.block)
    codes = np.empty((*rows.shape[:1], shape[-1], row.block), np.uint8)
    scales = np.empty((row.shared, *codes.shape[:2]), np.uint8)
    wanted = tensor_scale if tensor_scale is not None else "auto" if modelopt else 1.0
    t = auto_scale(rows, row) if wanted == "auto" else check_scale(wanted)
    narrow = rows.dtype.name == "bfloat16" and t == 1 and not modelopt
    width = 16 if narrow else FP32.width
    compared = steps is not None or row.scale_rule is ScaleRule.FOUR_OR_SIX
    parts = chunks(rows, row.block, _CHUNK_SEARCHED if compared else None)
    # The first is the largest.
    size = math.prod(s.stop - s.start for s in parts[0])
    coder = ModelOpt(row, np.float32(t)) if modelopt else _Coder(row, mode, width, size, steps)
    for part, blocks in parts:
        piece = rows[part, blocks.start * row.block : blocks.stop * row.block]
        if t != 1 and not modelopt:
            piece = divided(piece, np.float32(t))
        coder(piece, codes[part, blocks], scales[:, part, blocks])
    return Blocks(
        codes.reshape(*shape, row.block),
        scales[0].reshape(shape),
        format=row.name,
        shape=whole,
        axis=axis,
        tensor_scale=t,
        **by_name(row, scales[-1].reshape(shape)),
    )


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


class _Coder:
    """Quantizes chunks of rows, with its tables and scratch memory.

    A chunk is held element-major, [K, blocks]: maxima over a block and comparisons with a
    block's thresholds then are loops over long contiguous rows. Words of FP32 are compared as they
    are; BF16 is its upper half, and so are the thresholds that it can reach.
    """

    def __init__(
        self, row: BlockFormat, ties: Ties, width: int, blocks: int, search: range | None
    ) -> None:
        self.row, self.search = row, search
        self.tables = tables = _tables(row, ties, width)
        self.signed, self.unsigned = tables.element_steps.dtype, tables.negative_steps.dtype
        # The element code of a negative magnitude is sign + magnitude.
        self.sign = 1 << (row.element.width - 1)
        stride = (-(-blocks // _LINE) | 1) * _LINE
        self.key = np.empty((row.block, stride), self.signed)
        self.reached = np.empty((row.block, stride), np.bool_)
        self.count = np.empty((row.block, stride), np.uint8)

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
            pos, neg = self._chosen(key, count, start, around(start, self.row, self.search))
        elif self.row.scale_rule is ScaleRule.FOUR_OR_SIX:
            there = [np.ones(m.shape, np.bool_)]
            pair = [([code], there) for code in (pos, tables.scale_of_four(m))]
            pos, neg = self._chosen(key, count, [pos], pair)
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
        count: npt.NDArray[np.uint8],
        start: list[npt.NDArray[np.uint8]],
        candidates: list[Candidate],
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Scale codes of least error among candidates, by side."""
        with np.errstate(invalid="ignore"):  # widening a signalling NaN
            x = (key.astype(np.int32) << self.tables.cut).view(np.float32).astype(np.float64)

        def encode(pos: npt.NDArray[np.uint8], neg: npt.NDArray[np.uint8]) -> Any:
            self._count(key, count, pos, neg)
            return count

        found = least_error(x, start, candidates, self.row, encode)
        return found[0], found[-1]
