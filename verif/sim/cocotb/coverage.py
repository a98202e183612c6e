"""Functional coverage: a pure function of recorded transactions, no cost in the simulator.

Bins have names, so that a hole can be read: ``scale_neg: subnormal``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FP16, BlockFormat, FloatFormat
from amxfp4.params.weights import WeightFormat

__all__ = ["Counts", "handshake", "holes", "merge", "products", "transactions", "weights"]

Counts = dict[str, dict[str, int]]
"""Hits by cover point, then by bin."""


def _scale_bins(scale: FloatFormat, codes: npt.NDArray[Any]) -> dict[str, int]:
    magnitude = codes & ((1 << (scale.width - scale.signed_bit)) - 1)
    nan = magnitude > scale.max_magnitude
    bins = {"lowest": magnitude == 0, "largest": magnitude == scale.max_magnitude, "nan": nan}
    first_normal = 1 << scale.mantissa_bits if scale.subnormals else 1
    if scale.subnormals:
        bins["subnormal"] = (magnitude > 0) & (magnitude < first_normal)
    bins["normal"] = (magnitude >= first_normal) & ~nan
    return {name: int(hits.sum()) for name, hits in bins.items()}


def _code_bins(codes: npt.NDArray[np.integer[Any]], count: int = 16) -> dict[str, int]:
    hits = np.bincount(codes.ravel(), minlength=count)
    return {f"0x{code:x}": int(hits[code]) for code in range(count)}


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
        words [n, K], codes uint8 [n, K], scales uint8 [n, 1 or 2], the second a zero point in
        formats that have one.
    """
    counts: Counts = {}
    codes, scales, words = arrays["codes"], arrays["scales"], arrays["words"]
    for name, column in zip(("scale_pos", "scale_neg"), scales.T[: row.scales], strict=False):
        counts[name] = _scale_bins(row.scale, column)
    if row.zero_point:
        counts["zero_point"] = _code_bins(scales[:, -1] & 15)
    counts["element_code"] = _code_bins(codes)
    counts["word"] = _word_bins(word, words)
    if unit == "quantizer":
        # Encoders write zero as 0x0 only, and no -8 (docs/numerics.md).
        if row.element.signed_bit:
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


def weights(
    row: WeightFormat,
    word: FloatFormat,
    codes: npt.NDArray[np.uint8],
    scales: npt.NDArray[Any],
    words: npt.NDArray[Any],
) -> Counts:
    """Coverage of groups of weights [n, K], and of their FP16 scales [n, 1 or 2]."""
    counts: Counts = {"element_code": _code_bins(codes, len(row.values))}
    for name, column in zip(("scale_pos", "scale_neg"), scales.T, strict=False):
        counts[name] = _scale_bins(FP16, column)
        magnitude = column & ((1 << (FP16.width - 1)) - 1)
        counts[name]["infinity"] = int((magnitude == FP16.inf_magnitude).sum())
        counts[name]["sign bit"] = int((column != magnitude).sum())
    counts["word"] = _word_bins(word, words)
    del counts["word"]["minus zero"]  # a zero is +0
    if word != FP16:
        del counts["word"]["subnormal"]  # BF16 reaches further down
    if word != FP16 or row.values[-1] <= 1:
        del counts["word"]["infinity"]  # no product leaves the range of the word
    return counts


def _result_bins(config: DotConfig, words: npt.NDArray[Any]) -> dict[str, int]:
    word = config.word
    sign = 1 << (word.width - 1)
    magnitude = words.astype(np.int64) & (sign - 1)
    assert word.inf_magnitude is not None
    finite = (magnitude > 0) & (magnitude < word.inf_magnitude)
    bins = {
        "zero": magnitude == 0,
        "positive": finite & (words < sign),
        "negative": finite & (words > sign),
        "nan": magnitude > word.inf_magnitude,
    }
    # With two bounded scales every product stays within the range of the word.
    if any(not row.scale.subnormals for row in config.rows_ab):
        bins["subnormal"] = finite & (magnitude < 1 << word.mantissa_bits)
        bins["infinity"] = magnitude == word.inf_magnitude
    return {name: int(hits.sum()) for name, hits in bins.items()}


def _nan_bins(nan: npt.NDArray[np.bool_], lengths: npt.NDArray[Any]) -> dict[str, int]:
    """Where in its sum a step with a NaN block stands."""
    ends = np.cumsum(lengths) - 1
    starts = ends - lengths + 1
    inside = nan.copy()
    inside[starts] = inside[ends] = False
    longer = lengths > 1
    return {
        "only step": int(nan[ends[~longer]].sum()),
        "first step": int(nan[starts[longer]].sum()),
        "step between": int(inside.sum()),
        "last step": int(nan[ends[longer]].sum()),
    }


def products(
    config: DotConfig,
    operands: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    lengths: npt.NDArray[Any],
    words: npt.NDArray[Any],
    flags: npt.NDArray[np.bool_] | None,
) -> Counts:
    """Coverage of sums that went through a `dot` or an `array`.

    Parameters
    ----------
    operands
        By ``a`` and ``b``: codes uint8 [records, steps, K], scales and zero points uint8
        [records, steps, 1 or 2].
    lengths
        Steps of every sum.
    words
        Result words of all sums.
    flags
        Inexact and overflow [..., 2] in fixed mode, else None.
    """
    counts: Counts = {"result": _result_bins(config, words)}
    counts["sum_length"] = {str(n): int((lengths == n).sum()) for n in (1, 2, 3)}
    counts["sum_length"]["4 or more"] = int((lengths > 3).sum())
    nan = np.zeros(int(lengths.sum()), np.bool_)
    for row, (name, (codes, scales)) in zip(config.rows_ab, operands.items(), strict=True):
        counts[f"{name}_element_code"] = _code_bins(codes)
        for n, sign in enumerate(("pos", "neg")[: row.scales]):
            counts[f"{name}_scale_{sign}"] = _scale_bins(row.scale, scales[..., n].ravel())
        if row.zero_point:
            counts[f"{name}_zero_point"] = _code_bins(scales[..., -1])
        mask = (1 << (row.scale.width - row.scale.signed_bit)) - 1
        scales = scales[..., : row.scales]
        nan |= ((scales & mask) > row.scale.max_magnitude).any(axis=(0, 2))
    counts["nan_block"] = _nan_bins(nan, lengths)
    if flags is not None:
        inexact, overflow = flags[..., 0], flags[..., 1]
        kinds = {"neither": ~inexact & ~overflow, "inexact": inexact, "overflow": overflow}
        counts["flags"] = {kind: int(hits.sum()) for kind, hits in kinds.items()}
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
