"""How a sum over blocks is kept: one accumulator for each mode, behind one interface.

An accumulator takes two operands and returns an exact sum, not yet rounded to the output. Another
mode is another subclass of `Accumulator` and another entry of `ACCUMULATORS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from amxfp4.golden.checks import check_array, check_integer
from amxfp4.golden.products.fused import NAN, add_steps
from amxfp4.golden.products.limbs import exact_terms
from amxfp4.golden.products.operands import Contraction, Operand, block_terms
from amxfp4.golden.rounding import integer_terms, round_to_fp32, round_to_odd
from amxfp4.params.checks import choose
from amxfp4.params.dot import FIXED_BITS
from amxfp4.params.formats import FP32, BlockFormat
from amxfp4.params.fused import FusedStep, fused_step

__all__ = ["ACCUMULATORS", "Accumulator", "Exact", "Fixed", "Fp32", "Fused", "Sum", "accumulator"]

_MOST_BITS = 128
"""Limit of `frac_bits` and of `int_bits`, far beyond what any format can use."""

_INT64_BITS = 60
"""Accumulators up to this width fit int64 together with the terms of a block."""


@dataclass(frozen=True, slots=True)
class Sum:
    """An exact sum of the blocks of the rows that meet, and what was noticed on the way.

    Parameters
    ----------
    terms
        Arrays of one shape, float64, whose exact sum it is.
    flags
        Inexact and overflow along a last axis, bool; ``None`` in modes without flags.
    """

    terms: list[npt.NDArray[np.float64]]
    flags: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Accumulator(ABC):
    """One mode. The fields of a subclass are the parameters that only this mode has."""

    any_scale: ClassVar[bool] = False
    """Whether power-of-two scales, whose sums span too many bits to be kept, are accepted."""
    tile: ClassVar[int] = 256
    """Rows and columns of a product worked on at a time: the terms of a block stay in the cache."""
    nan: ClassVar[int] = FP32.nan_magnitude or 0
    """The FP32 word of a result that is none."""

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the parameters that only this mode has."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def of(cls, rows: tuple[BlockFormat, BlockFormat], **parameters: Any) -> Self:
        """Make an accumulator for two formats from its given parameters, checked."""
        return cls(**parameters)

    def part(self, shape: tuple[int, ...], part: tuple[slice, ...]) -> Self:
        """Make the accumulator of a part of results of `shape`."""
        return self

    @abstractmethod
    def add(self, a: Operand, b: Operand, contract: Contraction) -> Sum:
        """Add up all blocks of the rows that meet; NaN blocks count as zeros."""


@dataclass(frozen=True, slots=True)
class Exact(Accumulator):
    """The exact sum of all terms of all blocks, in whatever order is fastest."""

    tile = 1024

    def add(self, a: Operand, b: Operand, contract: Contraction) -> Sum:  # noqa: D102 (inherited)
        return Sum(exact_terms(a, b, contract))


@dataclass(frozen=True, slots=True)
class Fixed(Accumulator):
    """Truncated terms, added modulo 2^(`int_bits` + 1), with sticky flags."""

    frac_bits: int
    int_bits: int

    @classmethod
    def of(cls, rows: tuple[BlockFormat, BlockFormat], **parameters: Any) -> Self:  # noqa: D102 (inherited)
        bits = [sum(side) for side in zip(*(FIXED_BITS[r.scale.name] for r in rows), strict=True)]
        for i, field in enumerate(fields(cls)):
            if field.name in parameters:
                bits[i] = check_integer(field.name, parameters[field.name], 0, _MOST_BITS)
        return cls(*bits)

    def add(self, a: Operand, b: Operand, contract: Contraction) -> Sum:  # noqa: D102 (inherited)
        limit = 1 << (self.frac_bits + self.int_bits)
        width = limit.bit_length()
        narrow = width <= _INT64_BITS
        to_int = np.frompyfunc(int, 1, 1)
        total: Any = 0
        inexact: Any = False
        overflow: Any = False
        for terms in block_terms(a, b, contract):
            for term in terms:
                # Scaling by a power of two and dropping bits are exact in float64.
                scaled = term * 2.0**self.frac_bits
                kept = np.trunc(scaled)
                inexact |= kept != scaled
                overflow |= (kept < -limit) | (kept >= limit)
                # Without what wraps away, a term fits int64.
                total += np.fmod(kept, 2.0**width).astype(np.int64) if narrow else to_int(kept)
            overflow |= ((total < -limit) | (total >= limit)).astype(np.bool_)
            total = ((total + limit) & (2 * limit - 1)) - limit
        terms = integer_terms(total, -self.frac_bits, width)
        return Sum(terms, np.stack([inexact, overflow], axis=-1))


@dataclass(frozen=True, slots=True)
class Fp32(Accumulator):
    """Blocks in order, from +0: each dot product and each sum is rounded to FP32 (IEEE 754)."""

    any_scale = True

    def add(self, a: Operand, b: Operand, contract: Contraction) -> Sum:  # noqa: D102 (inherited)
        total = np.zeros((), np.float64)
        for terms in block_terms(a, b, contract):
            d = round_to_fp32(round_to_odd(terms))
            with np.errstate(invalid="ignore"):  # infinity - infinity
                total = round_to_fp32(total + d)
        return Sum([total])


@dataclass(frozen=True, slots=True)
class Fused(Accumulator):
    """Steps as a tensor core makes them, from the sums `c` or from +0."""

    any_scale = True
    tile = 128
    nan = NAN

    how: FusedStep
    c: npt.NDArray[np.float32] | None = None

    @classmethod
    def parameters(cls) -> tuple[str, ...]:  # noqa: D102 (inherited)
        return ("preset", *(field.name for field in fields(FusedStep)), "c")

    @classmethod
    def of(cls, rows: tuple[BlockFormat, BlockFormat], c: Any = None, **parameters: Any) -> Self:  # noqa: D102 (inherited)
        how = fused_step(**parameters)
        how.check_block(rows[0].block)
        return cls(how, c)

    def part(self, shape: tuple[int, ...], part: tuple[slice, ...]) -> Self:  # noqa: D102 (inherited)
        c = self.c
        if c is None:
            c = np.broadcast_to(np.float32(0), shape)
        elif check_array("c", c, np.float32).shape != shape:
            raise ValueError(f"c must be of shape {shape}, as the result is, not {c.shape}")
        return replace(self, c=c[part])

    def add(self, a: Operand, b: Operand, contract: Contraction) -> Sum:  # noqa: D102 (inherited)
        assert self.c is not None
        return Sum([add_steps(a, b, contract, self.how, self.c)])


ACCUMULATORS: dict[str, type[Accumulator]] = {
    "exact": Exact, "fixed": Fixed, "fp32": Fp32, "fused": Fused,
}  # fmt: skip
"""The accumulator of every mode, by the mode's name."""


def accumulator(
    rows: tuple[BlockFormat, BlockFormat], acc: object, **parameters: object
) -> Accumulator:
    """Accumulator of the mode `acc` for two formats; a parameter that is None is not given."""
    mode = choose("acc", acc, ACCUMULATORS)
    for row in rows:
        if row.power_of_two and not mode.any_scale:
            raise ValueError(f"acc must be fp32 or fused for the scales of {row.name}, not {acc!r}")
    given = {name: value for name, value in parameters.items() if value is not None}
    owners = {p: name for name, kind in ACCUMULATORS.items() for p in kind.parameters()}
    for name, value in given.items():
        if owners[name] != acc:
            raise ValueError(f"{name} must be None unless acc is {owners[name]}, not {value!r}")
    return mode.of(rows, **given)
