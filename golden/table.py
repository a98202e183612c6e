"""Rows by name: those of the shared table, of weight formats, and rows that no hardware has.

MX-QLLM (aiha-lab/MX-QLLM 4fbe697), the AMXFP4 paper's code, measures more elements than E2M1 and
INT4. They are here as data, to compare against: the model quantizes, stores and decodes them, and
configurations of hardware refuse them. Values of integers are whole numbers, not that code's
fractions k / 2^(bits - 2): its scales are ours times a power of two.
"""

from __future__ import annotations

import dataclasses
import itertools

from amxfp4.params.checks import check_among
from amxfp4.params.formats import (
    BLOCK_SIZES,
    E4M3,
    E5M2,
    E8M0,
    FORMATS,
    INT4,
    BlockFormat,
    FloatFormat,
    ScaleRule,
    block_format,
)
from amxfp4.params.weights import WeightFormat, any_format

__all__ = ["REFERENCE_FORMATS", "any_row", "row_of"]


def _float(exponent_bits: int, mantissa_bits: int, bias: int) -> FloatFormat:
    """Element with a sign, of which every code is finite."""
    return FloatFormat(
        name=f"e{exponent_bits}m{mantissa_bits}", signed_bit=True, exponent_bits=exponent_bits,
        mantissa_bits=mantissa_bits, bias=bias, nan_magnitude=None, inf_magnitude=None,
        max_magnitude=(1 << (exponent_bits + mantissa_bits)) - 1,
    )  # fmt: skip


def _integer(bits: int, *, signed: bool) -> FloatFormat:
    """Integers in two's complement, within +-(2^(bits-1) - 1), or from 0."""
    mantissa = bits - signed
    return FloatFormat(
        name=f"{'' if signed else 'u'}int{bits}", signed_bit=signed, exponent_bits=0,
        mantissa_bits=mantissa, bias=1 - mantissa, max_magnitude=(1 << mantissa) - 1,
        nan_magnitude=None, inf_magnitude=None, twos_complement=signed,
    )  # fmt: skip


_ELEMENTS = {
    "fp3-e2m0": _float(2, 0, 1), "fp4-e1m2": _float(1, 2, 1), "fp4-e3m0": _float(3, 0, 3),
    "fp5-e2m2": _float(2, 2, 1), "fp6-e2m3": _float(2, 3, 1), "fp6-e3m2": _float(3, 2, 3),
    "fp8-e4m3": E4M3, "fp8-e5m2": E5M2, "int3": _integer(3, signed=True), "int4": INT4,
    "int6": _integer(6, signed=True), "int8": _integer(8, signed=True),
}  # fmt: skip
# One scale or two as in the shared table: powers of two are the usual ones of one, E5M2 of two.
_SCALES = {
    1: {"": E8M0, "-e5m2": E5M2, "-e4m3": E4M3},
    2: {"": E5M2, "-e4m3": E4M3, "-pot": E8M0},
}


def _rows() -> list[BlockFormat]:
    made = [
        BlockFormat(
            name=f"{'a' * (sides - 1)}mx{name}{suffix}", element=element, scale=scale, scales=sides,
            scale_rule=ScaleRule.FLOOR if scale is E8M0 else ScaleRule.NEAREST, block=32,
        )
        for (name, element), sides in itertools.product(_ELEMENTS.items(), _SCALES)
        for suffix, scale in _SCALES[sides].items()
    ]  # fmt: skip
    shared = [dataclasses.replace(row, name="") for row in FORMATS.values()]
    found = [row for row in made if dataclasses.replace(row, name="") not in shared]
    return found + [
        BlockFormat(
            name=f"mxint{bits}-asym{suffix}", element=_integer(bits, signed=False), scale=scale,
            scales=1, scale_rule=ScaleRule.RANGE, block=32,
        )
        for bits in (3, 5, 6, 8)
        for suffix, scale in (("", E5M2), ("-e4m3", E4M3))
    ]  # fmt: skip


REFERENCE_FORMATS: dict[str, BlockFormat] = {row.name: row for row in _rows()}
"""Rows to compare against, by name: ``mxint8``, ``mxfp6-e2m3``, ``amxfp6-e3m2``, ``mxint8-asym``.

``mx`` has one scale, ``amx`` two, ``-asym`` a zero point."""


def row_of(name: str | BlockFormat, block: int | None = None) -> BlockFormat:
    """Row called `name` of the shared table or of `REFERENCE_FORMATS`, with `block` elements.

    Raises
    ------
    TypeError, ValueError
        As `amxfp4.params.formats.block_format`.
    """
    known = name.name if isinstance(name, BlockFormat) else name
    row = REFERENCE_FORMATS.get(known) if isinstance(known, str) else None
    if row is None:
        return block_format(name, block)
    size = row.block if block is None else check_among("block", block, BLOCK_SIZES)
    return dataclasses.replace(row, block=size)


def any_row(
    name: str | BlockFormat, block: int | None = None, packed: bool = False
) -> BlockFormat | WeightFormat:
    """As `row_of`, or the row of a weight format; `packed` is for these alone.

    Raises
    ------
    TypeError, ValueError
        As `amxfp4.params.weights.any_format`.
    """
    if isinstance(name, str) and name in REFERENCE_FORMATS and packed is False:
        return row_of(name, block)
    return any_format(name, block, packed)
