"""A tiny random model of the same architecture as SmolLM2, as a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amxfp4.accuracy import predictions
from amxfp4.accuracy.model import Model, final
from amxfp4.verif.tests.golden.files.made import gguf_file

VOCABULARY, WIDTH, HIDDEN, LAYERS, HEADS, GROUPS = 48, 64, 96, 2, 4, 2
_F32, _Q4_1, _Q8_0 = 0, 3, 8
KEYS: dict[str, Any] = {
    "general.architecture": "llama", "general.name": "tiny", "llama.block_count": LAYERS,
    "llama.embedding_length": WIDTH, "llama.feed_forward_length": HIDDEN,
    "llama.attention.head_count": HEADS, "llama.attention.head_count_kv": GROUPS,
    "llama.rope.freq_base": 100.0, "llama.attention.layer_norm_rms_epsilon": 0.01,
    "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": [
        *(chr(ord("0") + n) for n in range(VOCABULARY - 3)), "a", "b", "ab",
    ],
    "tokenizer.ggml.merges": ["a b"],
}  # fmt: skip


def _codes(rng: np.random.Generator, rows: int, columns: int, kind: int, size: float) -> Any:
    """Make records of Q4_1 or Q8_0 whose values are about `size`."""
    shape = rows, columns // 32
    most = 127 if kind == _Q8_0 else 7.5
    scale = (size / most * rng.uniform(1, 3, shape)).astype("<f2")
    parts = [scale[..., None].view(np.uint8)]
    if kind == _Q4_1:
        parts.append((-7.5 * scale).astype("<f2")[..., None].view(np.uint8))
    count = 32 if kind == _Q8_0 else 16
    parts.append(rng.integers(0, 256, (*shape, count), np.uint8))
    return np.concatenate(parts, axis=-1).reshape(rows, -1)


def tensors(seed: int = 1, *, head: bool = False) -> dict[str, tuple[int, Any]]:
    """Make the tensors of a model: types, and elements or records."""
    rng = np.random.default_rng(seed)

    def norm() -> tuple[int, Any]:
        return _F32, rng.uniform(0.5, 1.5, WIDTH).astype("<f4")

    def linear(rows: int, columns: int) -> tuple[int, Any]:
        return _Q4_1, _codes(rng, rows, columns, _Q4_1, 0.2)

    made = {"token_embd.weight": (_Q8_0, _codes(rng, VOCABULARY, WIDTH, _Q8_0, 0.5))}
    inner = WIDTH // HEADS * GROUPS
    for n in range(LAYERS):
        made |= {
            f"blk.{n}.attn_norm.weight": norm(),
            f"blk.{n}.attn_q.weight": linear(WIDTH, WIDTH),
            f"blk.{n}.attn_k.weight": linear(inner, WIDTH),
            f"blk.{n}.attn_v.weight": linear(inner, WIDTH),
            f"blk.{n}.attn_output.weight": linear(WIDTH, WIDTH),
            f"blk.{n}.ffn_norm.weight": norm(),
            f"blk.{n}.ffn_gate.weight": linear(HIDDEN, WIDTH),
            f"blk.{n}.ffn_up.weight": linear(HIDDEN, WIDTH),
            f"blk.{n}.ffn_down.weight": linear(WIDTH, HIDDEN),
        }
    made["output_norm.weight"] = norm()
    if head:
        made["output.weight"] = linear(VOCABULARY, WIDTH)
    return made


def write(folder: Path, *, head: bool = False, keys: Mapping[str, Any] | None = None) -> Path:
    """Write a model, with other values of some keys."""
    path = folder / "tiny.gguf"
    path.write_bytes(gguf_file(tensors(head=head), KEYS | dict(keys or {})))
    return path


def windows(count: int = 2, window: int = 40, seed: int = 2) -> Any:
    """Make random tokens [count, window + 1]."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, (count, window + 1))


def losses(model: Model, cut: Any, *hooks: Any, perturbation: float = 0.0) -> Any:
    """Losses of windows, [n, w], with what quantizes and what multiplies."""
    states = final(model, cut[:, :-1], *hooks, perturbation=perturbation)
    return np.stack(predictions.losses(model, states, cut[:, 1:]))
