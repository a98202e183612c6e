"""A language model in NumPy, of the architecture of Llama or Gemma 3: the forward pass.

Written from the equations (RMSNorm, arXiv 1910.07467; rotary positions, 2104.09864; grouped
queries, 2305.13245; gated MLPs, 2002.05202; Gemma 3,
2503.19786), in FP32. Everything that is quantized passes through one
function, and every product of such operands through another: this module knows of no format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "OPERANDS", "Array", "Layer", "Model", "Multiply", "Operand", "Quantize", "Shape", "as_is",
    "attended", "final", "fp32", "logits",
]  # fmt: skip

Array = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.integer]
Operand = Any
"""An `Array`, or whatever `Quantize` returns for `Multiply`: it has ``take`` and ``T`` as arrays
have."""
Quantize = Callable[[str, Array, int], Operand]
"""Takes what an operand is (`OPERANDS`), the operand and the axis that is summed over; returns what
is multiplied in its place."""
Multiply = Callable[[Operand, Operand], Array]
"""Product A B^T of [m, k] and [n, k]."""

OPERANDS = ("weight", "input", "query", "key", "probability", "value")
"""Both sides of every product but the last one: linear layers, Q K^T and P V."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Sizes of a model, and what its architecture is made of.

    Parameters
    ----------
    heads, groups
        Heads of queries, and of keys and values, each of which `heads / groups` of them share.
    head
        Elements of a head, d.
    bases
        Of rotary positions, layer by layer: pair i of d / 2 turns by base^(-2 i / d) radians a
        token.
    windows
        How many tokens a token sees in a layer, itself included; ``None``: all before it.
    halves
        Whether elements i and i + d / 2 of a head are a pair, or 2 i and 2 i + 1.
    gate
        Of the MLP: ``silu``, or ``gelu`` in its approximation by tanh.
    scale
        Factor of the embedding.
    epsilon
        Added to the mean square in RMSNorm.
    """

    layers: int
    width: int
    heads: int
    groups: int
    head: int
    bases: tuple[float, ...]
    windows: tuple[int | None, ...]
    halves: bool
    gate: str
    scale: float
    epsilon: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Weights of a layer, [out, in]; the rows of `query` and `key` in GGUF's order (`_turned`).

    Norms of queries and keys, by head, and of what attention and MLP add are some architectures'.
    """

    attention_norm: Array
    query: Array
    key: Array
    value: Array
    output: Array
    mlp_norm: Array
    gate: Array
    up: Array
    down: Array
    query_norm: Array | None = None
    key_norm: Array | None = None
    attention_after: Array | None = None
    mlp_after: Array | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Weights of a model.

    Parameters
    ----------
    embedding
        [vocabulary, width].
    head
        [vocabulary, width]; the embedding itself where a file has no other.
    begin
        Token that stands before every context, if the model was trained with one.
    """

    name: str
    shape: Shape
    embedding: Array
    layers: tuple[Layer, ...]
    norm: Array
    head: Array
    begin: int | None = None


def as_is(_: str, x: Array, __: int) -> Array:
    """Leave every operand as it is: FP32."""
    return x


def fp32(a: Operand, b: Operand) -> Array:
    """Multiply as BLAS does: sums in FP32, in an order of its own."""
    product: Array = a @ b.T
    return product


def final(
    model: Model,
    sequences: Sequence[Tokens] | Tokens,
    quantize: Quantize = as_is,
    multiply: Multiply = fp32,
    *,
    perturbation: float = 0.0,
) -> list[Array]:
    """Last states of sequences of tokens, each a context of its own, after the last norm.

    They go through a layer together, so that its weights are quantized once; operands of one
    sequence are a tensor, in which a factor ``auto`` looks for its maximum.

    Parameters
    ----------
    sequences
        Tokens, integers [w] each.
    quantize, multiply
        See `Quantize` and `Multiply`. Of the blocks of P and V along the tokens some hold tokens
        that come later: as in a prefill of the sequence.
    perturbation
        Elements of the embedding are multiplied by 1 + this times a standard normal number.

    Returns
    -------
    float32 [w, width] each.
    """
    shape = model.shape
    embedding = model.embedding
    if perturbation:
        noise = np.random.default_rng(0).standard_normal(embedding.shape, np.float32)
        embedding = embedding * (1 + np.float32(perturbation) * noise)
    before = [] if model.begin is None else [model.begin]
    states = [
        embedding[[*before, *tokens]] * np.float32(shape.scale) for tokens in sequences
    ]  # fmt: skip
    turns = {base: _turn(shape, base, max(map(len, states))) for base in set(shape.bases)}
    for layer, base, window in zip(model.layers, shape.bases, shape.windows, strict=True):
        linear = {
            name: quantize("weight", getattr(layer, name), -1)
            for name in ("query", "key", "value", "output", "gate", "up", "down")
        }
        for x in states:
            more = _attention(shape, layer, linear, turns[base], window, x, quantize, multiply)
            x += _after(more, layer.attention_after, shape)
            x += _after(_mlp(shape, layer, linear, x, quantize, multiply), layer.mlp_after, shape)
    return [_normed(x[len(before) :], model.norm, shape) for x in states]


def logits(model: Model, x: Array) -> Array:
    """Logits of the next token, [w, vocabulary], from last states [w, width]; always in FP32."""
    return x @ model.head.T


def _attention(
    shape: Shape,
    layer: Layer,
    linear: dict[str, Operand],
    turn: tuple[Array, Array],
    window: int | None,
    x: Array,
    quantize: Quantize,
    multiply: Multiply,
) -> Array:
    """Attention of a window [w, width]: softmax(Q K^T / sqrt(d)) V, by head, through W_o."""
    inner = quantize("input", _normed(x, layer.attention_norm, shape), -1)
    q, k, v = (
        multiply(inner, linear[name]).reshape(len(x), -1, shape.head)
        for name in ("query", "key", "value")
    )
    q, k = _after(q, layer.query_norm, shape), _after(k, layer.key_norm, shape)
    ahead = np.arange(len(x)) - np.arange(len(x))[:, None]
    unseen = (ahead > 0) | (ahead <= -(window or len(x)))
    mask = np.where(unseen, np.float32(-np.inf), np.float32(0))
    q, k = (_turned(y, turn, halves=shape.halves) for y in (q, k))
    mixed = attended(q, k, v, mask, quantize, multiply)
    return multiply(quantize("input", mixed, -1), linear["output"])


def attended(
    q: Array, k: Array, v: Array, mask: Array, quantize: Quantize, multiply: Multiply
) -> Array:
    """Mix values by attention, softmax(Q K^T / sqrt(d) + mask) V, head by head.

    Parameters
    ----------
    q
        [w, heads, d].
    k, v
        [w, groups, d]; `heads / groups` neighbouring heads share one.
    mask
        [w, w], from queries to keys.

    Returns
    -------
    float32 [w, heads d].
    """
    w, heads, d = q.shape
    shared = heads // k.shape[1]
    q, k, v = quantize("query", q, -1), quantize("key", k, -1), quantize("value", v, 0)
    p = np.empty((heads, w, w), np.float32)
    for head in range(heads):
        scores = multiply(q.take(head, 1), k.take(head // shared, 1))
        p[head] = _softmax(scores * np.float32(d**-0.5) + mask)
    shares = quantize("probability", p, -1)
    mixed = np.empty((w, heads, d), np.float32)
    for head in range(heads):
        mixed[:, head] = multiply(shares.take(head, 0), v.take(head // shared, 1).T)
    return mixed.reshape(w, -1)


def _mlp(
    shape: Shape,
    layer: Layer,
    linear: dict[str, Operand],
    x: Array,
    quantize: Quantize,
    multiply: Multiply,
) -> Array:
    """Gated MLP of a window [w, width]: W_down (g(W_gate x) * W_up x)."""
    inner = quantize("input", _normed(x, layer.mlp_norm, shape), -1)
    gate, up = multiply(inner, linear["gate"]), multiply(inner, linear["up"])
    return multiply(quantize("input", _GATES[shape.gate](gate) * up, -1), linear["down"])


def _silu(x: Array) -> Array:
    with np.errstate(over="ignore"):  # of exp, to infinity: the gate is 0 then
        found: Array = x / (1 + np.exp(-x))
    return found


def _gelu(x: Array) -> Array:
    """Gaussian error linear unit (arXiv 1606.08415), as approximated there by tanh."""
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
    found: Array = np.float32(0.5) * x * (1 + np.tanh(inner))
    return found


_GATES = {"silu": _silu, "gelu": _gelu}


def _after(x: Array, weight: Array | None, shape: Shape) -> Array:
    return x if weight is None else _normed(x, weight, shape)


def _normed(x: Array, weight: Array, shape: Shape) -> Array:
    """RMSNorm of [w, width]: x / sqrt(mean x^2 + epsilon) * weight."""
    mean = np.square(x).mean(axis=-1, keepdims=True)
    normed: Array = x / np.sqrt(mean + np.float32(shape.epsilon)) * weight
    return normed


def _turn(shape: Shape, base: float, tokens: int) -> tuple[Array, Array]:
    """Cosines and sines of rotary positions, [tokens, d / 2]."""
    angles = np.arange(tokens)[:, None] * base ** (-np.arange(0, shape.head, 2) / shape.head)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _turned(x: Array, turn: tuple[Array, Array], *, halves: bool) -> Array:
    """Rotary positions of [w, heads, d].

    GGUF files of Llama's architecture have the rows of W_q and W_k in such an order that elements
    2 i and 2 i + 1 are a pair; in others halves of a head are.
    """
    cos, sin = (t[: len(x), None] for t in turn)
    half = x.shape[-1] // 2
    a, b = (slice(half), slice(half, None)) if halves else (slice(0, None, 2), slice(1, None, 2))
    result = np.empty_like(x)
    result[..., a] = x[..., a] * cos - x[..., b] * sin
    result[..., b] = x[..., a] * sin + x[..., b] * cos
    return result


def _softmax(x: Array) -> Array:
    e: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e
