"""Drive a unit with blocks and compare every output bit with the golden model.

Tests, ``make sim`` and mutants call the same two functions: what a mutant is caught by is what
the real unit passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import formats
from amxfp4.verif.sim.batch import beats, mismatch, records
from amxfp4.verif.sim.batch.dut import BatchDut, Run

__all__ = ["Checked", "Mismatch", "check_dequantizer", "check_quantizer"]


class Mismatch(AssertionError):
    """The unit and the golden model differ.

    Members
    -------
    differing : how many blocks differ
    block : index of the first differing block
    sent, expected, got : of that block; words or bytes
    """

    def __init__(
        self, text: str, *, differing: int, block: int, sent: Any, expected: Any, got: Any
    ) -> None:
        super().__init__(text)
        self.differing = differing
        self.block = block
        self.sent = sent
        self.expected = expected
        self.got = got


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was compared; never nothing."""

    count: int
    """Blocks, each compared in every bit."""
    cycles: int
    """Clock cycles from reset to the last output."""
    resets: int
    """Resets in the traffic before the batch."""
    outputs: npt.NDArray[Any]
    """Records (uint8 [n, bytes]) or words [n, K], equal to the golden model's."""


def _require(blocks: npt.NDArray[Any], name: str, shape: tuple[int, ...]) -> None:
    if blocks.shape[1:] != shape or not len(blocks):
        wanted = ", ".join(["n > 0", *map(str, shape)])
        raise ValueError(f"{name} must be [{wanted}], not {list(blocks.shape)!r}")


def _compare(
    dut: BatchDut,
    sent: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    got: npt.NDArray[Any],
    run: Run,
    options: dict[str, Any],
    describe: Callable[..., str],
) -> Checked:
    if not len(expected) or expected.shape != got.shape or len(sent) != len(got):
        raise Mismatch(
            f"as many blocks must be compared as were sent, not {len(got)} of {len(sent)} "
            f"against {len(expected)}",
            differing=len(sent), block=0, sent=sent, expected=expected, got=got,
        )  # fmt: skip
    wrong = np.flatnonzero((expected != got).any(axis=1))
    if len(wrong):
        at = int(wrong[0])
        where = f"{len(wrong)} of {len(sent)} blocks differ, the first is block {at}"
        how = ", ".join(f"{name}={value!r}" for name, value in options.items())
        body = describe(dut.config, sent[at], expected[at], got[at])
        raise Mismatch(
            f"{where}\n  unit: {dut.config}\n  run: {how}\n{body}",
            differing=len(wrong), block=at, sent=sent[at], expected=expected[at], got=got[at],
        )  # fmt: skip
    return Checked(count=len(got), cycles=run.cycles, resets=run.resets, outputs=got)


def check_quantizer(
    dut: BatchDut, words: npt.NDArray[np.unsignedinteger], **options: Any
) -> Checked:
    """Quantize blocks with the unit and compare every record, bit for bit.

    Parameters
    ----------
    dut
        A quantizer.
    words : uint16 or uint32 [n, K], n > 0
        Blocks of input words, of the unit's input type.
    **options
        Of `BatchDut.run`: ``stall_in``, ``stall_out``, ``seed``, ``reset_chance``, ``probe``.

    Raises
    ------
    Mismatch
        A record differs, or not every block was compared.
    ContractError
        The unit broke the stream contract.
    """
    config = dut.config
    row, word = config.row, config.word
    _require(words, "words", (row.block,))
    if words.dtype.itemsize * 8 != word.width:
        raise ValueError(f"words must be uint{word.width} for {word.name}, not {words.dtype}")

    blocks = golden.quantize(
        formats.values(words, word.name), row.name, ties=config.ties, block=row.block,
        second=config.second,
    )  # fmt: skip
    expected = golden.pack(blocks).reshape(len(words), row.record_bytes)
    run = dut.run(beats.words_to_beats(words, config.lanes), len(words), **options)
    got = beats.to_bytes(run.outputs, row.record_bytes)
    return _compare(dut, words, expected, got, run, options, mismatch.quantizer)


def check_dequantizer(
    dut: BatchDut,
    codes: npt.NDArray[np.uint8],
    scale_pos: records.Shared,
    other: records.Shared | None = None,
    **options: Any,
) -> Checked:
    """Dequantize blocks with the unit and compare every word, bit for bit.

    Parameters
    ----------
    dut
        A dequantizer, of weights too.
    codes : uint8 [n, K], n > 0
        Element codes, 0..15.
    scale_pos, other : uint8 [n]
        The bytes of a record, any of 0..255: scale codes, or one and a zero point, whose upper four
        bits do not count. `other` is None where a record has no second one. Of weights FP16 words,
        uint16, any.
    **options
        Of `BatchDut.run`: ``stall_in``, ``stall_out``, ``seed``, ``reset_chance``, ``probe``.

    Raises
    ------
    Mismatch
        A word differs, or not every block was compared.
    ContractError
        The unit broke the stream contract.
    """
    config = dut.config
    row, word = config.row, config.word
    _require(codes, "codes", (row.block,))
    if (other is not None) != (row.shared > 1):
        wanted = "given" if row.shared > 1 else "None"
        raise ValueError(f"other must be {wanted} for {row.name}, not {other!r}")
    raw = records.pack(row, codes, scale_pos, other)

    expected = records.words(config, codes, scale_pos, other)
    run = dut.run(beats.from_bytes(raw), len(raw) * config.beats, **options)
    got = beats.to_words(run.outputs, word.width, config.lanes, row.block)
    return _compare(dut, raw, expected, got, run, options, mismatch.dequantizer)
