"""An encoder of the BERT architecture (arXiv 1810.04805) in NumPy, from sentences to embeddings.

As `amxfp4.accuracy.model`, it passes everything that is quantized through one function and every
product through another, and knows of no format.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amxfp4.accuracy.model import (
    Array,
    Multiply,
    Operand,
    Quantize,
    Tokens,
    as_is,
    attended,
    fp32,
)  # fmt: skip
from amxfp4.golden.files.safetensors_file import SafetensorsFile

__all__ = ["WEIGHTS", "Encoder", "Layer", "embeddings", "load"]

Affine = tuple[Array, Array]
"""Weight and bias, of a linear layer [out, in] and [out], or of a norm [width] each."""
_LAYER = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense", "down": "output.dense", "mlp_norm": "output.LayerNorm",
}  # fmt: skip
"""Parts of a layer, as checkpoints call them: ``encoder.layer.N.attention.self.query.weight``."""
WEIGHTS = ("query", "key", "value", "output", "up", "down")
"""Linear layers of a layer, in the order in which their weights are quantized."""
_CONFIG = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
"""What this forward pass is of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Weights and biases of a layer."""

    query: Affine
    key: Affine
    value: Affine
    output: Affine
    attention_norm: Affine
    up: Affine
    down: Affine
    mlp_norm: Affine


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Weights of an encoder.

    Parameters
    ----------
    heads
        Of attention.
    epsilon
        Added to the variance in LayerNorm.
    words, positions
        Embeddings [vocabulary, width] and [positions, width], the latter with that of the only kind
        of token there is here.
    """

    heads: int
    epsilon: float
    words: Array
    positions: Array
    norm: Affine
    layers: tuple[Layer, ...]


def load(path: Path) -> Encoder:
    """Read an encoder, as Hugging Face stores it.

    Parameters
    ----------
    path
        Safetensors in F32, F16 or BF16, with ``config.json`` of a BERT model beside it.

    Raises
    ------
    OSError
        A file cannot be read.
    ValueError
        It is of another architecture, or a tensor is missing or of another type.
    """
    config = _config(path.with_name("config.json"))
    with contextlib.closing(SafetensorsFile(path)) as file:

        def tensor(name: str) -> Array:
            if name not in file.entries or file.entries[name].word is None:
                found = file.entries.get(name, "nothing")
                raise ValueError(f"tensor {name!r} must be of a type that is read, not {found}")
            return file.tensor(name).values.astype(np.float32)

        def affine(name: str) -> Affine:
            return tensor(f"{name}.weight"), tensor(f"{name}.bias")

        kind = tensor("embeddings.token_type_embeddings.weight")[0]
        return Encoder(
            heads=config["num_attention_heads"], epsilon=config["layer_norm_eps"],
            words=tensor("embeddings.word_embeddings.weight"),
            positions=tensor("embeddings.position_embeddings.weight") + kind,
            norm=affine("embeddings.LayerNorm"),
            layers=tuple(
                Layer(**{f: affine(f"encoder.layer.{n}.{name}") for f, name in _LAYER.items()})
                for n in range(config["num_hidden_layers"])
            ),
        )  # fmt: skip


def _config(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} must be an object of JSON, not {found!r:.60}")
    for name, wanted in _CONFIG.items():
        if found.get(name, wanted if name == "position_embedding_type" else None) != wanted:
            raise ValueError(f"{name} of {path.name} must be {wanted!r}, not {found.get(name)!r}")
    for name, kind in (
        ("num_attention_heads", int), ("num_hidden_layers", int), ("layer_norm_eps", float)
    ):  # fmt: skip
        if not isinstance(found.get(name), kind):
            raise ValueError(f"{name} of {path.name} must be a number, not {found.get(name)!r}")
    return found


def embeddings(
    model: Encoder,
    sequences: Sequence[Tokens],
    quantize: Quantize = as_is,
    multiply: Multiply = fp32,
    *,
    perturbation: float = 0.0,
) -> Array:
    """Embed sequences of tokens, each for itself: the mean of its last states, of length 1.

    A layer is x <- norm(x + W_o attention(x)), then x <- norm(x + W_down gelu(W_up x)), both linear
    maps with biases, which stay in FP32 as norms do.

    Parameters
    ----------
    sequences
        Tokens with those that begin and end a sequence, integers [w] each; no padding.
    quantize, multiply, perturbation
        As of `amxfp4.accuracy.model.final`.

    Returns
    -------
    float32 [sequences, width].
    """
    words = model.words
    if perturbation:
        noise = np.random.default_rng(0).standard_normal(words.shape, np.float32)
        words = words * (1 + np.float32(perturbation) * noise)
    states = [_normed(model, words[t] + model.positions[: len(t)], model.norm) for t in sequences]
    for layer in model.layers:
        linear = {name: quantize("weight", getattr(layer, name)[0], -1) for name in WEIGHTS}
        states = [_through(model, layer, linear, x, quantize, multiply) for x in states]
    means = np.stack([x.mean(axis=0) for x in states])
    unit: Array = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def _through(
    model: Encoder,
    layer: Layer,
    linear: dict[str, Operand],
    x: Array,
    quantize: Quantize,
    multiply: Multiply,
) -> Array:
    def applied(inner: Operand, name: str) -> Array:
        bias: Array = getattr(layer, name)[1]
        return multiply(inner, linear[name]) + bias

    w, width = x.shape
    inner = quantize("input", x, -1)
    q, k, v = (
        applied(inner, name).reshape(w, model.heads, width // model.heads)
        for name in ("query", "key", "value")
    )
    mixed = attended(q, k, v, np.zeros((w, w), np.float32), quantize, multiply)
    x = _normed(model, x + applied(quantize("input", mixed, -1), "output"), layer.attention_norm)
    hidden = _gelu(applied(quantize("input", x, -1), "up"))
    return _normed(model, x + applied(quantize("input", hidden, -1), "down"), layer.mlp_norm)


def _normed(model: Encoder, x: Array, norm: Affine) -> Array:
    """LayerNorm (arXiv 1607.06450) of [w, width]."""
    x = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(x).mean(axis=-1, keepdims=True)
    normed: Array = x / np.sqrt(variance + np.float32(model.epsilon)) * norm[0] + norm[1]
    return normed


def _gelu(x: Array) -> Array:
    """Gaussian error linear unit (arXiv 1606.08415), x Phi(x).

    Erf is that of Abramowitz and Stegun, 7.1.26, which is off by 1.5e-7 at most: NumPy has none.
    """
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(a)) * t
    erf = np.copysign(1 - series * np.exp(-z * z), x)
    found: Array = np.float32(0.5) * x * (1 + erf)
    return found
