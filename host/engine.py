"""The driver: products on an engine, whatever leads to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.engine import Matrix, operand_a, operand_b, unpack_c
from amxfp4.host.driver import Driver, Packets
from amxfp4.host.pieces import Piece, pieces

__all__ = ["Engine"]


class Engine(Driver):
    """An engine that multiplies matrices: C[M, N] = A[M, K] B[K, N].

    As `Driver`, with products of any size.

    Examples
    --------
    ::

        with open_engine("/dev/ttyUSB0") as e:
            c = e.matmul(a, b)
    """

    _kept: tuple[Blocks, bytes] | None = None

    def recover(self, *, hard: bool = False) -> None:  # noqa: D102 (inherited)
        self._kept = None
        super().recover(hard=hard)

    def matmul(self, a: Any, b: Any = None, *, keep_b: bool | None = None) -> Matrix:
        """Multiply, in as many jobs as it takes.

        Parameters
        ----------
        a
            A [M, K]: float32, float16 or bfloat16, rounded to the engine's words; uint16 or uint32,
            the words themselves; for an engine that takes records also `Blocks` along axis 1.
        b
            B [K, N]: float32, float16 or bfloat16, which golden quantizes, or `Blocks` along axis
            0. ``None`` for the B of the product before, which must have kept it.
        keep_b
            Whether B stays in the engine, for further row tiles and for the next product. By
            default as soon as it fits and serves more than one row tile, and if it was kept before.

        Returns
        -------
        float32 [M, N], or with an engine that requantizes `Blocks` along axis 1.

        Raises
        ------
        TypeError, ValueError
            An operand is not what it must be, K is too large, or a B to keep does not fit.
        HostError
            The board does not do as it must.
        """
        config, identity = self.config, self.identity
        qa, raw_a = operand_a(config, a)
        (m, k) = qa.shape
        if k > identity.max_k:
            raise ValueError(
                f"K must be at most {identity.max_k} for this engine (max_k), not {k}: cut it, and "
                "add the products"
            )
        kept = self._kept if b is None else None
        if b is None and kept is None:
            raise ValueError("b must be given: no B of a single job was kept by the product before")
        if kept is None:
            quantized = operand_b(config, b)
            raw_b = golden.pack(quantized).tobytes()
        else:
            quantized, raw_b = kept
        if quantized.shape[0] != k:
            raise ValueError(f"B must be [{k}, N] for A of {[m, k]}, not {list(quantized.shape)}")
        n = quantized.shape[1]
        row, column = len(raw_a) // m, len(raw_b) // n
        self.flags, self._kept = (), None
        result = _Result(m, n)
        for columns in pieces(identity, self.transport.limits, m, n, row, column):
            # A B that is there serves on; how few rows it serves now says nothing of the next ones.
            keep = self._keeps(columns, k, keep_b) or (kept is not None and keep_b is not False)
            part_b = raw_b[columns[0].left * column :][: columns[0].n * column]
            for number, piece in enumerate(columns):
                reuse = kept is not None or (keep and number > 0)
                passes = 0 if reuse else 1 if keep else -(-piece.m // config.rows)
                packets = Packets(
                    m=piece.m, n=piece.n, k=k, a=raw_a[piece.top * row :][: piece.m * row],
                    b=[part_b] * passes, keep=keep, reuse=reuse,
                )  # fmt: skip
                result.put(piece, unpack_c(config, self.run(packets), piece.m, piece.n))
            if keep and columns[0].n == n:
                self._kept = quantized, raw_b
        return result.whole()

    def _keeps(self, columns: list[Piece], k: int, wanted: bool | None) -> bool:
        config = self.config
        n, room = columns[0].n, 2 * config.depth_b
        size = -(-n // config.cols) * -(-k // config.block)
        if wanted and size > room:
            raise ValueError(
                f"keep_b must be False for N = {n} and K = {k}: B takes {size} blocks of a column, "
                f"and the engine keeps {room}"
            )
        rows = sum(piece.m for piece in columns)
        return size <= room and rows > config.rows if wanted is None else wanted


class _Result:
    """C, put together from pieces."""

    def __init__(self, m: int, n: int) -> None:
        self._shape = (m, n)
        self._parts: list[tuple[Piece, Matrix]] = []

    def put(self, piece: Piece, part: Matrix) -> None:
        self._parts.append((piece, part))

    def whole(self) -> Matrix:
        if len(self._parts) == 1:
            return self._parts[0][1]
        blocks = [part for _, part in self._parts if isinstance(part, Blocks)]
        if not blocks:
            c = np.empty(self._shape, np.float32)
            for piece, part in self._parts:
                assert not isinstance(part, Blocks)
                c[piece.top : piece.top + piece.m, piece.left : piece.left + piece.n] = part
            return c
        size, form = blocks[0].block, blocks[0].format
        raw: npt.NDArray[np.uint8] = np.empty(
            (self._shape[0], -(-self._shape[1] // size), golden.pack(blocks[0]).shape[-1]), np.uint8
        )
        for piece, part in self._parts:
            assert isinstance(part, Blocks)
            at = piece.left // size
            records = golden.pack(part)
            raw[piece.top : piece.top + piece.m, at : at + records.shape[1]] = records
        return golden.unpack(raw, form, self._shape, axis=1, block=size)
