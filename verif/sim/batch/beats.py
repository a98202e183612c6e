"""Blocks as NumPy arrays to beats of a stream and back; beats are rows of 32-bit words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from amxfp4.golden import blocks
from amxfp4.golden.blocks import Shared
from amxfp4.params.formats import BlockFormat

__all__ = [
    "by_name",
    "from_bytes",
    "pack_records",
    "split_records",
    "to_bytes",
    "to_words",
    "words_to_beats",
]


def from_bytes(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Payloads of whole bytes [n, bytes], low byte first, as beats [n, words]."""
    n, size = raw.shape
    padded = np.zeros((n, -(-size // 4) * 4), np.uint8)
    padded[:, :size] = raw
    return padded.view("<u4").astype(np.uint32, copy=False)


def to_bytes(beats: npt.NDArray[np.uint32], size: int) -> npt.NDArray[np.uint8]:
    """First `size` bytes of every beat [n, words], low byte first, as [n, size]."""
    raw = np.ascontiguousarray(beats, dtype="<u4").view(np.uint8)
    return np.ascontiguousarray(raw[:, :size])


def words_to_beats(words: npt.NDArray[np.unsignedinteger], lanes: int) -> npt.NDArray[np.uint32]:
    """Blocks of tensor words as beats: word j of a beat at bits [W*j+W-1 : W*j].

    Parameters
    ----------
    words : uint16 or uint32 [n, K]
        W is the width of the type.
    lanes
        Words per beat; divides K.

    Returns
    -------
    beats : uint32 [n * K / lanes, ceil(W * lanes / 32)]
    """
    width = words.dtype.itemsize
    little = np.ascontiguousarray(words, dtype=words.dtype.newbyteorder("<"))
    return from_bytes(little.view(np.uint8).reshape(-1, lanes * width))


def to_words(
    beats: npt.NDArray[np.uint32], width: int, lanes: int, block: int
) -> npt.NDArray[np.unsignedinteger]:
    """Undo `words_to_beats`: beats to words [n, block] of `width` bits, 16 or 32."""
    size = width // 8
    raw = to_bytes(beats, lanes * size)
    return raw.view(f"<u{size}").reshape(-1, block)


def pack_records(
    codes: npt.NDArray[np.uint8],
    scale_pos: npt.NDArray[np.uint8],
    other: npt.NDArray[np.uint8] | None,
) -> npt.NDArray[np.uint8]:
    """Block records as bytes; any bit pattern, not only what a quantizer writes.

    Element i is at bits [4i+3 : 4i]; the scales follow, the positive one first, or the scale
    and the zero point.

    Parameters
    ----------
    codes : uint8 [n, K], 0..15
    scale_pos, other : uint8 [n]
        `other` is None where a record has no second byte.

    Returns
    -------
    records : uint8 [n, record_bytes]
    """
    pairs = codes[:, 0::2] | (codes[:, 1::2] << 4)
    shared = [scale_pos] if other is None else [scale_pos, other]
    return np.concatenate([pairs, np.stack(shared, axis=1)], axis=1).astype(np.uint8)


def by_name(row: BlockFormat, other: npt.NDArray[np.uint8] | None) -> Shared:
    """Name the second byte of records, as `amxfp4.golden` does; of a zero point four bits count."""
    if row.zero_point and other is not None:
        other = other & np.uint8(row.element.max_magnitude)
    return blocks.by_name(row, other)


def split_records(
    raw: npt.NDArray[np.uint8], block: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Block records as bytes to codes [n, block] and what they share [n, 1 or 2]."""
    pairs = raw[:, : block // 2]
    codes = np.empty((len(raw), block), np.uint8)
    codes[:, 0::2] = pairs & 15
    codes[:, 1::2] = pairs >> 4
    return codes, raw[:, block // 2 :]
