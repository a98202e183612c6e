"""Times products: the line, and the array behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from amxfp4.golden.engine import expected, operand_a, operand_b
from amxfp4.host.comparison import difference
from amxfp4.host.engine import Engine
from amxfp4.host.errors import EngineError
from amxfp4.params.engine import RECORDS

__all__ = ["Measured", "WrongProductError", "measure", "sizes"]


class WrongProductError(EngineError):
    """A timed product differs from golden."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Times and counters of a product."""

    m: int
    n: int
    k: int
    seconds: float
    """Wall clock, from operands in memory to C in memory."""
    bytes: int
    """Of A, B (all passes) and C."""
    counters: dict[str, int]
    """Of the last job, in cycles."""
    ideal: float
    """Cycles if every lane of every element worked in every cycle: M N K / (rows cols lanes)."""
    jobs: int


def sizes(engine: Engine, most: int = 1 << 18) -> Iterator[tuple[int, int, int]]:
    """Growing sizes M, N, K of whole tiles and blocks, with A and B of at most `most` elements."""
    config, identity = engine.config, engine.identity
    for tiles, steps in ((1, 1), (1, 4), (2, 2), (2, 8), (4, 8), (4, 16), (8, 32), (16, 64)):
        k = steps * config.block
        m, n = tiles * config.rows, tiles * config.cols
        if k <= identity.max_k and max(m, n) * k <= most:
            yield m, n, k


def measure(engine: Engine, m: int, n: int, k: int, *, repeat: int = 3) -> Measured:
    """Time a product: the fastest of `repeat`.

    Raises
    ------
    TooLongError
        The transport cannot carry such a product.
    WrongProductError
        The product is wrong.
    """
    config = engine.config
    rng = np.random.default_rng([m, n, k])
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (k, n)))
    qa, _ = operand_a(config, a)
    qb = operand_b(config, b)
    wanted, _ = expected(config, qa, qb)
    operand = qa if config.input == RECORDS else a
    seconds = float("inf")
    before = engine.sent
    for _ in range(max(1, repeat)):
        start = time.monotonic()
        c = engine.matmul(operand, qb)
        seconds = min(seconds, time.monotonic() - start)
        if found := difference(config, c, wanted):
            raise WrongProductError(f"product of M = {m}, N = {n}, K = {k}: {found}")
    after = engine.sent
    return Measured(
        m=m, n=n, k=k, seconds=seconds,
        bytes=(after.bytes - before.bytes) // max(1, repeat),
        jobs=(after.jobs - before.jobs) // max(1, repeat),
        counters=engine.counters(),
        ideal=m * n * k / (config.rows * config.cols * config.lanes),
    )  # fmt: skip
