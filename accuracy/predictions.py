"""What last states say of the tokens that follow, and how far that is from what FP32 says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .model import Array, Model, Tokens, logits

__all__ = ["Predictions", "losses", "predictions"]

_ROWS = 128
"""Tokens whose logits are there at a time: 25 MB of a vocabulary of 49,152, three times over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """Of every token but the first, in the order of the text.

    Parameters
    ----------
    losses
        -log p_t(token_(t+1)), nats, float64 [t].
    divergence
        KL(FP32 || row) = sum_v p_FP32(v) (log p_FP32(v) - log p(v)), nats, float64 [t].
    agrees
        Whether the most probable token is that of FP32, bool [t].
    """

    losses: npt.NDArray[np.float64]
    divergence: npt.NDArray[np.float64]
    agrees: npt.NDArray[np.bool_]


def predictions(
    model: Model,
    states: Sequence[Array],
    targets: Sequence[Tokens],
    plain_model: Model,
    plain: Sequence[Array],
) -> Predictions:
    """Compare predictions with the text, and with FP32's.

    Logits are made and dropped a few tokens at a time, those of FP32 again from its states: a
    vocabulary's logits of a text would take 200 KB a token.

    Parameters
    ----------
    model, states
        A row's, which may have another basis than FP32's; `amxfp4.accuracy.model.final`,
        [w, width] each.
    targets
        The tokens that follow, [w] each.
    plain_model, plain
        Those of FP32.
    """
    found = [
        _compared(
            logits(model, x[at : at + _ROWS]),
            next_[at : at + _ROWS],
            logits(plain_model, of[at : at + _ROWS]),
        )
        for x, of, next_ in zip(states, plain, targets, strict=True)
        for at in range(0, len(x), _ROWS)
    ]
    losses, divergence, agrees = (np.concatenate(part) for part in zip(*found, strict=True))
    return Predictions(losses=losses, divergence=divergence, agrees=agrees)


def _compared(
    ours: Array, targets: Tokens, theirs: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Compare logits [n, vocabulary], which are spent."""
    wanted = ours[np.arange(len(ours)), targets].astype(np.float64)
    apart = theirs - ours
    best, _, total = _log_sum(ours)
    # What FP32's logits become: e^(z - max), in place.
    plain_best, weight, plain_total = _log_sum(theirs)
    mean = np.vecdot(theirs, apart).astype(np.float64) / weight
    return total - wanted, mean - plain_total + total, best == plain_best


def _log_sum(
    z: Array,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Find the largest of each row; put e^(z - max) in the place of z; its sum, and log sum e^z.

    Sums along a row are of pairs of pairs, so that FP32 does.
    """
    best = z.argmax(axis=-1)
    most = np.take_along_axis(z, best[:, None], -1)
    z -= most
    np.exp(z, out=z)
    weight = z.sum(axis=-1).astype(np.float64)
    return best, weight, np.log(weight) + most[:, 0]


def losses(
    model: Model, states: Sequence[Array], targets: Sequence[Tokens]
) -> list[npt.NDArray[np.float64]]:
    """Loss of every token that follows, -log softmax(W x_t)[token_(t+1)], nats, [w] each."""
    found = []
    for x, next_ in zip(states, targets, strict=True):
        z = logits(model, x)
        wanted = z[np.arange(len(x)), next_].astype(np.float64)
        found.append(_log_sum(z)[-1] - wanted)
    return found
