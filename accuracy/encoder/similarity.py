"""What is measured of a row: how far embeddings are from FP32's, and whether neighbours stay."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.accuracy.model import Array
from amxfp4.accuracy.operands import Fidelity
from amxfp4.accuracy.quantized import FP32, Row, multiplier, quantizer

from .bert import Encoder, embeddings
from .sentences import Sentences

__all__ = ["compared", "measured"]

_kept: list[tuple[Encoder, Sentences, Array]] = []
"""Of a working process: FP32's embeddings of the sentences at hand."""


def measured(
    model: Encoder, subject: Sentences, row: Row
) -> tuple[Mapping[str, npt.NDArray[Any]], dict[str, float], float]:
    """Measure a row on sentences.

    Returns
    -------
    `compared`, SQNR of operands in dB, and seconds of one core.
    """
    start = time.process_time()
    sequences = [np.array(tokens) for tokens in subject.tokens]
    if not any(m is model and s == subject for m, s, _ in _kept):
        _kept[:] = [(model, subject, embeddings(model, sequences))]
    plain = _kept[0][2]
    fidelity = Fidelity()
    ours = plain
    if row.measured != FP32.measured:
        start = time.process_time()
        ours = embeddings(
            model, sequences, quantizer(row, fidelity), multiplier(row),
            perturbation=row.perturbation,
        )  # fmt: skip
    return compared(ours, plain), fidelity.decibels, time.process_time() - start


def compared(ours: Array, plain: Array) -> Mapping[str, npt.NDArray[Any]]:
    """Compare embeddings [n, width] of length 1 with those of FP32.

    Returns
    -------
    ``distance``: 1 - cos(ours, FP32's), float64 [n]. ``agrees``: whether the nearest of all other
    sentences, by the cosine, is the one that FP32 finds, bool [n].
    """
    a, b = ours.astype(np.float64), plain.astype(np.float64)
    # 1 - cos = |a - b|^2 / 2 of vectors of length 1, without a difference of ones.
    distance = np.square(a - b).sum(axis=1) / 2
    return {"distance": distance, "agrees": _nearest(a) == _nearest(b)}


def _nearest(x: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    alike = x @ x.T
    np.fill_diagonal(alike, -np.inf)
    found: npt.NDArray[np.intp] = alike.argmax(axis=1)
    return found
