"""What an engine takes and gives, byte for byte: its packets of A, B and C.

`operand_a` and `operand_b` make what goes in, `expected` computes what must come out, `pack_c` and
`unpack_c` put C into the order of its stream and back. Factors of tensors never enter an engine:
`with_factors` applies them to what it returns.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import NONE, RECORDS, EngineConfig

from .blocks import Blocks
from .checks import check_floats
from .dlpack import as_array
from .formats import values, words
from .packing import pack, unpack
from .products import matmul, scaled
from .quantizer import quantize
from .weights import refuse_weights

__all__ = [
    "Matrix",
    "bytes_of_c",
    "expected",
    "from_tiles",
    "in_tiles",
    "operand_a",
    "operand_b",
    "pack_c",
    "product",
    "unpack_c",
    "with_factors",
]

Matrix = npt.NDArray[np.float32] | Blocks
"""A product: words as numbers, or block records along N."""


def operand_a(config: EngineConfig, a: Any) -> tuple[Blocks, bytes]:
    """Make A's packet.

    Parameters
    ----------
    config
        Of the engine.
    a
        [M, K]: float32, float16 or bfloat16, rounded to the engine's words (to nearest, ties to
        even) where those are narrower; uint16 or uint32, the words themselves; or, for an engine
        that takes records, `Blocks` along axis 1.

    Returns
    -------
    What the engine makes of A, and A's bytes.

    Raises
    ------
    TypeError
        `a` is of a type that the engine does not take.
    ValueError
        `a` is not a matrix, or quantized in another way.
    """
    if config.input == RECORDS:
        blocks = _operand("A", a, config.format_a, 1, config)
        return blocks, pack(blocks).tobytes()
    if isinstance(a, Blocks):
        raise TypeError(f"A must be an array of {config.input} words for this engine, not Blocks")
    refuse_weights("A", a)
    raw = as_array("A", a)
    if raw.dtype.kind != "u":
        raw = words(check_floats("A", raw).astype(np.float32), config.input)
    blocks = _operand("A", values(raw, config.input), config.format_a, 1, config)
    return blocks, np.ascontiguousarray(raw, raw.dtype.newbyteorder("<")).tobytes()


def operand_b(config: EngineConfig, b: Any) -> Blocks:
    """Make B, of which ``pack(b).tobytes()`` is a packet.

    Parameters
    ----------
    config
        Of the engine.
    b
        [K, N]: float32, float16 or bfloat16, quantized along K; or `Blocks` along axis 0.

    Raises
    ------
    TypeError, ValueError
        As `operand_a`.
    """
    return _operand("B", b, config.format_b, 0, config)


def _operand(name: str, x: Any, format: str, axis: int, config: EngineConfig) -> Blocks:
    """Quantize a matrix as an engine reads it, or check that it is quantized so."""
    refuse_weights(name, x)
    if not isinstance(x, Blocks):
        x = check_floats(name, x)
    shape = x.shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{name} must be a matrix with elements, not of shape {shape}")
    if not isinstance(x, Blocks):
        return quantize(x, format, axis=axis, ties=config.ties, block=config.block)
    if (x.format, x.block, x.axis) != (format, config.block, axis):
        raise ValueError(
            f"{name} must be quantized as {format} in blocks of {config.block} along axis {axis}, "
            f"not as {x.format} in blocks of {x.block} along axis {x.axis}"
        )
    return x


def product(
    config: DotConfig, a: Blocks, b: Blocks
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """Multiply as an array or engine of `config` does: `amxfp4.golden.matmul` without factors.

    Returns
    -------
    float32 [M, N]; and the flags, bool [M, N, 2] (inexact, overflow), ``None`` unless in the mode
    ``fixed``.
    """
    c = matmul(
        a.plain, b.plain, config.acc, config.output,
        frac_bits=config.frac_bits, int_bits=config.int_bits,
    )  # fmt: skip
    return c if isinstance(c, tuple) else (c, None)


def expected(config: EngineConfig, a: Blocks, b: Blocks) -> tuple[Matrix, tuple[str, ...]]:
    """Compute what an engine must return for operands of `operand_a` and `operand_b`.

    Returns
    -------
    C [M, N], as block records where the engine requantizes; and the names of the flags that the
    product raises, out of ``acc_inexact`` and ``acc_overflow``.
    """
    c, flags = product(config, a, b)
    raised = () if flags is None else np.flatnonzero(flags.any(axis=(0, 1)))
    return with_factors(config, _requantized(config, c), a, b), tuple(
        ("acc_inexact", "acc_overflow")[i] for i in raised
    )


def with_factors(config: EngineConfig, c: Matrix, a: Blocks, b: Blocks) -> Matrix:
    """Apply the factors of the operands' tensors to what an engine of `config` returns."""
    if isinstance(c, Blocks):
        return dataclasses.replace(c, tensor_scale=float(a.factor * b.factor))
    return scaled(c, a, b, config.output)


