"""Bytes of codes of 4 and of 3 bits: a stream of bits for each group, lowest bit first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from amxfp4.golden.nibbles import join_nibbles, split_nibbles

__all__ = ["bytes_of", "pack_codes", "unpack_codes"]

_TOGETHER = 8
"""Codes of 3 bits that fill whole bytes, three of them."""
# Eight codes are one number of 64 bits, and move together in pairs: 2 x 3 bits, 2 x 6, 2 x 12.
_SHIFTS = (8 - 3, 16 - 6, 32 - 12)
_MASKS = (0x003F003F003F003F, 0x00000FFF00000FFF, 0x0000000000FFFFFF)
_APART = 0x0707070707070707


def bytes_of(count: int, bits: int) -> int:
    """Bytes of a group of `count` codes."""
    return -(-count * bits // 8)


def pack_codes(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Pack codes [..., n] of 4 or 3 bits into bytes [..., ceil(n * bits / 8)].

    Code i is at bits [bits * i + bits - 1 : bits * i] of a little-endian number; what is left of
    the last byte is 0. Codes of 4 bits so are two to a byte, low nibble first.

    Examples
    --------
    >>> pack_codes(np.array([1, 2, 15], np.uint8), 4)
    array([33, 15], dtype=uint8)
    >>> [f"{byte:08b}" for byte in pack_codes(np.array([1, 2, 7], np.uint8), 3)]
    ['11010001', '00000001']
    """
    count = codes.shape[-1]
    whole = -(-count // _TOGETHER) * _TOGETHER
    if whole != count:
        padded = np.zeros((*codes.shape[:-1], whole), np.uint8)
        padded[..., :count] = codes
        codes = padded
    if bits == 4:
        packed = join_nibbles(codes)
    else:
        words = np.ascontiguousarray(codes).view("<u8")
        for shift, mask in zip(_SHIFTS, _MASKS, strict=True):
            words = (words | words >> np.uint64(shift)) & np.uint64(mask)
        three = words.astype("<u4").view(np.uint8).reshape(*words.shape, 4)[..., :3]
        packed = three.reshape(*codes.shape[:-1], -1)
    return packed[..., : bytes_of(count, bits)]


def unpack_codes(raw: npt.NDArray[np.uint8], bits: int, count: int) -> npt.NDArray[np.uint8]:
    """Unpack bytes [..., ceil(count * bits / 8)] into codes [..., count]."""
    if bits == 4:
        return np.ascontiguousarray(split_nibbles(raw)[..., :count])
    threes = -(-raw.shape[-1] // 3)
    whole = np.zeros((*raw.shape[:-1], 3 * threes), np.uint8)
    whole[..., : raw.shape[-1]] = raw
    padded = np.zeros((*raw.shape[:-1], threes, _TOGETHER), np.uint8)
    padded[..., :3] = whole.reshape(*raw.shape[:-1], threes, 3)
    words = padded.view("<u8")
    for shift, mask in zip(_SHIFTS[::-1], (*_MASKS[1::-1], _APART), strict=True):
        words |= words << np.uint64(shift)
        words &= np.uint64(mask)
    return np.ascontiguousarray(padded.reshape(*raw.shape[:-1], -1)[..., :count])
