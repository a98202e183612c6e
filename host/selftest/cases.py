"""Products for the selftest: directed ones, and random ones from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks, stimulus
from amxfp4.golden.blocks import by_name
from amxfp4.golden.engine import operand_a, operand_b
from amxfp4.golden.formats import words
from amxfp4.host.errors import TooLongError
from amxfp4.host.identity import Identity
from amxfp4.host.link.transport import Limits
from amxfp4.host.pieces import pieces
from amxfp4.params.engine import RECORDS, EngineConfig
from amxfp4.params.formats import block_format

__all__ = ["Case", "directed", "parts", "random_case"]

_Rng = np.random.Generator
_MOST = 20_000
"""Elements of A, and of B, of a random product: some seconds on a slow line."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Case:
    """A product to run.

    Parameters
    ----------
    name
        What it tests.
    a
        As `Engine.matmul` takes it.
    b
        Quantized; records of any content.
    keep
        As `keep_b` of `Engine.matmul`.
    again
        Whether to multiply a second time by the B that was kept.
    """

    name: str
    a: npt.NDArray[Any] | Blocks
    b: Blocks
    keep: bool | None = None
    again: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N and K."""
        return (self.a.shape[0], self.b.shape[1], self.a.shape[1])


def parts(identity: Identity, limits: Limits, case: Case) -> int:
    """Count the column ranges into which a product is cut; 0 if it cannot be carried."""
    m, n, _ = case.shape
    row = len(operand_a(identity.config, case.a)[1]) // m
    column = golden.pack(case.b).size // n
    try:
        return len(list(pieces(identity, limits, m, n, row, column)))
    except TooLongError:
        return 0


def _a(config: EngineConfig, x: npt.NDArray[np.float32]) -> npt.NDArray[Any] | Blocks:
    return operand_a(config, x)[0] if config.input == RECORDS else words(x, config.input)


def _plain(rng: _Rng, *shape: int) -> npt.NDArray[np.float32]:
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(-3, 4)).astype(np.float32)


def directed(identity: Identity, seed: int) -> Iterator[Case]:
    """Make products around the edges of an engine's tiles, blocks and memories.

    Parameters
    ----------
    identity
        Of the engine.
    seed
        Of the numbers in them.
    """
    config, rng = identity.config, np.random.default_rng([seed, 0])
    rows, cols, block = config.rows, config.cols, config.block
    most = identity.max_k
    shapes = {
        "one element": (1, 1, 1),
        "one block": (1, 1, block),
        "one tile": (rows, cols, block),
        "one beside a tile": (rows + 1, cols + 1, block + 1),
        "one short of a tile": (max(1, rows - 1), max(1, cols - 1), block - 1),
        "a row": (1, 3 * cols + 1, block + 3),
        "a column": (3 * rows + 1, 1, block + 3),
        "odd sizes": (2 * rows + 1, 2 * cols + 1, 2 * block - 5),
        "both halves": (2 * rows, 2 * cols, 2 * block),
        "largest K": (1, 2, most),
        "one short of the largest K": (2, 1, most - 1),
    }
    for name, (m, n, k) in shapes.items():
        k = min(k, most)
        a, b = _plain(rng, m, k), _plain(rng, k, n)
        yield Case(name=name, a=_a(config, a), b=operand_b(config, b))
    m, n, k = rows + 1, cols + 1, min(2 * block, most)
    fillings: dict[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]] = {
        "zeros": np.zeros_like,
        "positive only": np.abs,
        "negative only": lambda x: -np.abs(x),
        "largest numbers": lambda x: np.where(x < 0, -3.0e38, 3.0e38).astype(np.float32),
        "smallest numbers": lambda x: (x * 1e-38).astype(np.float32),
        "an infinity": lambda x: _planted(x, np.inf),
        "a NaN": lambda x: _planted(x, np.nan),
        "zero blocks": _zero_blocks,
    }
    for name, fill in fillings.items():
        a, b = _plain(rng, m, k), _plain(rng, k, n)
        yield Case(name=f"A: {name}", a=_a(config, fill(a)), b=operand_b(config, b))
        yield Case(name=f"B: {name}", a=_a(config, a), b=operand_b(config, fill(b.T).T))
    fits = 2 * config.depth_b * block // -(-n // cols) // block * block
    k = min(k, fits)
    if k:
        left, right = _a(config, _plain(rng, 2 * rows + 1, k)), operand_b(config, _plain(rng, k, n))
        yield Case(name="a kept B", a=left, b=right, keep=True, again=True)
        yield Case(name="a B in passes", a=left, b=right, keep=False)


def _planted(x: npt.NDArray[np.float32], value: float) -> npt.NDArray[np.float32]:
    x = x.copy()
    x[0, -1] = value
    return x


def _zero_blocks(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    x = x.copy()
    x[::2, : x.shape[1] // 2] = 0
    x[1::2, x.shape[1] // 2 :] = -0.0
    return x


def random_case(identity: Identity, seed: int, index: int) -> Case:
    """Make random product number `index`, from 0, of a seed: always the same one.

    Sizes are often edges of tiles and blocks. Operands are ordinary numbers, or words and records
    of every kind that golden's stimulus has.
    """
    config = identity.config
    rng = np.random.default_rng([seed, 1, index])

    def draw(size: int, most: int) -> int:
        edges = (1, size, size + 1, 2 * size - 1, 2 * size, 3 * size + 1, 5 * size)
        free = int(rng.integers(1, 5 * size + 2))
        return min(int(rng.choice([*edges, free, free])), most)

    m, n = draw(config.rows, identity.max_m), draw(config.cols, identity.max_n)
    k = draw(config.block, identity.max_k)
    if rng.random() < 0.1:
        k = identity.max_k - int(rng.integers(2))
    k = max(1, min(k, _MOST // max(m, n)))
    special = rng.random() < 0.4
    steps = -(-k // config.block)
    row_a, row_b = config.rows_ab
    a: npt.NDArray[Any] | Blocks
    if not special:
        a, b = _a(config, _plain(rng, m, k)), operand_b(config, _plain(rng, k, n))
    else:
        if config.input == RECORDS:
            a = _records(rng, row_a.name, config.block, m, k, axis=1)
        else:
            raw = stimulus.blocks(
                rng, m * steps, config.block, config.input, formats=(config.format_a,)
            )
            a = np.ascontiguousarray(raw.reshape(m, -1)[:, :k])
        b = _records(rng, row_b.name, config.block, n, k, axis=0)
    fits = -(-n // config.cols) * steps <= 2 * config.depth_b
    keep = bool(rng.integers(2)) and fits
    again = keep and bool(rng.integers(2))
    return Case(name="special" if special else "plain", a=a, b=b, keep=keep, again=again)


def _records(rng: _Rng, format: str, block: int, count: int, k: int, *, axis: int) -> Blocks:
    """Draw records of any content, with zeros beyond K."""
    row, steps = block_format(format, block), -(-k // block)
    nan = float(rng.choice([0.0, 0.02, 0.2]))
    codes, pos, other = stimulus.records(rng, count * steps, row, nan=nan)
    codes, pos = codes.reshape(count, steps * block), pos.reshape(count, steps)
    other = None if other is None else other.reshape(count, steps)
    codes[:, k:] = other[:, -1:] if row.zero_point and other is not None else 0
    shape = (count, k) if axis else (k, count)
    return Blocks(
        codes.reshape(count, steps, block), pos, format=format, shape=shape, axis=axis,
        **by_name(row, other),
    )  # fmt: skip
