"""Matrix products on an engine, over any transport."""

from __future__ import annotations

from typing import Any

import numpy as np

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.engine import Matrix, operand_a, operand_b, unpack_c, with_factors
from amxfp4.host.driver import Driver, Packets
from amxfp4.host.pieces import Piece, pieces
from amxfp4.params.engine import NONE

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
            default if it fits and there is more than one row tile, or if it was kept before.

        Returns
        -------
        float32 [M, N], or with an engine that requantizes `Blocks` along axis 1.

        Raises
        ------
        TypeError, ValueError
            An operand is invalid, K is too large, or a B to keep does not fit.
        HostError
            The board does not work.
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
        whole, unit = None, 1 if config.requantize == NONE else config.block
        for columns in pieces(identity, self.transport.limits, m, n, row, column):
            # A B that was kept stays for the next product, even if this one has few rows.
            keep = self._keeps(columns, k, keep_b) or (kept is not None and keep_b is not False)
            part_b = raw_b[columns[0].left * column :][: columns[0].n * column]
            for number, piece in enumerate(columns):
                reuse = kept is not None or (keep and number > 0)
                passes = 0 if reuse else 1 if keep else -(-piece.m // config.rows)
                packets = Packets(
                    m=piece.m, n=piece.n, k=k, a=raw_a[piece.top * row :][: piece.m * row],
                    b=[part_b] * passes, keep=keep, reuse=reuse,
                )  # fmt: skip
                part = unpack_c(config, self.run(packets), piece.m, piece.n)
                c = golden.pack(part) if isinstance(part, Blocks) else part
                if whole is None:
                    whole = np.empty((m, -(-n // unit), *c.shape[2:]), c.dtype)
                at = piece.left // unit
                whole[piece.top : piece.top + piece.m, at : at + c.shape[1]] = c
            if keep and columns[0].n == n:
                self._kept = quantized, raw_b
        assert whole is not None
        product: Matrix = whole
        if unit != 1:
            product = golden.unpack(whole, config.requantize, (m, n), axis=1, block=unit)
        return with_factors(config, product, qa, quantized)

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
