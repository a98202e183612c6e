"""Records of dequantizers: drawn, packed and split, and the words that golden makes of them.

A record is element codes and one or two numbers that its elements share: scales and zero points of
a byte each, or the FP16 scales of weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import BlockFormat
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.params.weights import WeightFormat
from amxfp4.verif.sim.batch import beats

__all__ = ["Codes", "Config", "Shared", "draw", "is_weights", "names", "pack", "split", "words"]

Config = DequantizerConfig | WeightDequantizerConfig
Codes = npt.NDArray[np.uint8]
Shared = npt.NDArray[np.unsignedinteger[Any]]
Row = BlockFormat | WeightFormat


def is_weights(row: Row) -> bool:
    """Whether records hold weights."""
    return isinstance(row, WeightFormat)


def names(row: Row) -> tuple[str, str]:
    """Names of the numbers that elements share."""
    zero_point = isinstance(row, BlockFormat) and row.zero_point
    return "scale_pos", "zero_point" if zero_point else "scale_neg"


def draw(rng: np.random.Generator, count: int, row: Row) -> tuple[Codes, Any, Any]:
    """Draw codes [count, K], scales [count], and what else elements share, or None."""
    if isinstance(row, WeightFormat):
        return stimulus.weight_records(rng, count, row)
    return stimulus.records(rng, count, row)


def pack(row: Row, codes: Codes, scale_pos: Shared, other: Shared | None) -> Codes:
    """Pack any codes and scales into records, uint8 [n, bytes]."""
    if isinstance(row, BlockFormat):
        return beats.pack_records(codes, scale_pos, other)
    places = codes[..., None] >> np.arange(row.bits, dtype=np.uint8) & 1
    packed = np.packbits(places.reshape(len(codes), -1), axis=-1, bitorder="little")
    sides = [side for side in (scale_pos, other) if side is not None]
    raw = np.stack(sides, axis=1).astype("<u2").view(np.uint8)
    return np.concatenate([packed, raw], axis=1)


def split(row: Row, raw: Codes) -> tuple[Codes, Shared]:
    """Split records into codes [n, K] and what they share [n, 1 or 2]; undoes `pack`."""
    if isinstance(row, BlockFormat):
        return beats.split_records(raw, row.block)
    size = row.bits * row.block // 8
    places = np.unpackbits(raw[:, :size], axis=-1, bitorder="little")
    weights = 1 << np.arange(row.bits, dtype=np.uint8)
    codes = (places.reshape(len(raw), row.block, row.bits) * weights).sum(-1).astype(np.uint8)
    return codes, np.ascontiguousarray(raw[:, size:]).view("<u2")


def words(config: Config, codes: Codes, scale_pos: Any, other: Any) -> Shared:
    """Words [n, K] that golden makes of records."""
    if isinstance(config, WeightDequantizerConfig):
        return golden.weight_words(codes, scale_pos, other, config.format, config.output)
    return golden.dequantize_words(
        codes, scale_pos, format=config.format, output=config.output,
        **beats.by_name(config.row, other),
    )  # fmt: skip
