"""What is measured of a row: predictions of a text, choices of continuations, or embeddings."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .encoder.bert import Encoder
from .encoder.sentences import Sentences
from .encoder.similarity import measured as of_sentences
from .model import Array, Model, Operand, final
from .operands import Fidelity
from .predictions import predictions
from .prepared import prepared, turned
from .quantized import FP32, Row, multiplier, quantizer
from .tasks import Item, choices

__all__ = ["Measured", "Subject", "measure"]

Windows = npt.NDArray[np.int64]
Subject = Windows | Sequence[Item] | Sentences
"""What rows are measured on: windows of text, tokens [n, w + 1]; items; sentences, by encoders."""
GROUP = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Figures of a row.

    Parameters
    ----------
    values
        One a token or item, by name: ``losses``, ``divergence`` and ``agrees``
        (`amxfp4.accuracy.predictions.Predictions`), or ``by_sum`` and ``by_length``
        (`amxfp4.accuracy.tasks.choices`), or ``distance`` and ``agrees`` of sentences
        (`amxfp4.accuracy.encoder.similarity.compared`).
    more
        ``sqnr`` of the operands in dB, by their kind; of FP32 ``groups`` of activations.
    seconds
        Of one core.
    """

    values: Mapping[str, npt.NDArray[Any]]
    more: Mapping[str, Any] = field(default_factory=dict)
    seconds: float


def measure(
    model: Model | Encoder, subject: Subject, row: Row, calibration: Callable[[], Windows]
) -> Measured:
    """Measure a row, on windows beside FP32: its last states are kept for the rows that follow.

    `calibration` gives tokens for a row that needs some, those of windows not among them.
    """
    if isinstance(model, Encoder) or isinstance(subject, Sentences):
        if not (isinstance(model, Encoder) and isinstance(subject, Sentences)):
            raise TypeError("subject must be sentences for an encoder, and for no other model")
        found, sqnr, seconds = of_sentences(model, subject, row)
        return Measured(values=found, more={"sqnr": sqnr}, seconds=seconds)
    if isinstance(subject, np.ndarray):
        return _on_text(model, subject, row, calibration)
    start = time.process_time()
    own = prepared(model, row.format, row.options, calibration)
    quantize = turned(own, row.options, quantizer(row))
    values = choices(own, subject, quantize, multiplier(row), perturbation=row.perturbation)
    return Measured(values=values, seconds=time.process_time() - start)


def _on_text(
    model: Model, windows: Windows, row: Row, calibration: Callable[[], Windows]
) -> Measured:
    plain = _plain(model, windows)
    start = time.process_time()
    fidelity = Fidelity()
    if row.measured == FP32.measured:
        states, start = plain.states, start - plain.seconds
        more: dict[str, Any] = {"groups": plain.groups}
    else:
        model = prepared(model, row.format, row.options, calibration)
        quantize = turned(model, row.options, quantizer(row, fidelity))
        states = final(
            model, windows[:, :-1], quantize, multiplier(row), perturbation=row.perturbation
        )
        more = {"sqnr": fidelity.decibels}
    found = predictions(model, states, list(windows[:, 1:]), plain.model, plain.states)
    seconds = time.process_time() - start
    values = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    return Measured(values=values, more=more, seconds=seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plain:
    """FP32 on a text."""

    model: Model
    windows: Windows
    states: list[Array]
    groups: dict[str, list[float]]
    seconds: float


_kept: list[_Plain] = []
"""Of a working process: that of the text at hand. 1.2 MB a window of 512 tokens."""


def _plain(model: Model, windows: Windows) -> _Plain:
    for known in _kept:
        if known.model is model and np.array_equal(known.windows, windows):
            return known
    start = time.process_time()
    seen = _Seen(len(model.layers) // 2)
    states = final(model, windows[:, :-1], seen)
    groups = _groups(seen.found) if seen.found is not None else {}
    seconds = time.process_time() - start
    _kept[:] = [_Plain(model=model, windows=windows, states=states, groups=groups, seconds=seconds)]
    return _kept[0]


class _Seen:
    """Leaves operands as they are, and keeps one: the first window's inputs to a layer."""

    def __init__(self, layer: int) -> None:
        self.found: Array | None = None
        self._weights_before = 7 * (layer + 1)

    def __call__(self, operand: str, x: Array, _: int) -> Operand:
        if operand == "weight":
            self._weights_before -= 1
        elif self._weights_before == 0 and self.found is None and operand == "input":
            self.found = x.copy()
        return x


def _groups(x: Array) -> dict[str, list[float]]:
    """Two groups of 32 activations, by how different the largest of either sign are.

    The ratio of the larger maximum to the smaller one is the median of all groups' in one, and
    above that of 95 % of them in the other.
    """
    groups = x[:, : x.shape[1] // GROUP * GROUP].reshape(-1, GROUP)
    highest, lowest = groups.max(axis=1), -groups.min(axis=1)
    both = np.flatnonzero((highest > 0) & (lowest > 0))
    if not both.size:
        return {}
    ratio = np.abs(np.log(highest[both] / lowest[both]))
    order = both[ratio.argsort(kind="stable")]
    places = {"the median group": 0.5, "a group above 95 % of all": 0.95}
    return {name: groups[order[int(at * (len(order) - 1))]].tolist() for name, at in places.items()}
