"""Drive `dot` and `array` with blocks and compare every result and flag with the golden model.

A dot product is an array of one row and one column, in its payloads too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks, formats
from amxfp4.golden.blocks import by_name
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.verif.sim.batch import beats
from amxfp4.verif.sim.batch.check import Checked, Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut

__all__ = [
    "check_products",
    "expected_results",
    "packed_results",
    "pick",
    "regroup",
    "step_beats",
    "tile_of",
]


Array = npt.NDArray[np.uint8]


def tile_of(config: DotConfig) -> tuple[int, int]:
    """Rows and columns of results that leave together."""
    return (config.rows, config.cols) if isinstance(config, ArrayConfig) else (1, 1)


def pick(blocks: Blocks, index: Any) -> Blocks:
    """Blocks `index` of [..., blocks, K] codes, as a tensor of their own."""
    return regroup(blocks, lambda array: array[index])


def regroup(blocks: Blocks, move: Callable[[Array], Array]) -> Blocks:
    """Blocks in another order or shape: `move` is applied to codes and scales alike."""
    pos, *other = (move(shared) for shared in blocks.shared)
    shape = (*pos.shape[:-1], pos.shape[-1] * blocks.block)
    named = by_name(blocks.row, other[0] if other else None)
    return Blocks(move(blocks.codes), pos, format=blocks.format, shape=shape, **named)


def step_beats(
    a: Blocks, b: Blocks, lengths: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.uint32]:
    """Turn steps into beats: all A records, all B records, then `last`.

    Parameters
    ----------
    a, b
        Of codes [rows, steps, K] and [cols, steps, K].
    lengths : int [sums]
        Steps of every sum, one or more each; they add up to all steps.

    Returns
    -------
    uint32 [steps, words]
    """
    steps = a.codes.shape[-2]
    last = np.zeros((steps, 1), np.uint8)
    last[np.cumsum(lengths) - 1] = 1
    # [rows, steps, bytes] to one line of bytes a step; records are whole bytes at every K.
    records = [golden.pack(side).transpose(1, 0, 2).reshape(steps, -1) for side in (a, b)]
    return beats.from_bytes(np.concatenate([*records, last], axis=1))


def expected_results(
    a: Blocks, b: Blocks, lengths: npt.NDArray[np.integer[Any]], config: DotConfig
) -> npt.NDArray[np.uint8]:
    """Bytes of every output payload, from golden: words, then flags.

    Returns
    -------
    uint8 [sums, bytes]
    """
    rows, cols = tile_of(config)
    ends = np.cumsum(lengths)
    words = np.empty((len(lengths), rows * cols), f"<u{config.word.width // 8}")
    flags = np.zeros((len(lengths), rows * cols, 2), np.bool_)
    for length in np.unique(lengths):
        at = np.flatnonzero(lengths == length)
        steps = (ends[at] - length)[:, None] + np.arange(length)
        # [sums of this length, rows, cols, steps]
        r, c = np.arange(rows)[:, None, None], np.arange(cols)[:, None]
        left = pick(a, np.broadcast_arrays(r, steps[:, None, None, :], c)[:2])
        right = pick(b, np.broadcast_arrays(c, steps[:, None, None, :], r)[:2])
        made = golden.dot(
            left, right, config.acc, config.output,
            frac_bits=config.frac_bits, int_bits=config.int_bits,
        )  # fmt: skip
        result, raised = made if isinstance(made, tuple) else (made, None)
        if raised is not None:
            flags[at] = raised.reshape(len(at), -1, 2)
        words[at] = formats.words(result, config.output).reshape(len(at), -1)
    return packed_results(words, flags if config.acc == "fixed" else None, config)


def packed_results(
    words: npt.NDArray[Any], flags: npt.NDArray[np.bool_] | None, config: DotConfig
) -> npt.NDArray[np.uint8]:
    """Bytes of output payloads: the words of a tile, then its flags, two bits a word.

    Parameters
    ----------
    words : uint16 or uint32 [sums, ...]
    flags : bool [sums, ..., 2]: inexact, overflow; None where the mode has none

    Returns
    -------
    uint8 [sums, bytes]
    """
    little = np.ascontiguousarray(words, dtype=f"<u{config.word.width // 8}")
    raw = little.reshape(len(words), -1).view(np.uint8)
    if flags is None:
        return raw
    packed = np.packbits(flags.reshape(len(words), -1), axis=1, bitorder="little")
    return np.concatenate([raw, packed], axis=1)


def check_products(
    dut: BatchDut,
    a: Blocks,
    b: Blocks,
    lengths: npt.NDArray[np.integer[Any]],
    *,
    expected: npt.NDArray[np.uint8] | None = None,
    **options: Any,
) -> Checked:
    """Run sums of dot products through a `dot` or `array`; compare every result, bit for bit.

    Parameters
    ----------
    dut
        A dot product or an array.
    a, b
        Of codes [rows, steps, K] and [cols, steps, K], in the unit's formats; 1 for `dot`.
    lengths : int [sums]
        Steps of every sum, one or more each; they add up to all steps.
    expected
        What `expected_results` returns, where it is known already.
    **options
        Of `BatchDut.run`: ``stall_in``, ``stall_out``, ``seed``, ``reset_chance``, ``probe``.

    Raises
    ------
    Mismatch
        A result or a flag differs, or not every sum was compared.
    ContractError
        The unit broke the stream contract.
    """
    config = dut.config
    lengths = np.asarray(lengths)
    rows, cols = tile_of(config)
    for name, side, count in (("a", a, rows), ("b", b, cols)):
        if side.codes.ndim != 3 or side.codes.shape[0] != count:
            raise ValueError(f"{name} must be [{count}, steps, K], not {side.codes.shape}")
    if not len(lengths) or lengths.min() < 1 or lengths.sum() != a.codes.shape[1]:
        steps = a.codes.shape[1]
        raise ValueError(f"lengths must be 1 or more each and {steps} in all, not {lengths!r}")
    if expected is None:
        expected = expected_results(a, b, lengths, config)
    run = dut.run(step_beats(a, b, lengths), len(lengths), **options)
    got = beats.to_bytes(run.outputs, expected.shape[1])
    if not len(expected) or expected.shape != got.shape or len(got) != len(lengths):
        raise Mismatch(
            f"as many sums must be compared as were sent, not {len(got)} of {len(lengths)}",
            differing=len(lengths), block=0, sent=lengths, expected=expected, got=got,
        )  # fmt: skip
    wrong = np.flatnonzero((expected != got).any(axis=1))
    if len(wrong):
        raise _mismatch(config, a, b, lengths, expected, got, wrong, options)
    return Checked(count=len(got), cycles=run.cycles, resets=run.resets, outputs=got)


def _mismatch(
    config: Any,
    a: Blocks,
    b: Blocks,
    lengths: npt.NDArray[Any],
    expected: npt.NDArray[np.uint8],
    got: npt.NDArray[np.uint8],
    wrong: npt.NDArray[np.intp],
    options: dict[str, Any],
) -> Mismatch:
    """Describe the first sum that differs: its place, its operands, what came and what should."""
    at = int(wrong[0])
    rows, cols = tile_of(config)
    size = config.word.width // 8
    differs = np.flatnonzero(expected[at] != got[at])
    word = min(int(differs[0]) // size, rows * cols - 1)
    r, c = divmod(word, cols)
    start = int(lengths[:at].sum())
    steps = slice(start, start + int(lengths[at]))
    lines = [
        f"{len(wrong)} of {len(lengths)} sums differ, the first is sum {at}, result ({r}, {c})",
        f"  unit: {config}",
        "  run: " + ", ".join(f"{name}={value!r}" for name, value in options.items()),
        f"  expected {bytes(expected[at][::-1]).hex()}",
        f"  got      {bytes(got[at][::-1]).hex()}",
    ]
    for name, side, n in (("A", a, r), ("B", b, c)):
        for step in range(steps.start, min(steps.stop, steps.start + 4)):
            record = golden.pack(pick(side, (n, slice(step, step + 1))))
            lines.append(f"  {name} block {step - start}: {bytes(record.reshape(-1)[::-1]).hex()}")
    return Mismatch(
        "\n".join(lines), differing=len(wrong), block=at, sent=steps,
        expected=expected[at], got=got[at],
    )  # fmt: skip
