"""Files made byte by byte, by hand: what tests read with the project's own readers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

RECORD = {8: (34, 32), 6: (22, 32), 2: (18, 32), 3: (20, 32), 39: (17, 32), 40: (36, 64)}
"""Bytes and elements of a record of GGUF's types of blocks."""


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


_KINDS = {int: 5, float: 6, str: 8}


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _text(value)
    return struct.pack("<i" if isinstance(value, int) else "<f", value)


def gguf_file(
    tensors: Mapping[str, tuple[int, Any]], keys: Mapping[str, Any] | None = None
) -> bytes:
    """Make a GGUF file of tensors: type, and elements or records [..., bytes] of blocks.

    Values of keys are integers, floats, texts, or lists of one of these.
    """
    keys = keys or {}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        head += _text(key)
        if isinstance(value, list):
            kind = _KINDS[type(value[0])]
            head += struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(_value, value))
        else:
            head += struct.pack("<I", _KINDS[type(value)]) + _value(value)
    body = b""
    for name, (kind, array) in tensors.items():
        shape = array.shape
        if kind in RECORD and array.dtype == np.uint8:
            size, elements = RECORD[kind]
            shape = (*shape[:-1], shape[-1] // size * elements)
        head += _text(name) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        head += struct.pack("<IQ", kind, len(body))
        body += array.tobytes()
        body += bytes(-len(body) % 32)
    return head + bytes(-len(head) % 32) + body


def codes_of(block: int) -> npt.NDArray[np.uint8]:
    """Element codes [256, 2 * block], every code in every row."""
    rows = np.tile(np.arange(16, dtype=np.uint8), (256, 2 * block // 16))
    return np.random.default_rng(1).permuted(rows, axis=1)


def scales_of() -> npt.NDArray[np.uint8]:
    """Scale codes [256, 2] of the blocks of `codes_of`: row r has code r."""
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 2, axis=1)
