"""A whole matrix product through the array, tile by tile, every word checked against golden."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks, formats
from amxfp4.golden.blocks import by_name
from amxfp4.golden.engine import in_tiles, product
from amxfp4.params.array import ArrayConfig
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.products.products import check_products, packed_results, regroup

__all__ = ["Product", "through_rtl"]

_STEPS = 1 << 14
"""Steps that go through the simulator in one call: progress is seen, memory stays bounded."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A matrix product that the RTL and the golden model agree on."""

    words: npt.NDArray[np.unsignedinteger]
    """Result words [M, N]."""
    flags: npt.NDArray[np.bool_] | None
    """Inexact and overflow [M, N, 2] in fixed mode."""
    tiles: int
    cycles: int
    """Of the array, filling and draining included."""
    ideal_cycles: int
    """Tiles times blocks times K / lanes."""
    macs: int
    """Multiplications of the product itself, without padding."""
    utilization: float
    """MACs over what the array's lanes could have done in `cycles`."""
    seconds: float
    """Golden, simulation and comparison."""

    @property
    def macs_per_second(self) -> float:
        """Verified multiplications per second."""
        return self.macs / self.seconds


def _pad(x: Blocks, multiple: int) -> Blocks:
    """Rows of zeros below, up to a multiple of the tile."""
    missing = -x.codes.shape[0] % multiple
    if not missing:
        return x
    zero = golden.quantize(
        np.zeros((missing, x.shape[x.axis]), np.float32), x.format, block=x.block
    )
    codes = np.concatenate([x.codes, zero.codes])
    shared = [np.concatenate(both) for both in zip(x.shared, zero.shared, strict=True)]
    shape = (len(codes), x.shape[x.axis])
    named = by_name(x.row, shared[1] if len(shared) > 1 else None)
    return Blocks(codes, shared[0], format=x.format, shape=shape, **named)


def _steps(x: Blocks, height: int, tiles: npt.NDArray[np.intp]) -> Blocks:
    """Rows of the given tiles, one tile after the other: [height, tiles * blocks, K]."""
    index = tiles[None, :] * height + np.arange(height)[:, None]
    return regroup(x, lambda array: array[index].reshape(height, -1, *array.shape[2:]))


def through_rtl(
    dut: BatchDut,
    a: Blocks,
    b: Blocks,
    progress: Callable[[int, int], None] | None = None,
) -> Product:
    """C[M, N] = A B through an array, checked word by word.

    Parameters
    ----------
    dut
        An array.
    a, b
        Of codes [M, blocks, K] and [N, blocks, K], in the array's formats. M and N are filled up
        with zeros to whole tiles.
    progress
        Called with the number of tiles done and of all tiles.

    Raises
    ------
    Mismatch
        A word or a flag differs.
    ContractError
        The array broke the stream contract.
    ValueError
        The operands do not fit each other or the array.
    """
    config: ArrayConfig = dut.config
    start = time.perf_counter()
    shape = (a.codes.shape[0], b.codes.shape[0])
    blocks = a.codes.shape[1]
    a, b = _pad(a, config.rows), _pad(b, config.cols)
    expected, flags = product(config, a, b)
    words = formats.words(expected, config.output)

    across = len(b.codes) // config.cols
    tiles = len(a.codes) // config.rows * across
    payloads = packed_results(
        in_tiles(words, config.rows, config.cols).reshape(tiles, -1),
        None if flags is None else in_tiles(flags, config.rows, config.cols).reshape(tiles, -1, 2),
        config,
    )
    cycles = 0
    per_call = max(1, _STEPS // blocks)
    for first in range(0, tiles, per_call):
        at = np.arange(first, min(first + per_call, tiles))
        try:
            done = check_products(
                dut,
                _steps(a, config.rows, at // across),
                _steps(b, config.cols, at % across),
                np.full(len(at), blocks),
                expected=payloads[at],
            )
        except Mismatch as error:
            i, j = divmod(first + error.block, across)
            place = f"rows from {i * config.rows}, columns from {j * config.cols}"
            error.args = (f"tile ({i}, {j}), {place}: {error}",)
            raise
        cycles += done.cycles
        if progress is not None:
            progress(int(at[-1]) + 1, tiles)
    seconds = time.perf_counter() - start
    macs = shape[0] * shape[1] * a.shape[a.axis]
    return Product(
        words=words[: shape[0], : shape[1]],
        flags=None if flags is None else flags[: shape[0], : shape[1]],
        tiles=tiles,
        cycles=cycles,
        ideal_cycles=tiles * blocks * config.beats,
        macs=macs,
        utilization=macs / (cycles * config.rows * config.cols * config.lanes),
        seconds=seconds,
    )
