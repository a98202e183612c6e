"""A tiny random model of Gemma 3's architecture, and the same once more, token by token in FP64.

The second is written from the makers' report (arXiv 2503.19786): it shares no code with the
project, and attention is a list of the tokens that are seen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

VOCABULARY, WIDTH, HIDDEN, LAYERS, HEADS, GROUPS, HEAD, WINDOW = 24, 32, 64, 6, 4, 2, 16, 3
_F32, _Q5_0 = 0, 6
TEXTS = [
    *"<&>?",
    "\u2581",
    *"abc",
    "ab",
    "\u2581a",
    "abc",
    "\n\n",
    *(f"<0x{n:02X}>" for n in range(97, 109)),
]
KEYS: dict[str, Any] = {
    "general.architecture": "gemma3", "general.name": "tiny", "gemma3.block_count": LAYERS,
    "gemma3.embedding_length": WIDTH, "gemma3.attention.head_count": HEADS,
    "gemma3.attention.head_count_kv": GROUPS, "gemma3.attention.key_length": HEAD,
    "gemma3.attention.sliding_window": WINDOW, "gemma3.rope.freq_base": 1e6,
    "gemma3.attention.layer_norm_rms_epsilon": 0.01,
    "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": TEXTS,
    "tokenizer.ggml.scores": [0.0] * 4 + [-9.0] * 4 + [-2.0, -1.0, -3.0, 0.0] + [0.0] * 12,
    "tokenizer.ggml.token_type": [3] * 4 + [1] * 7 + [4] + [6] * 12,
    "tokenizer.ggml.add_bos_token": 1, "tokenizer.ggml.bos_token_id": 2,
    "tokenizer.ggml.add_space_prefix": 0,
}  # fmt: skip
"""Keys of a header. Without blanks at the beginning ``▁a`` is made first, then ``ab``."""


def tensors(seed: int = 1) -> dict[str, tuple[int, Any]]:
    """Make the tensors of a model; queries' weights are records of Q5_0."""
    rng = np.random.default_rng(seed)

    def norm(size: int) -> tuple[int, Any]:
        return _F32, rng.uniform(0.5, 1.5, size).astype("<f4")

    def linear(rows: int, columns: int) -> tuple[int, Any]:
        return _F32, rng.normal(0, 0.3, (rows, columns)).astype("<f4")

    def coded(rows: int, columns: int) -> tuple[int, Any]:
        scale = rng.uniform(0.01, 0.03, (rows, columns // 32, 1)).astype("<f2").view(np.uint8)
        bits = rng.integers(0, 256, (rows, columns // 32, 20), np.uint8)
        return _Q5_0, np.concatenate([scale, bits], axis=-1).reshape(rows, -1)

    made = {"token_embd.weight": linear(VOCABULARY, WIDTH), "output_norm.weight": norm(WIDTH)}
    for n in range(LAYERS):
        parts = {
            "attn_q": coded(HEADS * HEAD, WIDTH), "attn_k": linear(GROUPS * HEAD, WIDTH),
            "attn_v": linear(GROUPS * HEAD, WIDTH), "attn_output": linear(WIDTH, HEADS * HEAD),
            "ffn_gate": linear(HIDDEN, WIDTH), "ffn_up": linear(HIDDEN, WIDTH),
            "ffn_down": linear(WIDTH, HIDDEN), "attn_q_norm": norm(HEAD),
            "attn_k_norm": norm(HEAD), "attn_norm": norm(WIDTH), "ffn_norm": norm(WIDTH),
            "post_attention_norm": norm(WIDTH), "post_ffw_norm": norm(WIDTH),
        }  # fmt: skip
        made |= {f"blk.{n}.{name}.weight": tensor for name, tensor in parts.items()}
    return made


def _decoded(kind: int, stored: Any) -> Any:
    if kind == _F32:
        return stored.astype(np.float64)
    rows = []
    for row in stored:
        values = []
        for start in range(0, len(row), 22):
            record = row[start : start + 22].tobytes()
            d = float(np.frombuffer(record[:2], "<f2")[0])
            fifth = int.from_bytes(record[2:6], "little")
            low = [b & 15 for b in record[6:]] + [b >> 4 for b in record[6:]]
            values += [d * ((q | (fifth >> n & 1) << 4) - 16) for n, q in enumerate(low)]
        rows.append(values)
    return np.array(rows)


def losses(tokens: list[int]) -> list[float]:
    """Loss in nats of every token but the first."""
    w = {name.removesuffix(".weight"): _decoded(*tensor) for name, tensor in tensors().items()}

    def norm(x: Any, weight: Any) -> Any:
        return x / math.sqrt(sum(e * e for e in x) / len(x) + 0.01) * weight

    def turned(x: Any, place: int, base: float) -> Any:
        result = np.empty(HEAD)
        for i in range(HEAD // 2):
            angle = place / base ** (2 * i / HEAD)
            a, b = x[i], x[i + HEAD // 2]
            result[i] = a * math.cos(angle) - b * math.sin(angle)
            result[i + HEAD // 2] = a * math.sin(angle) + b * math.cos(angle)
        return result

    def gelu(x: float) -> float:
        return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    inputs = [KEYS["tokenizer.ggml.bos_token_id"], *tokens[:-1]]
    states = [w["token_embd"][token] * math.sqrt(WIDTH) for token in inputs]
    for n in range(LAYERS):
        part = {name: w[f"blk.{n}.{name}"] for name in (
            "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down",
            "attn_q_norm", "attn_k_norm", "attn_norm", "ffn_norm", "post_attention_norm",
            "post_ffw_norm",
        )}  # fmt: skip
        whole = n == 5
        base = 1e6 if whole else 1e4
        known: list[Any] = []
        after = []
        for t, x in enumerate(states):
            inner = norm(x, part["attn_norm"])
            q = (part["attn_q"] @ inner).reshape(HEADS, HEAD)
            k = (part["attn_k"] @ inner).reshape(GROUPS, HEAD)
            v = (part["attn_v"] @ inner).reshape(GROUPS, HEAD)
            known.append(([turned(norm(h, part["attn_k_norm"]), t, base) for h in k], v))
            seen = known if whole else known[-WINDOW:]
            mixed = []
            for h in range(HEADS):
                query, g = turned(norm(q[h], part["attn_q_norm"]), t, base), h * GROUPS // HEADS
                e = [math.exp(sum(query * keys[g]) / math.sqrt(HEAD)) for keys, _ in seen]
                mixed.append(sum(s / sum(e) * v[g] for s, (_, v) in zip(e, seen, strict=True)))
            more = part["attn_output"] @ np.concatenate(mixed)
            after.append(x + norm(more, part["post_attention_norm"]))
        states = []
        for x in after:
            inner = norm(x, part["ffn_norm"])
            gate, up = part["ffn_gate"] @ inner, part["ffn_up"] @ inner
            more = part["ffn_down"] @ np.array([gelu(g) * u for g, u in zip(gate, up, strict=True)])
            states.append(x + norm(more, part["post_ffw_norm"]))
    found = []
    for x, target in zip(states[1:], tokens[1:], strict=True):
        z = w["token_embd"] @ norm(x, w["output_norm"])
        found.append(math.log(sum(math.exp(e) for e in z)) - z[target])
    return found
