"""Real tensors that ship with the project: one layer of a small language model (see NOTICE)."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["blocks_of", "real_products", "real_tensors"]


def real_tensors() -> dict[str, npt.NDArray[np.float16]]:
    """Tensors of SmolLM2-135M's layer 9, float16, reduction axis last (see NOTICE)."""
    path = resources.files("amxfp4.verif") / "data" / "tensors" / "smollm2_layer9.npz"
    with path.open("rb") as file, np.load(file) as archive:
        return {name.removeprefix("L9."): archive[name] for name in archive.files}


def real_products() -> dict[str, tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]]:
    """Matrix products of the layer: a linear layer, and the attention scores of every head.

    Operands are [M, K] and [N, K]; the heads of q share one k, and stand below each other.
    """
    t = real_tensors()
    return {
        "attn_in x w_attn_v": (t["attn_in"], t["w_attn_v"]),
        "q x k": (t["q"].reshape(-1, t["q"].shape[-1]), t["k"][0]),
    }


def blocks_of(x: npt.NDArray[Any], block: int) -> npt.NDArray[Any]:
    """Blocks [n, block] of a tensor along its last axis, the last of a row filled up with +0."""
    rows = x.reshape(-1, x.shape[-1])
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % block)))
    return np.ascontiguousarray(padded).reshape(-1, block)