def _requantized(config: EngineConfig, c: Matrix) -> Matrix:
    if config.requantize == NONE or isinstance(c, Blocks):
        return c
    return quantize(c, config.requantize, axis=1, ties=config.ties, block=config.block)


def bytes_of_c(config: EngineConfig, m: int, n: int) -> int:
    """Bytes of C's packet."""
    if config.row_c is not None:
        return m * -(-n // config.block) * config.row_c.record_bytes
    return m * n * config.word.width // 8


def pack_c(config: EngineConfig, c: Matrix) -> bytes:
    """C's packet: C [M, N] in the order of tiles, requantized first where the engine does so."""
    c = _requantized(config, c)
    if isinstance(c, Blocks):
        return in_tiles(pack(c), config.rows, 1).tobytes()
    raw = words(c, config.output)
    return in_tiles(raw.astype(raw.dtype.newbyteorder("<")), config.rows, config.cols).tobytes()


def unpack_c(config: EngineConfig, raw: bytes, m: int, n: int) -> Matrix:
    """C [M, N] of a packet, its rows in order again; the inverse of `pack_c`.

    Raises
    ------
    ValueError
        The packet is not of the length that C has.
    """
    size = bytes_of_c(config, m, n)
    if len(raw) != size:
        raise ValueError(f"raw must be of {size} bytes for C of {[m, n]}, not {len(raw)}")
    if config.row_c is not None:
        stream = np.frombuffer(raw, np.uint8).reshape(-1, config.row_c.record_bytes)
        records = from_tiles(stream, m, -(-n // config.block), config.rows, 1)
        return unpack(records, config.requantize, (m, n), axis=1, block=config.block)
    dtype = np.dtype(f"u{config.word.width // 8}")
    elements = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
    return values(from_tiles(elements, m, n, config.rows, config.cols), config.output)


def in_tiles(c: npt.NDArray[Any], rows: int, cols: int) -> npt.NDArray[Any]:
    """Elements [M, N, ...] in the order in which C leaves, [M N, ...].

    For each row tile, for each column tile, for each row of the tile, for each column of it: tiles
    are of `rows` x `cols` elements, and smaller at the right and at the bottom.

    Examples
    --------
    >>> in_tiles(np.arange(15).reshape(3, 5), 2, 3)
    array([ 0,  1,  2,  5,  6,  7,  3,  4,  8,  9, 10, 11, 12, 13, 14])
    """
    m, n = c.shape[:2]
    return c.reshape(m * n, *c.shape[2:])[_order(m, n, rows, cols)]


def from_tiles(stream: npt.NDArray[Any], m: int, n: int, rows: int, cols: int) -> npt.NDArray[Any]:
    """Elements [M N, ...] of `in_tiles`, as a matrix [M, N, ...] again."""
    c = np.empty_like(stream)
    c[_order(m, n, rows, cols)] = stream
    return c.reshape(m, n, *stream.shape[1:])


def _order(m: int, n: int, rows: int, cols: int) -> npt.NDArray[np.intp]:
    """Index, row by row, of each element of the stream."""
    tile = np.arange(m)[:, None] // rows * -(-n // cols) + np.arange(n) // cols
    # A stable sort by the number of the tile leaves the elements of one in their order.
    return np.argsort(tile, axis=None, kind="stable")
