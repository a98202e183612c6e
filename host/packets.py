"""From matrices to the bytes of the engine's streams, and back (docs/engine.md, A job)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.formats import values, words
from amxfp4.host.errors import TooLongError
from amxfp4.host.identity import Identity
from amxfp4.host.link.transport import Limits
from amxfp4.params.engine import NONE, RECORDS, EngineConfig

__all__ = [
    "Matrix", "Piece", "assemble", "bytes_of_c", "expected", "operand_a", "operand_b", "pieces",
]  # fmt: skip

Matrix = npt.NDArray[np.float32] | Blocks
"""A product: words as numbers, or block records along N."""


def _floats(name: str, x: Any) -> npt.NDArray[np.float32]:
    array = np.asarray(x)
    if array.dtype.name not in ("float32", "float16", "bfloat16"):
        raise TypeError(f"{name} must be float32, float16 or bfloat16, not {array.dtype.name}")
    return array.astype(np.float32)


def _matrix(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{name} must be a matrix with elements, not of shape {shape}")


def _check_blocks(name: str, b: Blocks, format: str, block: int, axis: int) -> None:
    """Refuse a quantized operand that the engine would read as something else."""
    have = (b.format, b.block, b.axis)
    if have != (format, block, axis):
        raise ValueError(
            f"{name} must be quantized as {format} in blocks of {block} along axis {axis}, not as "
            f"{have[0]} in blocks of {have[1]} along axis {have[2]}"
        )


def operand_a(config: EngineConfig, a: Any) -> tuple[Blocks, bytes]:
    """Make A's packet.

    Parameters
    ----------
    config
        Of the engine.
    a
        [M, K]: float32, float16 or bfloat16, rounded to the engine's words (to nearest, ties to
        even) where those are narrower; uint16 or uint32, the words themselves; or `Blocks` along
        axis 1, for an engine that takes records.

    Returns
    -------
    What the engine makes of A, and A's bytes.
    """
    if config.input == RECORDS:
        if not isinstance(a, Blocks):
            a = _floats("A", a)
            _matrix("A", a.shape)
            a = golden.quantize(a, config.format_a, axis=1, ties=config.ties, block=config.block)
        _matrix("A", a.shape)
        _check_blocks("A", a, config.format_a, config.block, 1)
        return a, golden.pack(a).tobytes()
    if isinstance(a, Blocks):
        raise TypeError(f"A must be an array of {config.input} words for this engine, not Blocks")
    raw = np.asarray(a)
    if raw.dtype.kind != "u":
        raw = words(_floats("A", raw), config.input)
    _matrix("A", raw.shape)
    x = values(raw, config.input).reshape(raw.shape)
    blocks = golden.quantize(x, config.format_a, axis=1, ties=config.ties, block=config.block)
    return blocks, np.ascontiguousarray(raw, raw.dtype.newbyteorder("<")).tobytes()


def operand_b(config: EngineConfig, b: Any) -> Blocks:
    """Quantize B [K, N] (float32, float16 or bfloat16) along K, or check `Blocks` along axis 0."""
    if isinstance(b, Blocks):
        _matrix("B", b.shape)
        _check_blocks("B", b, config.format_b, config.block, 0)
        return b
    x = _floats("B", b)
    _matrix("B", x.shape)
    return golden.quantize(x, config.format_b, axis=0, ties=config.ties, block=config.block)


def expected(config: EngineConfig, a: Blocks, b: Blocks) -> tuple[Matrix, tuple[str, ...]]:
    """Compute by the golden model what the engine must return, and which flags it must raise."""
    names: tuple[str, ...] = ()
    if config.acc == "fixed":
        c, flags = golden.matmul(
            a, b, "fixed", config.output, frac_bits=config.frac_bits, int_bits=config.int_bits
        )
        raised = zip(("acc_inexact", "acc_overflow"), np.moveaxis(flags, -1, 0), strict=True)
        names = tuple(name for name, flag in raised if flag.any())
    else:
        product = golden.matmul(a, b, config.acc, config.output)
        assert isinstance(product, np.ndarray)
        c = product
    if config.requantize == NONE:
        return c, names
    q = golden.quantize(c, config.requantize, axis=1, ties=config.ties, block=config.block)
    return q, names


def bytes_of_c(config: EngineConfig, m: int, n: int) -> int:
    """Bytes of C's packet."""
    if config.row_c is not None:
        return m * -(-n // config.block) * config.row_c.record_bytes
    return m * n * config.word.width // 8


def assemble(config: EngineConfig, raw: bytes, m: int, n: int) -> Matrix:
    """Put C's packet in the order of rows: it comes tile by tile."""
    rows = config.rows
    if config.row_c is not None:
        across, size = -(-n // config.block), config.row_c.record_bytes
        stream = np.frombuffer(raw, np.uint8).reshape(-1, size)
        records = np.empty((m, across, size), np.uint8)
        at = 0
        for top in range(0, m, rows):
            high = min(rows, m - top)
            tile = stream[at : at + high * across].reshape(across, high, size)
            records[top : top + high] = tile.transpose(1, 0, 2)
            at += high * across
        return golden.unpack(records, config.requantize, (m, n), axis=1, block=config.block)
    size = config.word.width // 8
    elements = np.frombuffer(raw, np.dtype(f"<u{size}")).astype(f"u{size}")
    c = np.empty((m, n), elements.dtype)
    at = 0
    for top in range(0, m, rows):
        high = min(rows, m - top)
        for left in range(0, n, config.cols):
            wide = min(config.cols, n - left)
            words_of_tile = elements[at : at + high * wide].reshape(high, wide)
            c[top : top + high, left : left + wide] = words_of_tile
            at += high * wide
    return values(c, config.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Part of a product that is one job: rows and columns of C."""

    top: int
    left: int
    m: int
    n: int


def pieces(
    identity: Identity, limits: Limits, m: int, n: int, row_bytes: int, column_bytes: int
) -> Iterator[list[Piece]]:
    """Cut a product into jobs that the engine and the transport can take.

    Parameters
    ----------
    identity, limits
        Of engine and transport.
    m, n
        Of the product.
    row_bytes, column_bytes
        Of a row of A and a column of B.

    Yields
    ------
    The jobs of the same columns of B, from top to bottom, so that these columns can be kept.

    Raises
    ------
    TooLongError
        Not even a row and a column fit.
    """
    config = identity.config
    high = _fitting("a row of A", m, identity.max_m, row_bytes, limits.a, limits)
    wide = _fitting("a column of B", n, identity.max_n, column_bytes, limits.b, limits)
    unit = 1 if config.requantize == NONE else config.block
    while limits.c is not None and bytes_of_c(config, high, wide) > limits.c:
        if high > 1:
            high = max(1, min(high - 1, limits.c // bytes_of_c(config, 1, wide)))
        elif wide > unit:
            wide = max(unit, wide // 2)
        else:
            _fitting("an element of C", 1, 1, bytes_of_c(config, 1, 1), limits.c, limits)
            break
    # Whole tiles, where there is a choice; blocks of C along N must stay in one piece.
    high = high if high >= m else high // config.rows * config.rows or high
    if wide < n:
        wide = wide // config.cols * config.cols or wide
        if unit > 1 and wide < unit:
            _fitting(f"{unit} columns of B", n, n, column_bytes * unit, limits.b, limits)
        wide = max(unit, wide // unit * unit)
    for left in range(0, n, wide):
        yield [
            Piece(top=top, left=left, m=min(high, m - top), n=min(wide, n - left))
            for top in range(0, m, high)
        ]


def _fitting(what: str, count: int, most: int, size: int, limit: int | None, of: Limits) -> int:
    """How many of `count` fit at once, `most` at most, each of `size` bytes."""
    fits = min(count, most) if limit is None else min(count, most, limit // size)
    if fits < 1:
        raise TooLongError(f"{what} must be at most {limit} bytes here, not {size}: {of.advice}")
    return fits
