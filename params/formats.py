"""Number and block formats: one row each, as data.

How a code is decoded, rounded or chosen is written twice, in ``golden/`` and in ``rtl/``.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass

from amxfp4.params.checks import check_among, choose

__all__ = [
    "ALIASES",
    "BF16",
    "BLOCK_SIZES",
    "E2M1",
    "E4M3",
    "E5M2",
    "E8M0",
    "FORMATS",
    "FP16",
    "FP32",
    "INPUTS",
    "INT4",
    "OUTPUTS",
    "UE5M3",
    "UINT4",
    "ZERO_POINT_BITS",
    "BlockFormat",
    "FloatFormat",
    "ScaleRule",
    "Ties",
    "block_format",
]


class Ties(enum.StrEnum):
    """Where a value halfway between two codes goes; one mode serves scale and elements."""

    RNA = "RNA"
    """To the code further from zero (the AMXFP4 reference's default, and ours)."""
    RNE = "RNE"
    """To the even code."""


class ScaleRule(enum.StrEnum):
    """How a block maximum m becomes a scale code (docs/numerics.md, S(m))."""

    NEAREST = "nearest"
    """Nearest representable value to m / 6, with 6 the largest element; m / 7 for integers."""
    FLOOR = "floor"
    """2^(floor(log2 m) - 2), the OCP MX rule."""
    ROUND_UP = "round-up"
    """As FLOOR, one binade more when the significand of m is at least 1.75."""
    CEILING = "ceiling"
    """The smallest power of two s with m <= 6 s: nothing saturates."""
    FOUR_OR_SIX = "four or six"
    """Of the nearest to m / 6 and to m / 4 the one of less squared error (arXiv 2512.02010)."""
    RANGE = "range"
    """Nearest to (p + n) / 15, with p and n the largest positive and negative magnitudes: the scale
    of elements that are counted from a zero point."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatFormat:
    """Parameters of one floating-point code, after FPnew's ``FP_ENCODINGS``.

    Bits from the top: a sign bit (when `signed_bit`), `exponent_bits`, `mantissa_bits`. A
    *magnitude* is the code without its sign bit. An integer is a format without exponent bits,
    all of whose values are subnormal.

    Parameters
    ----------
    bias
        An exponent field e > 0 stands for 2^(e - bias).
    max_magnitude
        The largest finite magnitude code.
    nan_magnitude
        The NaN that encoders write; ``None`` where the format has none. Every magnitude above
        `max_magnitude` other than `inf_magnitude` is read as NaN.
    inf_magnitude
        The magnitude of infinity; ``None`` where encoders and decoders have none.
    subnormals
        Whether exponent field 0 is the subnormal range (with zero). E8M0 has neither: code c
        is 2^(c - bias) for every finite c.
    twos_complement
        Whether a negative code is the two's complement of its magnitude, not sign and magnitude.
        Encoders stay within +-`max_magnitude`; decoders take the most negative code as it is.
    """

    name: str
    signed_bit: bool
    exponent_bits: int
    mantissa_bits: int
    bias: int
    max_magnitude: int
    nan_magnitude: int | None
    inf_magnitude: int | None
    subnormals: bool = True
    twos_complement: bool = False

    @property
    def width(self) -> int:
        """Bits of a code."""
        return self.signed_bit + self.exponent_bits + self.mantissa_bits


E2M1 = FloatFormat(
    name="e2m1", signed_bit=True, exponent_bits=2, mantissa_bits=1, bias=1,
    max_magnitude=0x7, nan_magnitude=None, inf_magnitude=None,
)  # fmt: skip
INT4 = FloatFormat(
    name="int4", signed_bit=True, exponent_bits=0, mantissa_bits=3, bias=-2,
    max_magnitude=0x7, nan_magnitude=None, inf_magnitude=None, twos_complement=True,
)  # fmt: skip
# Counted from a block's zero point, which is such a code, too.
UINT4 = FloatFormat(
    name="uint4", signed_bit=False, exponent_bits=0, mantissa_bits=4, bias=-3,
    max_magnitude=0xF, nan_magnitude=None, inf_magnitude=None,
)  # fmt: skip

# Scale codes. They are unsigned: encoders write the sign bit of E5M2 and E4M3 as 0 and decoders
# ignore it. As a scale E5M2 has no infinity: 0x7C to 0x7F are NaN (docs/numerics.md).
E5M2 = FloatFormat(
    name="e5m2", signed_bit=True, exponent_bits=5, mantissa_bits=2, bias=15,
    max_magnitude=0x7B, nan_magnitude=0x7F, inf_magnitude=None,
)  # fmt: skip
E4M3 = FloatFormat(
    name="e4m3", signed_bit=True, exponent_bits=4, mantissa_bits=3, bias=7,
    max_magnitude=0x7E, nan_magnitude=0x7F, inf_magnitude=None,
)  # fmt: skip
E8M0 = FloatFormat(
    name="e8m0", signed_bit=False, exponent_bits=8, mantissa_bits=0, bias=127,
    max_magnitude=0xFE, nan_magnitude=0xFF, inf_magnitude=None, subnormals=False,
)  # fmt: skip
# All eight bits of a code are magnitude: a scale needs no sign (CUDA's UE5M3).
UE5M3 = FloatFormat(
    name="ue5m3", signed_bit=False, exponent_bits=5, mantissa_bits=3, bias=15,
    max_magnitude=0xFE, nan_magnitude=0xFF, inf_magnitude=None,
)  # fmt: skip

# Tensor words.
BF16 = FloatFormat(
    name="bf16", signed_bit=True, exponent_bits=8, mantissa_bits=7, bias=127,
    max_magnitude=0x7F7F, nan_magnitude=0x7FC0, inf_magnitude=0x7F80,
)  # fmt: skip
FP16 = FloatFormat(
    name="fp16", signed_bit=True, exponent_bits=5, mantissa_bits=10, bias=15,
    max_magnitude=0x7BFF, nan_magnitude=0x7E00, inf_magnitude=0x7C00,
)  # fmt: skip
FP32 = FloatFormat(
    name="fp32", signed_bit=True, exponent_bits=8, mantissa_bits=23, bias=127,
    max_magnitude=0x7F7FFFFF, nan_magnitude=0x7FC00000, inf_magnitude=0x7F800000,
)  # fmt: skip

INPUTS: dict[str, FloatFormat] = {f.name: f for f in (BF16, FP16, FP32)}
"""What a quantizer reads."""
OUTPUTS: dict[str, FloatFormat] = {f.name: f for f in (BF16, FP32)}
"""What dequantizer, dot and array write."""

BLOCK_SIZES = (16, 32, 64, 128)
"""Elements per block, K."""
ZERO_POINT_BITS = 8
"""Bits of a zero point in a record: a byte, as a scale has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockFormat:
    """One row of the format table (docs/numerics.md), at one block size.

    Adding a format is adding a row to `FORMATS`.
    """

    name: str
    element: FloatFormat
    scale: FloatFormat
    scales: int
    scale_rule: ScaleRule
    block: int

    @property
    def asymmetric(self) -> bool:
        """Whether positive and negative elements have a scale each."""
        return self.scales == 2

    @property
    def zero_point(self) -> bool:
        """Whether elements are counted from a zero point, which a record has above its scale."""
        return self.scale_rule is ScaleRule.RANGE

    @property
    def shared(self) -> int:
        """Bytes of a record that all of its elements share: scales, and a zero point."""
        return self.scales + self.zero_point

    @property
    def compares_errors(self) -> bool:
        """Whether a scale is the one of two under which elements have the smaller error."""
        return self.scale_rule is ScaleRule.FOUR_OR_SIX

    @property
    def power_of_two(self) -> bool:
        """Whether scales are powers of two: far apart, and over a range that no sum spans."""
        return self.scale.mantissa_bits == 0

    @property
    def record_bits(self) -> int:
        """Bits of a block record (docs/numerics.md)."""
        shared = self.scale.width * self.scales + ZERO_POINT_BITS * self.zero_point
        return self.element.width * self.block + shared

    @property
    def record_bytes(self) -> int:
        """Bytes of a block record in memory."""
        return -(-self.record_bits // 8)

    @property
    def bits_per_element(self) -> float:
        """Storage per element, scales and zero point included."""
        return self.record_bits / self.block


def _row(
    name: str,
    scale: FloatFormat,
    scales: int,
    rule: ScaleRule,
    block: int,
    element: FloatFormat = E2M1,
) -> BlockFormat:
    return BlockFormat(
        name=name, element=element, scale=scale, scales=scales, scale_rule=rule, block=block
    )


FORMATS: dict[str, BlockFormat] = {
    row.name: row
    for row in (
        _row("amxfp4", E5M2, 2, ScaleRule.NEAREST, 32),
        _row("amxfp4-e4m3", E4M3, 2, ScaleRule.NEAREST, 32),
        _row("amxfp4-pot", E8M0, 2, ScaleRule.FLOOR, 32),
        _row("amxfp4-pot-roundup", E8M0, 2, ScaleRule.ROUND_UP, 32),
        _row("mxfp4", E8M0, 1, ScaleRule.FLOOR, 32),
        _row("mxfp4-roundup", E8M0, 1, ScaleRule.ROUND_UP, 32),
        _row("mxfp4-e5m2", E5M2, 1, ScaleRule.NEAREST, 32),
        _row("mxfp4-e4m3", E4M3, 1, ScaleRule.NEAREST, 32),
        _row("nvfp4", E4M3, 1, ScaleRule.NEAREST, 16),
        _row("mxfp4-rceil", E8M0, 1, ScaleRule.CEILING, 32),
        _row("amxfp4-ue5m3", UE5M3, 2, ScaleRule.NEAREST, 32),
        _row("nvfp4-ue5m3", UE5M3, 1, ScaleRule.NEAREST, 16),
        _row("nvfp4-46", E4M3, 1, ScaleRule.FOUR_OR_SIX, 16),
        _row("int4", E5M2, 1, ScaleRule.NEAREST, 32, INT4),
        _row("int4-e4m3", E4M3, 1, ScaleRule.NEAREST, 32, INT4),
        _row("int4-asym", E5M2, 1, ScaleRule.RANGE, 32, UINT4),
        _row("int4-asym-e4m3", E4M3, 1, ScaleRule.RANGE, 32, UINT4),
    )
}
"""Every format, by canonical name, at its default block size.

A new one goes to the end: the engine's registers count from the first.
"""

ALIASES = {
    "amxfp4-e5m2": "amxfp4", "int4-e5m2": "int4", "int4-asym-e5m2": "int4-asym",
}  # fmt: skip
"""Other names of formats."""


def block_format(
    name: str | BlockFormat, block: int | None = None, *, parameter: str = "format"
) -> BlockFormat:
    """Row of the format table called `name`, at `block` elements per block.

    Parameters
    ----------
    name
        A key of `FORMATS` or of `ALIASES`, or a row itself.
    block
        16, 32, 64 or 128; ``None`` for the row's own size.
    parameter
        What error messages call `name`.

    Raises
    ------
    TypeError
        `name` is not a string, or `block` not an integer.
    ValueError
        `name` is unknown, or `block` is not one of `BLOCK_SIZES`.
    """
    if isinstance(name, BlockFormat):
        row = name
        table = FORMATS.get(row.name)
        if table is None or dataclasses.replace(table, block=row.block) != row:
            raise ValueError(f"{parameter} must be a row of the format table, not {row!r}")
    else:
        aliased = ALIASES.get(name, name) if isinstance(name, str) else name
        row = choose(parameter, aliased, FORMATS)
    if block is None or check_among("block", block, BLOCK_SIZES) == row.block:
        return row
    return dataclasses.replace(row, block=block)
