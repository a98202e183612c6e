"""QuaRot's rotations (arXiv 2404.00456): the same model in another basis, without outliers.

An orthogonal matrix Q between two factors of a product changes nothing, A B^T = (A Q) (B Q)^T, but
what is quantized. Hadamard matrices mix all coordinates alike. Where it can be, Q is folded into
weights; elsewhere operands are multiplied while the model runs (*online*).

``heads``: queries and keys behind their rotary positions, online; values, and so what W_o takes,
in W_v and W_o; each by a Hadamard matrix of a head's size. ``full``: the residual stream as well,
by blocks of that size, and online the inputs of W_down, by a matrix of their size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .model import Array, Layer, Model, Operand, Quantize

__all__ = ["ROTATIONS", "hadamard", "online", "rotated"]

ROTATIONS = ("heads", "full")
"""What is rotated."""

Matrix = npt.NDArray[np.float64]


def hadamard(n: int) -> Matrix:
    """Hadamard matrix of n = 2^k or 12 * 2^k, divided by sqrt(n): float64 [n, n], orthogonal.

    Sylvester's, times Paley's of 12: quadratic residues modulo 11. There is none of other orders
    than 1, 2 and multiples of 4.

    Raises
    ------
    ValueError
        `n` is of another kind.

    Examples
    --------
    >>> hadamard(2) * 2**0.5
    array([[ 1.,  1.],
           [ 1., -1.]])
    """
    power = n & -n
    if n < 1 or n // power not in (1, 3) or (n // power == 3 and power < 4):
        raise ValueError(f"size of a Hadamard matrix must be 2^k or 12 * 2^k, not {n}")
    made: Matrix = np.ones((1, 1))
    if n // power == 3:
        made, power = _paley(11), power // 4
    while power > 1:
        made, power = np.block([[made, made], [made, -made]]), power // 2
    made /= np.sqrt(n)
    return made


def _paley(prime: int) -> Matrix:
    """Hadamard matrix of order `prime` + 1, for a prime of 3 modulo 4."""
    squares = {k * k % prime for k in range(1, prime)}
    signs = [0, *(1 if k in squares else -1 for k in range(1, prime))]
    skew = np.zeros((prime + 1, prime + 1))
    skew[0, 1:], skew[1:, 0] = 1, -1
    for i in range(prime):
        skew[i + 1, 1:] = [signs[(j - i) % prime] for j in range(prime)]
    return skew + np.eye(prime + 1)


def rotated(model: Model, rotation: str) -> Model:
    """Fold into the weights of a model what can be; `online` is the rest.

    Weights are those of FP64 products, rounded to FP32: together the two compute what the model
    did, but for rounding.

    Raises
    ------
    ValueError
        The model has heads, or with ``full`` a width or inner layers, of sizes that do not fit.
    """
    if rotation == "full" and model.layers[0].mlp_after is not None:
        raise ValueError("rotation must be heads for a model with norms behind its layers")
    head = hadamard(model.shape.head)
    if rotation != "full":
        return dataclasses.replace(model, layers=tuple(_heads(x, head) for x in model.layers))
    if model.shape.width % len(head):
        raise ValueError(f"width must be a multiple of {len(head)}, not {model.shape.width}")
    layers = tuple(_full(_heads(layer, head), head) for layer in model.layers)
    return dataclasses.replace(
        model, layers=layers, embedding=_blocks(model.embedding, head),
        norm=np.ones_like(model.norm), head=_blocks(model.head * model.norm, head),
    )  # fmt: skip


def online(model: Model, rotation: str) -> Callable[[Quantize], Quantize]:
    """Make what rotates operands before they are quantized."""
    head = hadamard(model.shape.head).astype(np.float32)
    inner = model.layers[0].down.shape[1]
    if rotation == "full" and inner == model.shape.width:
        raise ValueError(f"inner layers must be of another size than the width, {inner}")
    hidden = hadamard(inner).astype(np.float32) if rotation == "full" else None

    def around(quantize: Quantize) -> Quantize:
        def values(operand: str, x: Array, axis: int) -> Operand:
            if operand in ("query", "key"):
                x = x @ head
            elif operand == "input" and hidden is not None and x.shape[-1] == inner:
                x = x @ hidden
            return quantize(operand, x, axis)

        return values

    return around


def _blocks(weight: Array | Matrix, matrix: Matrix) -> Array:
    """Rotate the inputs [..., n] of weights, by blocks: W (1 x Q)."""
    size = len(matrix)
    turned: Array = (weight.reshape(-1, size) @ matrix).astype(np.float32).reshape(weight.shape)
    return turned


def _heads(layer: Layer, head: Matrix) -> Layer:
    """Rotate values by head: the outputs of W_v, and the inputs of W_o."""
    value = np.ascontiguousarray(_blocks(np.ascontiguousarray(layer.value.T), head).T)
    return dataclasses.replace(layer, value=value, output=_blocks(layer.output, head))


def _full(layer: Layer, head: Matrix) -> Layer:
    """Rotate the residual stream, and W_down's inputs; norms' weights go into what follows."""

    def reads(weight: Array, norm: Array) -> Array:
        return _blocks(weight.astype(np.float64) * norm, head)

    def writes(weight: Array) -> Array:
        return np.ascontiguousarray(_blocks(np.ascontiguousarray(weight.T), head).T)

    attention, mlp = layer.attention_norm, layer.mlp_norm
    inner = hadamard(layer.down.shape[1])
    return Layer(
        attention_norm=np.ones_like(attention), mlp_norm=np.ones_like(mlp),
        query=reads(layer.query, attention), key=reads(layer.key, attention),
        value=reads(layer.value, attention), output=writes(layer.output),
        gate=reads(layer.gate, mlp), up=reads(layer.up, mlp),
        down=writes(_blocks(layer.down, inner)),
    )  # fmt: skip
