"""Functional coverage of the engine: what jobs, errors, resets and accesses a run has met.

As in `coverage`, bins have names, and only those are asked for that the configuration can hit.
"""

from __future__ import annotations

import math

import numpy as np

from amxfp4.golden import Blocks
from amxfp4.golden.formats import element_index, element_values, words
from amxfp4.params.engine import NONE, RECORDS, EngineConfig
from amxfp4.params.formats import INPUTS, BlockFormat
from amxfp4.verif.sim.cocotb.coverage import Counts
from amxfp4.verif.sim.cocotb_engine.models_engine import Job

__all__ = ["POINTS", "empty", "job"]

POINTS: dict[str, tuple[str, ...]] = {
    "order": ("before", "after", "a first", "b first"),
    "pauses": ("none", "cycle", "random", "bursts"),
    "error": (
        "bad_dimension", "no_kept_b", "overrun", "aborted", "a_early", "a_late", "a_keep",
        "b_early", "b_late", "b_keep",
    ),
    "failed packet": ("not begun", "begun"),
    "soft reset": ("before data", "loading", "results leave", "failed", "idle"),
    "hard reset": ("before data", "loading", "results leave", "idle"),
    "job behind": ("a job", "a failed job", "a soft reset", "a hard reset", "a refused start"),
}  # fmt: skip
"""Bins by cover point, of what is not seen in a job itself."""


def _edges(size: int, tile: int) -> dict[str, int]:
    """Where a dimension stands to its tile; bins that no size can hit are left out."""
    bins = {"one": size == 1, "whole tiles": size % tile == 0, "several tiles": size > tile}
    if tile > 1:
        bins["below a tile"] = size < tile
        bins["ragged"] = size > tile and size % tile != 0
    return {name: int(hit) for name, hit in bins.items()}


def _blocks(row: BlockFormat, blocks: Blocks) -> dict[str, int]:
    """Kinds of blocks of an operand."""
    mask = (1 << (row.scale.width - row.scale.signed_bit)) - 1
    scales = np.stack([s for s in (blocks.scale_pos, blocks.scale_neg) if s is not None])
    nan = ((scales & mask) > row.scale.max_magnitude).any(axis=0)
    elements = element_values(row)[element_index(row, blocks.codes, blocks.zero_point)]
    zero = (elements == 0).all(axis=-1)
    positive, negative = (elements > 0).any(axis=-1), (elements < 0).any(axis=-1)
    kinds = {
        "nan": nan,
        "zeros": zero & ~nan,
        "positive": positive & ~negative & ~nan,
        "negative": negative & ~positive & ~nan,
        "both signs": positive & negative & ~nan,
    }
    return {name: int(hits.sum()) for name, hits in kinds.items()}


def job(config: EngineConfig, done: Job) -> Counts:
    """Coverage of one job whose result was right."""
    steps, most = -(-done.k // config.block), config.largest_k
    passes = "reused" if done.reuse else "kept" if done.keep else "each row tile"
    counts: Counts = {
        "m": _edges(done.m, config.rows),
        "n": _edges(done.n, config.cols),
        "k": {**_edges(done.k, config.block), "largest": int(done.k == most)},
        "steps": {"one": int(steps == 1), "several": int(steps > 1), "odd": int(steps % 2 == 1)},
        "b sent": {name: int(name == passes) for name in ("each row tile", "kept", "reused")},
        "a block": _blocks(config.rows_ab[0], done.a),
        "b block": _blocks(config.rows_ab[1], done.b),
        "result": _results(config, done),
    }
    if config.acc == "fixed":
        kinds = ("neither", "inexact", "overflow", "both")
        counts["flags of a job"] = {kind: int(done.flags == n) for n, kind in enumerate(kinds)}
        # Either alone depends on the widths of the accumulator.
        del counts["flags of a job"]["overflow"]
    if config.requantize != NONE:
        counts["n of C's blocks"] = _edges(done.n, config.block)
    row_a, row_b = config.rows_ab
    word_a = row_a.record_bytes if config.input == RECORDS else INPUTS[config.input].width // 8
    element = config.word.width // 8 if config.row_c is None else config.row_c.record_bytes
    counts["tail of A"] = _tail(len(done.raw_a), word_a, config.bytes_a)
    counts["tail of B"] = _tail(len(done.raw_b), row_b.record_bytes, config.bytes_b)
    counts["tail of C"] = _tail(len(done.raw_c), element, config.bytes_c)
    return counts


def _tail(size: int, element: int, lanes: int) -> dict[str, int]:
    """Whether a packet fills its last beat, as far as packets of small jobs can and need not."""
    together = lanes // math.gcd(element, lanes)
    bins = {"full": int(size % lanes == 0), "partial": int(size % lanes != 0)}
    if together == 1:
        del bins["partial"]
    elif together > 4:
        del bins["full"]
    return bins


def _results(config: EngineConfig, done: Job) -> dict[str, int]:
    raw = words(done.c, config.output).astype(np.int64)
    sign = 1 << (config.word.width - 1)
    magnitude = raw & (sign - 1)
    infinity = config.word.inf_magnitude
    assert infinity is not None
    bins = {
        "zero": magnitude == 0,
        "positive": (magnitude > 0) & (magnitude < infinity) & (raw < sign),
        "negative": (magnitude > 0) & (magnitude < infinity) & (raw >= sign),
        "nan": magnitude > infinity,
    }
    return {name: int(hits.sum()) for name, hits in bins.items()}


def empty() -> Counts:
    """No hit of any point, so that what no test touches is a hole too."""
    counts: Counts = {point: dict.fromkeys(bins, 0) for point, bins in POINTS.items()}
    return counts
