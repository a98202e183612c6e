"""The same model once more, token by token in FP64, from the bytes of the file on.

Written as the model's makers do, not as llama.cpp: rows of W_q and W_k go back into their order, in
which the first and the second half of a head are a pair (`rotate_half`); attention looks back at a
list of earlier keys, so that it needs no mask. It shares no code with the project.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Replace = Callable[[str, Any], Any]
"""Takes the name of an operand and its values; returns what is multiplied in their place."""


def decoded(kind: int, stored: Any) -> Any:
    """Values of a tensor of F32, or of records of Q8_0 or Q4_1."""
    if kind == 0:
        return stored.astype(np.float64)
    rows = []
    for row in stored:
        values = []
        size = {8: 34, 3: 20}[kind]
        for start in range(0, len(row), size):
            record = row[start : start + size].tobytes()
            d = float(np.frombuffer(record[:2], "<f2")[0])
            if kind == 8:
                values += [d * (byte - 256 if byte > 127 else byte) for byte in record[2:]]
            else:
                m = float(np.frombuffer(record[2:4], "<f2")[0])
                values += [d * (byte & 15) + m for byte in record[4:]]
                values += [d * (byte >> 4) + m for byte in record[4:]]
        rows.append(values)
    return np.array(rows)


def unpermuted(weight: Any, heads: int) -> Any:
    """Rows in the order of before llama.cpp's converter."""
    d = weight.shape[0] // heads
    rows = [h * d + 2 * i + half for h in range(heads) for half in (0, 1) for i in range(d // 2)]
    return weight[rows]


def losses(
    tensors: Mapping[str, tuple[int, Any]],
    keys: Mapping[str, Any],
    tokens: list[int],
    replace: Replace = lambda _, x: x,
) -> list[float]:
    """Loss in nats of every token but the first."""
    w = {name.removesuffix(".weight"): decoded(*tensor) for name, tensor in tensors.items()}
    layers, width = keys["llama.block_count"], keys["llama.embedding_length"]
    heads, groups = keys["llama.attention.head_count"], keys["llama.attention.head_count_kv"]
    d = width // heads
    epsilon = float(np.float32(keys["llama.attention.layer_norm_rms_epsilon"]))

    def norm(x: Any, weight: Any) -> Any:
        return np.array([e * g for e, g in zip(x, weight, strict=True)]) / math.sqrt(
            sum(e * e for e in x) / len(x) + epsilon
        )

    def rotated(x: Any, position: int) -> Any:
        """Of a head: x cos + rotate_half(x) sin, both halves with the same angles."""
        angles = [position / keys["llama.rope.freq_base"] ** (2 * i / d) for i in range(d // 2)] * 2
        half = [*(-x[d // 2 :]), *x[: d // 2]]
        return np.array(
            [x[i] * math.cos(angles[i]) + half[i] * math.sin(angles[i]) for i in range(d)]
        )

    def paired(x: Any) -> Any:
        """Put a head's elements into the order of the file, in which its blocks are."""
        return np.array([x[i // 2 + (i % 2) * (d // 2)] for i in range(d)])

    inputs = tokens[:-1]
    states = [w["token_embd"][token] for token in inputs]
    for n in range(layers):
        part = {name: w[f"blk.{n}.{name}"] for name in (
            "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down",
            "attn_norm", "ffn_norm",
        )}  # fmt: skip
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            part[name] = replace("weight", part[name])
        part["attn_q"] = unpermuted(part["attn_q"], heads)
        part["attn_k"] = unpermuted(part["attn_k"], groups)
        inner = replace("input", np.array([norm(x, part["attn_norm"]) for x in states]))

        def heads_of(name: str, count: int, inner: Any = inner, part: Any = part) -> Any:
            return [[part[name][h * d : h * d + d] @ x for h in range(count)] for x in inner]

        queries = [[rotated(q, t) for q in qs] for t, qs in enumerate(heads_of("attn_q", heads))]
        known = [[rotated(k, t) for k in ks] for t, ks in enumerate(heads_of("attn_k", groups))]
        queries = replace("query", np.array([[paired(q) for q in qs] for qs in queries]))
        known = replace("key", np.array([[paired(k) for k in ks] for ks in known]))
        values = replace("value", np.array(heads_of("attn_v", groups)))
        shares = np.zeros((heads, len(inputs), len(inputs)))
        for h in range(heads):
            for t in range(len(inputs)):
                scores = [
                    math.exp(sum(queries[t][h] * known[s][h * groups // heads]) / math.sqrt(d))
                    for s in range(t + 1)
                ]
                shares[h, t, : t + 1] = [score / sum(scores) for score in scores]
        shares = replace("probability", shares)
        mixed = np.array([
            np.concatenate([
                sum(shares[h][t][s] * values[s][h * groups // heads] for s in range(len(inputs)))
                for h in range(heads)
            ])
            for t in range(len(inputs))
        ])  # fmt: skip
        mixed = replace("input", mixed)
        states = [x + part["attn_output"] @ y for x, y in zip(states, mixed, strict=True)]
        inner = replace("input", np.array([norm(x, part["ffn_norm"]) for x in states]))
        hidden = []
        for x in inner:
            gate, up = part["ffn_gate"] @ x, part["ffn_up"] @ x
            hidden.append([g / (1 + math.exp(-g)) * u for g, u in zip(gate, up, strict=True)])
        hidden = replace("input", np.array(hidden))
        states = [x + part["ffn_down"] @ y for x, y in zip(states, hidden, strict=True)]
    found = []
    for x, target in zip(states, tokens[1:], strict=True):
        logits = w.get("output", w["token_embd"]) @ norm(x, w["output_norm"])
        found.append(math.log(sum(math.exp(z) for z in logits)) - logits[target])
    return found
