"""Tensors of an open file as commands see them that only look: by name, whatever they are."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.commands.files.tensors import TENSORS, found, others
from amxfp4.golden.dequantizer import dequantize
from amxfp4.golden.files import Entry, Stored, TensorFile
from amxfp4.util.errors import reading

__all__ = ["Held", "Piece", "held"]

Piece = Callable[[int, int], npt.NDArray[Any]]
"""Gives the values of elements in C order, from the first number to the second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A tensor of an open file: codes, floating-point words, or something else.

    Parameters
    ----------
    parameter
        What the command line calls its file.
    stored
        What says how it is stored as codes; ``None`` if it is not.
    entry
        What the file declares of it; ``None`` if it is stored as codes.
    """

    parameter: str
    file: TensorFile
    name: str
    stored: Stored | None = None
    entry: Entry | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along each axis."""
        held = self.stored or self.entry
        assert held is not None
        return held.shape

    @property
    def plain(self) -> bool:
        """Whether it is of words that were not quantized: BF16, FP16, FP32 or FP64."""
        return self.entry is not None and (self.entry.word or self.entry.dtype) in (
            "bf16", "fp16", "fp32", "F64",
        )  # fmt: skip

    @property
    def has_values(self) -> bool:
        """Whether its elements are floating-point numbers that can be read."""
        return self.stored is not None or self.plain

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        if self.stored is not None:
            return self.stored.format
        assert self.entry is not None
        return self.entry.word or ("fp64" if self.plain else self.entry.dtype)

    def raw(self) -> npt.NDArray[Any]:
        """Read it as it is stored.

        Raises
        ------
        ValueError
            The file is damaged; the message names the parameter.
        """
        with reading(self.parameter, self.file.path, TENSORS):
            return self.file.raw(self.name)

    def values(self) -> Piece:
        """Values in pieces: words are read as they are used, and codes decoded.

        Of codes whose blocks run along the first axis, or are not of E2M1, all at once.

        Raises
        ------
        ValueError
            As `raw`.
        """
        if self.stored is not None:
            with reading(self.parameter, self.file.path, TENSORS):
                return _decoded(self.stored)
        raw, entry = self.raw().reshape(-1), self.entry
        assert entry is not None
        return lambda start, stop: np.asarray(entry.values(raw[start:stop]))


def _decoded(t: Stored) -> Piece:
    """Values of codes, of no more of the first axis than a piece takes; zeros of any sign."""
    if t.row is None or t.axis == 0:
        values = t.values().reshape(-1)
        return lambda start, stop: values[start:stop]
    b, per = t.blocks(), math.prod(t.shape[1:])

    @functools.lru_cache(1)  # an index of the first axis may be many pieces
    def part(first: int, last: int) -> npt.NDArray[np.float32]:
        names = ("codes", "scale_pos", "scale_neg", "zero_point")
        parts = {n: a[first:last] for n in names if (a := getattr(b, n)) is not None}
        shape = (min(last, b.shape[0]) - first, *b.shape[1:])
        return dequantize(dataclasses.replace(b, **parts, shape=shape)).reshape(-1)

    def piece(start: int, stop: int) -> npt.NDArray[np.float32]:
        first = start // per
        return part(first, -(-stop // per))[start - first * per : stop - first * per]

    return piece


def held(parameter: str, file: TensorFile) -> dict[str, Held]:
    """Tensors of a file by name: those stored as codes, then the others, each in its order."""
    codes = found(parameter, file)
    both = {name: Held(parameter=parameter, file=file, name=name, stored=t)
            for name, t in codes.items()}  # fmt: skip
    return both | {
        name: Held(parameter=parameter, file=file, name=name, entry=entry)
        for name, entry in others(file, codes).items()
    }
