"""Cuts products into jobs that an engine and its transport can take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amxfp4.golden.engine import bytes_of_c
from amxfp4.host.errors import TooLongError
from amxfp4.host.identity import Identity
from amxfp4.host.link.transport import Limits
from amxfp4.params.engine import NONE

__all__ = ["Piece", "pieces"]


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
