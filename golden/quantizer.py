"""Quantize tensors to blocks of narrow elements (arXiv 2411.09909; OCP MX v1.0 section 6.3)."""

from __future__ import annotations

import math
from typing import overload

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose
from amxfp4.params.formats import FP32, Ties
from amxfp4.params.second import check_second
from amxfp4.params.weights import WeightFormat, WeightName

from .blocks import Blocks, blocks_shape, by_name, chunks, rows_of
from .coding.coder import Coder
from .coding.search import check_search
from .factor.modelopt import ModelOpt, check_modelopt
from .factor.tensor_scale import auto_scale, check_scale, divided
from .table import any_row
from .weights import WeightBlocks, check_plain
from .weights import quantize as quantize_weights

__all__ = ["RULES", "quantize"]

RULES = {"nearest": False, "modelopt": True}
"""How scales and elements are chosen; whether by ModelOpt's rule."""


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
    second: int = 0,
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
    second: int = 0,
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
        of its elements, see `amxfp4.golden.coding.search`. Not with scales that are powers of two.
    second
        From 1 to 7: each scale may be the one so many codes above that of S, which a coarse
        comparison chooses as hardware does, see `amxfp4.golden.coding.second`. With elements in
        E2M1 and scales that are the nearest to m / 6. 0: none.
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
        check_plain(
            row, ties=ties, tensor_scale=tensor_scale, rule=rule, search=search, second=second
        )
        return quantize_weights(x, row.name, axis=axis, block=block, packed=packed)
    modelopt = choose("rule", rule, RULES)
    usual = "RNE" if modelopt else "RNA"
    mode = choose("ties", usual if ties is None else ties, {str(t): t for t in Ties})
    if modelopt:
        check_modelopt(row, mode)
    steps = None if search is None else check_search(search, row, rule)
    check_second(row, second, rule=rule, search=search)
    rows, whole, axis = rows_of(x, axis)
    shape = blocks_shape(whole, axis, row.block)
    codes = np.empty((*rows.shape[:1], shape[-1], row.block), np.uint8)
    scales = np.empty((row.shared, *codes.shape[:2]), np.uint8)
    wanted = tensor_scale if tensor_scale is not None else "auto" if modelopt else 1.0
    t = auto_scale(rows, row) if wanted == "auto" else check_scale(wanted)
    narrow = rows.dtype.name == "bfloat16" and t == 1 and not modelopt
    width = 16 if narrow else FP32.width
    parts = chunks(rows, row.block)
    # The first is the largest.
    size = math.prod(s.stop - s.start for s in parts[0])
    coder = (
        ModelOpt(row, np.float32(t)) if modelopt else Coder(row, mode, width, size, steps, second)
    )
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
