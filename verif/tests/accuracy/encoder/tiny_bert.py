"""A tiny random encoder in safetensors, and the same once more, word by word in FP64.

The second is written from the equations of BERT with loops and `math.erf`; it shares no code with
the project.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, WIDTH, HIDDEN, LAYERS, HEADS, POSITIONS = 40, 64, 96, 2, 2, 24
CONFIG: dict[str, Any] = {
    "model_type": "bert", "hidden_act": "gelu", "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS, "layer_norm_eps": 0.01,
}  # fmt: skip
LINEAR = {
    "attention.self.query": (WIDTH, WIDTH), "attention.self.key": (WIDTH, WIDTH),
    "attention.self.value": (WIDTH, WIDTH), "attention.output.dense": (WIDTH, WIDTH),
    "intermediate.dense": (HIDDEN, WIDTH), "output.dense": (WIDTH, HIDDEN),
}  # fmt: skip
SENTENCES = ((1, 5, 9, 9, 30, 2), (1, 7, 2), (1, 39, 8, 11, 12, 13, 14, 15, 16, 17, 2))
WORDS = [f"w{n}" for n in range(VOCABULARY)]


def tensors(seed: int = 1) -> dict[str, Any]:
    """Make the tensors of a model."""
    rng = np.random.default_rng(seed)

    def norm(name: str) -> dict[str, Any]:
        return {f"{name}.weight": rng.uniform(0.5, 1.5, WIDTH), f"{name}.bias": _normal(WIDTH)}

    def _normal(*shape: int) -> Any:
        return rng.normal(0, 0.3, shape)

    made = {
        f"embeddings.{name}_embeddings.weight": _normal(rows, WIDTH)
        for name, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2))
    } | norm("embeddings.LayerNorm")
    for n in range(LAYERS):
        for name, shape in LINEAR.items():
            made[f"encoder.layer.{n}.{name}.weight"] = _normal(*shape)
            made[f"encoder.layer.{n}.{name}.bias"] = _normal(shape[0])
        for name in ("attention.output", "output"):
            made |= norm(f"encoder.layer.{n}.{name}.LayerNorm")
    return {name: x.astype("<f4") for name, x in made.items()}


def write(
    folder: Path, *, config: Mapping[str, Any] | None = None, without: str | None = None
) -> Path:
    """Write a model with its tokenizer, a word of which is ``w`` with the token's number."""
    folder.mkdir(exist_ok=True)
    header, body = {}, b""
    for name, x in tensors().items():
        if name != without:
            place = [len(body), len(body) + x.nbytes]
            header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": place}
            body += x.tobytes()
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    (folder / "config.json").write_text(json.dumps(CONFIG | dict(config or {})))
    return path


Replace = Callable[[str, Any], Any]


def embedding(tokens: tuple[int, ...], replace: Replace = lambda _, x: x) -> Any:
    """Embedding of one sentence, float64 [width]; what is multiplied goes through `replace`."""
    w = {name: x.astype(np.float64) for name, x in tensors().items()}
    epsilon, d = CONFIG["layer_norm_eps"], WIDTH // HEADS

    def norm(x: Any, name: str) -> Any:
        mean = sum(x) / len(x)
        deviation = math.sqrt(sum((e - mean) ** 2 for e in x) / len(x) + epsilon)
        return np.array([
            (e - mean) / deviation * g + b
            for e, g, b in zip(x, w[f"{name}.weight"], w[f"{name}.bias"], strict=True)
        ])  # fmt: skip

    states = [
        norm(
            w["embeddings.word_embeddings.weight"][token]
            + w["embeddings.position_embeddings.weight"][place]
            + w["embeddings.token_type_embeddings.weight"][0],
            "embeddings.LayerNorm",
        )
        for place, token in enumerate(tokens)
    ]
    for n in range(LAYERS):
        at = f"encoder.layer.{n}"
        weights = {name: replace("weight", w[f"{at}.{name}.weight"]) for name in LINEAR}

        def linear(name: str, xs: Any, at: str = at, weights: Any = weights) -> Any:
            bias = w[f"{at}.{name}.bias"]
            return np.array([
                [sum(row * x) + b for row, b in zip(weights[name], bias, strict=True)] for x in xs
            ])  # fmt: skip

        inner = replace("input", np.array(states))
        q, k, v = (
            linear(f"attention.self.{name}", inner).reshape(-1, HEADS, d)
            for name in ("query", "key", "value")
        )
        q, k, v = replace("query", q), replace("key", k), replace("value", v)
        shares = np.zeros((HEADS, len(tokens), len(tokens)))
        for h in range(HEADS):
            for t in range(len(tokens)):
                e = [math.exp(sum(q[t][h] * k[s][h]) / math.sqrt(d)) for s in range(len(tokens))]
                shares[h][t] = [x / sum(e) for x in e]
        shares = replace("probability", shares)
        mixed = [
            np.concatenate([
                sum(shares[h][t][s] * v[s][h] for s in range(len(tokens))) for h in range(HEADS)
            ])
            for t in range(len(tokens))
        ]  # fmt: skip
        more = linear("attention.output.dense", replace("input", np.array(mixed)))
        name = f"{at}.attention.output.LayerNorm"
        states = [norm(x + y, name) for x, y in zip(states, more, strict=True)]
        hidden = [
            [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in row]
            for row in linear("intermediate.dense", replace("input", np.array(states)))
        ]
        more = linear("output.dense", replace("input", np.array(hidden)))
        states = [norm(x + y, f"{at}.output.LayerNorm") for x, y in zip(states, more, strict=True)]
    mean = sum(states) / len(states)
    return mean / math.sqrt(sum(mean * mean))
