"""GPTQ (arXiv 2210.17323): codes of weights that are chosen for what a layer computes.

Columns of W [out, in] are quantized one after the other; what a column loses is made up for by
those behind it. With H = X^T X of the inputs X [tokens, in] of calibration, damped by a tenth
of its mean diagonal, and U the upper Cholesky factor of H^-1, that is for each column i::

    q_i = R(w_i)        e = (w_i - q_i) / U_ii        w_j -= e U_ij        for j > i

R is golden's own rounding to the elements of a format. The scales of a block (its zero point, too)
are those that golden gives to the block as it stands when its first column is reached. So the
result is `golden.Blocks` or `golden.WeightBlocks`: values that `golden.dequantize` returns, under
scales that `golden.quantize` chose, with other codes. With H = 1 it is `golden.quantize`, bit for
bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden.dequantizer import value_table
from amxfp4.golden.factor.tensor_scale import divided
from amxfp4.golden.formats import element_index, element_thresholds
from amxfp4.params.formats import Ties

from .model import Array, Layer, Model, Quantize, final

__all__ = ["DAMPING", "error", "quantize", "quantized"]

DAMPING = 0.1
"""Of the mean diagonal of H, added to it. The paper's hundredth is for many times as many tokens.

On few, H knows directions that another text does not have."""

Matrix = npt.NDArray[np.float64]
Coded = golden.Blocks | golden.WeightBlocks
_Encode = Callable[[Array], tuple[npt.NDArray[Any], Array]]
"""Codes and values of a column [out] under the scales of its block."""


def quantize(
    weight: Array, hessian: Matrix, format: str, *, damping: float = DAMPING, **options: Any
) -> Coded:
    """Quantize the weights of a linear layer along its inputs.

    Parameters
    ----------
    weight
        float32 [out, in].
    hessian
        float64 [in, in], symmetric: sum of x x^T over inputs x, in any unit. An input that is never
        anything but 0 says nothing about its weight, which is rounded as it is.
    damping
        Of the mean diagonal of `hessian`, added to it, above 0.
    format, **options
        As of `golden.quantize` along the last axis. A factor ``auto`` is that of `weight`.

    Returns
    -------
    As of `golden.quantize`.

    Raises
    ------
    TypeError, ValueError
        As `golden.quantize`; or `options` have a rule or packed scales, whose elements are not the
        nearest ones; or `hessian` is not positive semidefinite.
    """
    for name, plain in (("rule", "nearest"), ("packed", False)):
        if options.get(name, plain) != plain:
            raise ValueError(f"{name} must be {plain!r} with gptq, not {options[name]!r}")
    whole = golden.quantize(weight, format, axis=-1, **options)
    size = whole.codes.shape[-1]
    if isinstance(whole, golden.Blocks):
        options["tensor_scale"] = whole.tensor_scale
    upper = _upper(hessian, damping)
    w = weight.T.astype(np.float64)  # [in, out], so that a column of weights is together
    parts = []
    for first in range(0, len(w), size):
        stop = min(first + size, len(w))
        given = golden.quantize(w[first:stop].T.astype(np.float32), format, axis=-1, **options)
        encode = _encoder(given, options)
        codes, errors = given.codes.copy(), np.empty((stop - first, w.shape[1]))
        for i in range(first, stop):
            codes[:, 0, i - first], value = encode(w[i].astype(np.float32))
            e = errors[i - first] = (w[i] - value) / upper[i, i]
            w[i + 1 : stop] -= upper[i, i + 1 : stop, None] * e
        w[stop:] -= upper[first:stop, stop:].T @ errors
        parts.append(dataclasses.replace(given, codes=codes))
    names = ("codes", "scale_pos", "scale_neg", "zero_point")
    joined: Any = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=1)
        for name in names
        if getattr(whole, name, None) is not None
    }
    return dataclasses.replace(whole, **joined)


def error(weight: Array, values: Array, hessian: Matrix) -> float:
    """Squared error of a layer's outputs: tr((W - Q) H (W - Q)^T)."""
    lost = weight.astype(np.float64) - values
    return float(np.einsum("oi,oi->", lost @ hessian, lost))


def _upper(hessian: Matrix, damping: float) -> Matrix:
    """Factorize the inverse of a damped Hessian by Cholesky: its upper factor."""
    damped = hessian.astype(np.float64)
    diagonal = damped.diagonal().copy()
    dead = diagonal == 0
    diagonal[dead] = 1
    np.fill_diagonal(damped, diagonal + damping * diagonal.mean())
    try:
        # Turned around, the lower factor of H is the inverse of the upper one of H^-1.
        lower = np.linalg.cholesky(damped[::-1, ::-1])
    except np.linalg.LinAlgError as found:
        raise ValueError(f"hessian must be positive semidefinite: {found}") from found
    return _inverse(lower[::-1, ::-1])


def _inverse(upper: npt.NDArray[Any]) -> Matrix:
    """Invert an upper triangular matrix by halves, which is much faster than as any matrix."""
    if len(upper) <= 64:
        found: Matrix = np.linalg.inv(upper)
        return found
    half = len(upper) // 2
    found = np.zeros(upper.shape)
    found[:half, :half] = a = _inverse(upper[:half, :half])
    found[half:, half:] = b = _inverse(upper[half:, half:])
    found[:half, half:] = -a @ upper[:half, half:] @ b
    return found


