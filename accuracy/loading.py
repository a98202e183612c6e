"""Language models from GGUF files: sizes from the header, weights as the values of their codes."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from amxfp4.golden.files.gguf_file import GgufFile
from amxfp4.golden.files.layouts import stored
from amxfp4.util import extras

from .model import Array, Layer, Model, Shape

__all__ = ["load"]

_NAMES = {
    "attention_norm": "attn_norm", "query": "attn_q", "key": "attn_k", "value": "attn_v",
    "output": "attn_output", "mlp_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up",
    "down": "ffn_down",
}  # fmt: skip
"""Tensors of a layer, as GGUF calls them: ``blk.N.attn_q.weight``."""
_MORE = {
    "llama": {},
    "gemma3": {
        "query_norm": "attn_q_norm", "key_norm": "attn_k_norm",
        "attention_after": "post_attention_norm", "mlp_after": "post_ffw_norm",
    },
}  # fmt: skip
"""Architectures, and the tensors of a layer that they add."""
_LOCAL_BASE, _LOCAL_LAYERS = 10_000.0, 5
"""Of Gemma 3: base of rotary positions where a window slides, and how many such layers stand before
one that sees all (arXiv 2503.19786, section 2); a GGUF file states neither."""
_BY_GGUF = ("Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
"""Types that the package ``gguf``, llama.cpp's own, decodes for us."""


def load(path: Path) -> Model:
    """Read a model, with its weights as the FP32 values that their codes stand for.

    Parameters
    ----------
    path
        GGUF file of architecture ``llama`` or ``gemma3``; tensors in F32, F16, BF16, Q8_0, Q4_0,
        Q4_1, MXFP4 or NVFP4, and where the package ``gguf`` is installed, Q5_0, Q5_1 and K types.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no GGUF file, of another architecture, or a tensor is missing or of another type.
    """
    with contextlib.closing(GgufFile(path)) as file:
        shape = _shape(file)
        coded = stored(file)

        def tensor(name: str) -> Array:
            name = f"{name}.weight"
            if name in coded:
                return coded[name].values()
            if name in file.entries and file.entries[name].dtype in _BY_GGUF:
                return _decoded(file, name)
            if name not in file.entries or file.entries[name].word is None:
                found = file.entries.get(name, "nothing")
                raise ValueError(f"tensor {name!r} must be of a type that is read, not {found}")
            return file.tensor(name).values.astype(np.float32)

        embedding = tensor("token_embd")
        names = _NAMES | _MORE[file.value("general.architecture")]
        layers = tuple(
            Layer(**{field: tensor(f"blk.{n}.{name}") for field, name in names.items()})
            for n in range(shape.layers)
        )
        head = tensor("output") if "output.weight" in file.entries else embedding
        begin = None
        if _known(file, "tokenizer.ggml.add_bos_token", False):
            begin = file.value("tokenizer.ggml.bos_token_id")
        return Model(
            name=file.metadata.get("general.name", path.stem), shape=shape, embedding=embedding,
            layers=layers, norm=tensor("output_norm"), head=head, begin=begin,
        )  # fmt: skip


def _shape(file: GgufFile) -> Shape:
    architecture = file.value("general.architecture")
    if architecture not in _MORE:
        raise ValueError(f"its architecture must be {' or '.join(_MORE)}, not {architecture!r}")

    def key(name: str) -> Any:
        return file.value(f"{architecture}.{name}")

    layers, width, heads = key("block_count"), key("embedding_length"), key("attention.head_count")
    base = key("rope.freq_base")
    sizes = {
        "layers": layers, "width": width, "heads": heads, "groups": key("attention.head_count_kv"),
        "epsilon": key("attention.layer_norm_rms_epsilon"),
    }  # fmt: skip
    if architecture == "llama":
        return Shape(
            **sizes, head=width // heads, bases=(base,) * layers, windows=(None,) * layers,
            halves=False, gate="silu", scale=1.0,
        )  # fmt: skip
    local = [n % (_LOCAL_LAYERS + 1) < _LOCAL_LAYERS for n in range(layers)]
    window = key("attention.sliding_window")
    return Shape(
        **sizes, head=key("attention.key_length"), halves=True, gate="gelu", scale=width**0.5,
        bases=tuple(_LOCAL_BASE if here else base for here in local),
        windows=tuple(window if here else None for here in local),
    )  # fmt: skip


def _known(file: GgufFile, name: str, default: Any) -> Any:
    try:
        return file.value(name)
    except ValueError:
        return default


def _decoded(file: GgufFile, name: str) -> Array:
    try:
        gguf: Any = importlib.import_module("gguf")
    except ModuleNotFoundError as error:
        raise ValueError(extras.missing("gguf", "gemma")) from error
    entry = file.entries[name]
    kind = getattr(gguf.GGMLQuantizationType, entry.dtype)
    records = file.raw(name).reshape(*entry.shape[:-1], -1)
    values: Array = gguf.quants.dequantize(records, kind)
    return values
