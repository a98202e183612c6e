"""Functional coverage: a pure function of recorded transactions, no cost in the simulator.

Bins have names, so that a hole can be read: ``scale_neg: subnormal``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.gen.config import BlockFormat, FloatFormat

__all__ = ["Counts", "handshake", "holes", "merge", "transactions"]

Counts = dict[str, dict[str, int]]
"""Hits by cover point, then by bin."""


def _scale_bins(scale: FloatFormat, codes: npt.NDArray[np.uint8]) -> dict[str, int]:
    magnitude = codes & ((1 << (scale.width - scale.signed_bit)) - 1)
    nan = magnitude > scale.max_magnitude
    bins = {"lowest": magnitude == 0, "largest": magnitude == scale.max_magnitude, "nan": nan}
    first_normal = 1 << scale.mantissa_bits if scale.subnormals else 1
    if scale.subnormals:
        bins["subnormal"] = (magnitude > 0) & (magnitude < first_normal)
    bins["normal"] = (magnitude >= first_normal) & ~nan
    return {name: int(hits.sum()) for name, hits in bins.items()}


def _word_bins(word: FloatFormat, words: npt.NDArray[Any]) -> dict[str, int]:
    sign = 1 << (word.width - 1)
    magnitude = words.astype(np.int64) & (sign - 1)
    assert word.inf_magnitude is not None
    subnormal = (magnitude > 0) & (magnitude < 1 << word.mantissa_bits)
    bins = {
        "plus zero": words == 0,
        "minus zero": words == sign,
        "subnormal": subnormal,
        "normal": (magnitude >= 1 << word.mantissa_bits) & (magnitude < word.inf_magnitude),
        "infinity": magnitude == word.inf_magnitude,
        "nan": magnitude > word.inf_magnitude,
    }
    return {name: int(hits.sum()) for name, hits in bins.items()}


def _sign_bins(word: FloatFormat, words: npt.NDArray[Any]) -> dict[str, int]:
    sign = 1 << (word.width - 1)
    positive = ((words > 0) & (words < sign)).any(axis=1)
    negative = (words > sign).any(axis=1)
    bins = {
        "none": ~positive & ~negative,
        "positive only": positive & ~negative,
        "negative only": negative & ~positive,
        "both": positive & negative,
    }
    return {name: int(hits.sum()) for name, hits in bins.items()}


def transactions(
    unit: str, row: BlockFormat, word: FloatFormat, arrays: Mapping[str, npt.NDArray[Any]]
) -> Counts:
    """Coverage of blocks that went through a unit.

    Parameters
    ----------
    unit
        ``quantizer`` or ``dequantizer``: it decides which bins can be hit.
    row, word
        The block format, and the format of tensor words.
    arrays
        words [n, K], codes uint8 [n, K], scales uint8 [n, 1 or 2].
    """
    counts: Counts = {}
    codes, scales, words = arrays["codes"], arrays["scales"], arrays["words"]
    for name, column in zip(("scale_pos", "scale_neg"), scales.T, strict=False):
        counts[name] = _scale_bins(row.scale, column)
    hits = np.bincount(codes.ravel(), minlength=16)
    counts["element_code"] = {f"0x{code:x}": int(hits[code]) for code in range(16)}
    counts["word"] = _word_bins(word, words)
    if unit == "quantizer":
        # Encoders write zero as 0x0 only (docs/numerics.md).
        del counts["element_code"]["0x8"]
        counts["signs_in_block"] = _sign_bins(word, words)
        # The largest scale code of E8M0 stands for more than any input has.
        largest = row.scale.bias + row.scale.max_magnitude
        if not row.scale.subnormals and word.bias + 2 < largest:
            del counts["scale_pos"]["largest"]
            counts.get("scale_neg", {}).pop("largest", None)
    else:
        del counts["word"]["minus zero"]  # a zero is +0
        if row.scale.subnormals:
            del counts["word"]["infinity"]  # no product leaves the range of the word
            del counts["word"]["subnormal"]
    return counts


def handshake(side: str, idle: int, stalled: int, transfers: int) -> Counts:
    """Coverage of one stream's handshake, from its monitor."""
    return {f"{side}_stream": {"idle": idle, "back-pressure": stalled, "transfer": transfers}}


def merge(total: Counts, more: Mapping[str, Mapping[str, int]]) -> None:
    """Add hits to `total`, in place."""
    for point, bins in more.items():
        into = total.setdefault(point, {})
        for name, hits in bins.items():
            into[name] = into.get(name, 0) + hits


def holes(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Bins that were never hit, as ``point: bin``."""
    return [f"{p}: {b}" for p, bins in counts.items() for b, hits in bins.items() if not hits]