def _encoder(given: Coded, options: Mapping[str, Any]) -> _Encode:
    """Make an encoder under the scales of one block of every row."""
    if isinstance(given, golden.WeightBlocks):
        return _of_weights(given)
    return _of_blocks(given, Ties(options.get("ties") or "RNA"))


def _of_blocks(given: golden.Blocks, ties: Ties) -> _Encode:
    row, factor = given.row, np.float32(given.tensor_scale)
    pos, neg = (side[:, 0] for side in given.scales)
    steps = element_thresholds(row, ties)
    above, below = steps[:, pos], steps[:, neg]
    table, most = value_table(given), row.element.max_magnitude
    half, zero = 1 << (row.element.width - 1), given.zero_point

    def encode(x: Array) -> tuple[npt.NDArray[Any], Array]:
        if factor != 1:
            x = divided(x, factor)
        negative = x < 0
        limits = np.where(negative, below, above) if row.asymmetric else above
        magnitude = np.count_nonzero(np.abs(x).view(np.int32) >= limits, axis=0)
        if zero is not None:
            code = np.clip(zero[:, 0] + np.where(negative, -magnitude, magnitude), 0, most)
        elif row.element.twos_complement:
            code = np.where(negative, -magnitude, magnitude) % (2 * half)
        else:
            code = magnitude + half * (negative & (magnitude > 0))
        code = code.astype(np.uint8)
        index = element_index(row, code[:, None], None if zero is None else zero[:, 0])[:, 0]
        return code, table[np.where(negative, neg, pos), index]

    return encode


def _of_weights(given: golden.WeightBlocks) -> _Encode:
    table = np.array(given.row.values, np.float32)
    # The nearest value, of two the lower one; the second of two zeros is not written.
    middles = [(v + min(u for u in table if u > v)) / 2 for v in table[:-1]]
    pos, neg = (given.scales[side][:, 0] for side in (0, -1))

    def encode(x: Array) -> tuple[npt.NDArray[Any], Array]:
        scale = np.where(x > 0, pos, neg)
        quotient = np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)
        code = np.searchsorted(np.array(middles, np.float32), quotient)
        return code, table[code] * np.where(table[code] < 0, neg, pos)

    return encode


_WEIGHTS = ("query", "key", "value", "output", "gate", "up", "down")
_INPUTS = (("query", "key", "value"), ("output",), ("gate", "up"), ("down",))
"""Weights that share an input, in the order in which a forward pass has the inputs of a layer."""


class _Calibration:
    """Takes the place of a quantizer in a forward pass in FP32, and quantizes layers behind it."""

    def __init__(self, made: Callable[[Array, Matrix], Array]) -> None:
        self.made = made
        self.layers: list[dict[str, Array]] = []
        self._weights: list[Array] = []
        self._sums: list[Matrix] = []
        self._seen = 0

    def __call__(self, operand: str, x: Array, axis: int) -> Array:
        if operand == "weight":
            if len(self._weights) == len(_WEIGHTS):
                self.finish()
            self._weights.append(x)
        elif operand == "input":
            place = self._seen % len(_INPUTS)
            if self._seen < len(_INPUTS):
                self._sums.append(np.zeros((x.shape[1], x.shape[1])))
            self._sums[place] += x.T @ x
            self._seen += 1
        return x

    def finish(self) -> None:
        """Quantize the layer whose inputs have all been seen."""
        weights = dict(zip(_WEIGHTS, self._weights, strict=True))
        found = {
            name: self.made(weights[name], total)
            for names, total in zip(_INPUTS, self._sums, strict=True)
            for name in names
        }
        self.layers.append(found)
        self._weights, self._sums, self._seen = [], [], 0


def quantized(
    model: Model,
    windows: npt.NDArray[np.integer],
    format: str,
    options: Mapping[str, Any],
    around: Callable[[Quantize], Quantize] = lambda quantize: quantize,
    *,
    damping: float = DAMPING,
) -> Model:
    """Put weights that GPTQ has quantized in the place of those of all linear layers.

    Inputs are those of the model in FP32, for all layers: none of them sees what those before it
    have lost.

    Parameters
    ----------
    windows
        Tokens of calibration, integers [n, w + 1].
    format, options, damping
        As of `quantize`.
    around
        What else is done to operands, `amxfp4.accuracy.rotation.online` perhaps.
    """

    def made(weight: Array, hessian: Matrix) -> Array:
        return golden.dequantize(quantize(weight, hessian, format, damping=damping, **options))

    seen = _Calibration(made)
    final(model, windows[:, :-1], around(seen))
    seen.finish()
    layers = tuple(_with(layer, new) for layer, new in zip(model.layers, seen.layers, strict=True))
    return dataclasses.replace(model, layers=layers)


def _with(layer: Layer, weights: Mapping[str, Array]) -> Layer:
    changed: Any = weights
    return dataclasses.replace(layer, **changed)
