"""A language model of the Llama architecture in NumPy: weights from GGUF, and the forward pass.

Written from the equations (RMSNorm, arXiv 1910.07467; rotary positions, 2104.09864; grouped
queries, 2305.13245; SwiGLU, 2002.05202), in FP32. Everything that is quantized passes through one
function, and every product of such operands through another: this module knows of no format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.files.gguf_file import GgufFile
from amxfp4.golden.files.layouts import stored

__all__ = [
    "OPERANDS", "Array", "Layer", "Model", "Multiply", "Operand", "Quantize", "Shape", "as_is",
    "attended", "final", "fp32", "load", "logits",
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
    """Sizes of a model, as the keys of a GGUF header state them.

    Parameters
    ----------
    heads, groups
        Heads of queries, and of keys and values, each of which `heads / groups` of them share.
    base
        Of rotary positions: pair i of d / 2 turns by base^(-2 i / d) radians a token.
    epsilon
        Added to the mean square in RMSNorm.
    """

    layers: int
    width: int
    heads: int
    groups: int
    base: float
    epsilon: float

    @property
    def head(self) -> int:
        """Elements of a head."""
        return self.width // self.heads


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Weights of a layer, [out, in]; the rows of `query` and `key` in GGUF's order (`_turned`)."""

    attention_norm: Array
    query: Array
    key: Array
    value: Array
    output: Array
    mlp_norm: Array
    gate: Array
    up: Array
    down: Array


_NAMES = {
    "attention_norm": "attn_norm", "query": "attn_q", "key": "attn_k", "value": "attn_v",
    "output": "attn_output", "mlp_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up",
    "down": "ffn_down",
}  # fmt: skip
"""Tensors of a layer, as GGUF calls them: ``blk.N.attn_q.weight``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Weights of a model.

    Parameters
    ----------
    embedding
        [vocabulary, width].
    head
        [vocabulary, width]; the embedding itself where a file has no other.
    """

    name: str
    shape: Shape
    embedding: Array
    layers: tuple[Layer, ...]
    norm: Array
    head: Array


def load(path: Path) -> Model:
    """Read a model, with its weights as the FP32 values that their codes stand for.

    Parameters
    ----------
    path
        GGUF file of architecture ``llama``; tensors in F32, F16, BF16, Q8_0, Q4_0, Q4_1, MXFP4 or
        NVFP4.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no GGUF file, of another architecture, or a tensor is missing or of another type.
    """
    file = GgufFile(path)
    try:
        architecture = file.value("general.architecture")
        if architecture != "llama":
            raise ValueError(f"its architecture must be llama, not {architecture!r}")
        shape = Shape(
            layers=file.value("llama.block_count"),
            width=file.value("llama.embedding_length"),
            heads=file.value("llama.attention.head_count"),
            groups=file.value("llama.attention.head_count_kv"),
            base=file.value("llama.rope.freq_base"),
            epsilon=file.value("llama.attention.layer_norm_rms_epsilon"),
        )
        coded = stored(file)

        def tensor(name: str) -> Array:
            name = f"{name}.weight"
            if name in coded:
                return coded[name].values()
            if name not in file.entries or file.entries[name].word is None:
                found = file.entries.get(name, "nothing")
                raise ValueError(f"tensor {name!r} must be of a type that is read, not {found}")
            return file.tensor(name).values.astype(np.float32)

        embedding = tensor("token_embd")
        layers = tuple(
            Layer(**{field: tensor(f"blk.{n}.{name}") for field, name in _NAMES.items()})
            for n in range(shape.layers)
        )
        head = tensor("output") if "output.weight" in file.entries else embedding
        return Model(
            name=file.metadata.get("general.name", path.stem), shape=shape, embedding=embedding,
            layers=layers, norm=tensor("output_norm"), head=head,
        )  # fmt: skip
    finally:
        file.close()


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
    states = [embedding[tokens] for tokens in sequences]
    angles = np.arange(max(map(len, states)))[:, None] * shape.base ** (
        -np.arange(0, shape.head, 2) / shape.head
    )
    turn = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    for layer in model.layers:
        linear = {
            name: quantize("weight", getattr(layer, name), -1)
            for name in ("query", "key", "value", "output", "gate", "up", "down")
        }
        for x in states:
            x += _attention(shape, layer, linear, turn, x, quantize, multiply)
            x += _mlp(shape, layer, linear, x, quantize, multiply)
    return [_normed(x, model.norm, shape) for x in states]


def logits(model: Model, x: Array) -> Array:
    """Logits of the next token, [w, vocabulary], from last states [w, width]; always in FP32."""
    return x @ model.head.T


def _attention(
    shape: Shape,
    layer: Layer,
    linear: dict[str, Operand],
    turn: tuple[Array, Array],
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
    later = np.triu(np.full((len(x), len(x)), -np.inf, np.float32), 1)
    mixed = attended(_turned(q, turn), _turned(k, turn), v, later, quantize, multiply)
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
    """SwiGLU of a window [w, width]: W_down (silu(W_gate x) * W_up x)."""
    inner = quantize("input", _normed(x, layer.mlp_norm, shape), -1)
    gate, up = multiply(inner, linear["gate"]), multiply(inner, linear["up"])
    with np.errstate(over="ignore"):  # of exp, to infinity: the gate is 0 then
        gate = gate / (1 + np.exp(-gate))
    return multiply(quantize("input", gate * up, -1), linear["down"])


def _normed(x: Array, weight: Array, shape: Shape) -> Array:
    """RMSNorm of [w, width]: x / sqrt(mean x^2 + epsilon) * weight."""
    mean = np.square(x).mean(axis=-1, keepdims=True)
    normed: Array = x / np.sqrt(mean + np.float32(shape.epsilon)) * weight
    return normed


def _turned(x: Array, turn: tuple[Array, Array]) -> Array:
    """Rotary positions of [w, heads, d].

    GGUF files of this architecture have the rows of W_q and W_k in such an order that elements
    2 i and 2 i + 1 are a pair.
    """
    cos, sin = (t[: len(x), None] for t in turn)
    result = np.empty_like(x)
    result[..., ::2] = x[..., ::2] * cos - x[..., 1::2] * sin
    result[..., 1::2] = x[..., ::2] * sin + x[..., 1::2] * cos
    return result


def _softmax(x: Array) -> Array:
    e: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e
