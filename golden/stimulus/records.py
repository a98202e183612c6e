"""Element and scale codes of blocks, for everything behind a quantizer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import one_code
from amxfp4.params.formats import BlockFormat

__all__ = ["records"]


def records(
    rng: np.random.Generator, count: int, row: BlockFormat, *, nan: float = 0.01
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """Draw element and scale codes of blocks, including codes that quantizers never write.

    Scales are uniform over the finite codes, near 1.0, the smallest or the largest ones; a few
    have a sign bit that decoders must ignore. Elements are uniform, all of the largest magnitude,
    of one sign, or zeros of both codes. Zero points are uniform.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of blocks.
    row
        Format; its block size gives K.
    nan
        Share of blocks with a NaN scale.

    Returns
    -------
    codes
        uint8 [count, K], 0..15.
    scale_pos, other
        uint8 [count], the bytes of a record: see `amxfp4.golden.blocks.by_name`. ``None`` for the
        second where a record has one.
    """
    codes = rng.integers(0, 16, (count, row.block))
    kind = rng.integers(0, 8, (count, 1))
    codes = np.where(kind == 1, codes & 8 | 7, codes)
    codes = np.where(kind == 2, codes & 7, codes)
    codes = np.where(kind == 3, codes | 8, codes)
    codes = np.where(kind == 4, codes * (rng.random(codes.shape) < 0.2), codes)
    codes = np.where(kind == 5, codes & rng.choice([0, 8], (count, 1)), codes)
    scales = [_scale_codes(rng, count, row) for _ in range(row.scales)]
    bad = rng.random(count) < nan
    largest = row.scale.max_magnitude
    top = 1 << (row.scale.width - row.scale.signed_bit)
    side = rng.integers(0, row.scales, count)
    for i, scale in enumerate(scales):
        scale[:] = np.where(bad & (side == i), rng.integers(largest + 1, top, count), scale)
        if row.scale.signed_bit:
            scale |= (rng.random(count) < 0.02) * top
    if row.zero_point:
        scales.append(rng.integers(0, row.element.max_magnitude + 1, count))
    pos, *other = (shared.astype(np.uint8) for shared in scales)
    return codes.astype(np.uint8), pos, other[0] if other else None


def _scale_codes(rng: np.random.Generator, count: int, row: BlockFormat) -> npt.NDArray[np.int64]:
    largest = row.scale.max_magnitude
    centre = one_code(row) or row.scale.bias
    uniform = rng.integers(0, largest + 1, count)
    near = centre + rng.integers(-6, 7, count)
    small = rng.integers(0, 4, count)
    large = largest - rng.integers(0, 4, count)
    kind = rng.choice(4, count, p=[0.4, 0.4, 0.1, 0.1])
    picked: npt.NDArray[np.int64] = np.choose(kind, [uniform, near, small, large])
    return np.clip(picked, 0, largest)
