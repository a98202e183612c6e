"""Formats and unit configurations: the parameters that golden, RTL and testbenches share.

A leaf: it imports the standard library only, and it holds parameters, never behaviour. How a
code is decoded, rounded or chosen is written twice, in ``golden/`` and in ``rtl/``.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

__all__ = [
    "ACCUMULATIONS",
    "BF16",
    "BLOCK_SIZES",
    "CLASS_SUMS",
    "E2M1",
    "E4M3",
    "E5M2",
    "E8M0",
    "FIXED_BITS",
    "FORMATS",
    "FP16",
    "FP32",
    "INPUTS",
    "MAXIMA",
    "OUTPUTS",
    "PIPELINE",
    "QUANTIZER_PIPELINE",
    "SCALING",
    "UNITS",
    "ArrayConfig",
    "BlockFormat",
    "DequantizerConfig",
    "DotConfig",
    "FloatFormat",
    "QuantizerConfig",
    "ScaleRule",
    "Ties",
    "UnitConfig",
    "block_format",
    "choose",
]


T = TypeVar("T")


class Ties(enum.StrEnum):
    """Where a value halfway between two codes goes; one mode serves scale and elements."""

    RNA = "RNA"
    """To the code further from zero (the AMXFP4 reference's default, and ours)."""
    RNE = "RNE"
    """To the even code."""


class ScaleRule(enum.StrEnum):
    """How a block maximum m becomes a scale code (docs/numerics.md, S(m))."""

    NEAREST = "nearest"
    """Nearest representable value to m / 6."""
    FLOOR = "floor"
    """2^(floor(log2 m) - 2), the OCP MX rule."""
    ROUND_UP = "round-up"
    """As FLOOR, one binade more when the significand of m is at least 1.75."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatFormat:
    """Parameters of one floating-point code, after FPnew's ``FP_ENCODINGS``.

    Bits from the top: a sign bit (when `signed_bit`), `exponent_bits`, `mantissa_bits`. A
    *magnitude* is the code without its sign bit.

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

    @property
    def width(self) -> int:
        """Bits of a code."""
        return self.signed_bit + self.exponent_bits + self.mantissa_bits


E2M1 = FloatFormat(
    name="e2m1", signed_bit=True, exponent_bits=2, mantissa_bits=1, bias=1,
    max_magnitude=0x7, nan_magnitude=None, inf_magnitude=None,
)  # fmt: skip

# Scale codes. They are unsigned: encoders write the sign bit as 0 and decoders ignore it. As a
# scale E5M2 has no infinity: 0x7C to 0x7F are NaN (docs/numerics.md).
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
    def record_bits(self) -> int:
        """Bits of a block record (docs/numerics.md)."""
        return self.element.width * self.block + self.scale.width * self.scales

    @property
    def record_bytes(self) -> int:
        """Bytes of a block record in memory."""
        return -(-self.record_bits // 8)

    @property
    def bits_per_element(self) -> float:
        """Storage per element, scales included."""
        return self.record_bits / self.block


def _row(name: str, scale: FloatFormat, scales: int, rule: ScaleRule, block: int) -> BlockFormat:
    return BlockFormat(
        name=name, element=E2M1, scale=scale, scales=scales, scale_rule=rule, block=block
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
    )
}
"""Every format, by canonical name, at its default block size."""

_ALIASES = {"amxfp4-e5m2": "amxfp4"}


def choose(parameter: str, value: object, allowed: dict[str, T]) -> T:
    """Look `value` up in `allowed`, or say what would have been allowed.

    Raises
    ------
    TypeError
        `value` is not a string.
    ValueError
        `value` is not a key of `allowed`.
    """
    if not isinstance(value, str):
        raise TypeError(f"{parameter} must be a string, not {value!r}")
    if value not in allowed:
        raise ValueError(f"{parameter} must be one of {', '.join(allowed)}, not {value!r}")
    return allowed[value]


def _check_int(parameter: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be an integer, not {value!r}")
    return value


def block_format(
    name: str | BlockFormat, block: int | None = None, *, parameter: str = "format"
) -> BlockFormat:
    """Row of the format table called `name`, at `block` elements per block.

    Parameters
    ----------
    name
        A key of `FORMATS`, or ``amxfp4-e5m2`` (the same as ``amxfp4``), or a row itself.
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
        aliased = _ALIASES.get(name, name) if isinstance(name, str) else name
        row = choose(parameter, aliased, FORMATS)
    if block is None:
        return row
    if _check_int("block", block) not in BLOCK_SIZES:
        sizes = ", ".join(map(str, BLOCK_SIZES))
        raise ValueError(f"block must be one of {sizes}, not {block!r}")
    return dataclasses.replace(row, block=block)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitConfig:
    """What every unit's configuration offers: JSON in and out, and a digest.

    Fields are normalised on construction (aliases resolved, defaults filled in), so that equal
    hardware has equal configurations, and equal digests.
    """

    unit: ClassVar[str]

    @property
    def beats(self) -> int:
        """Cycles per block at full speed."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, with the unit's name first; JSON-ready."""
        return {"unit": self.unit, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises
        ------
        ValueError
            The fields are of another unit, or one of them is unknown.
        """
        rest = dict(fields)
        unit = rest.pop("unit", cls.unit)
        if unit != cls.unit:
            raise ValueError(f"unit must be {cls.unit!r}, not {unit!r}")
        known = {f.name for f in dataclasses.fields(cls)}
        for name in rest:
            if name not in known:
                allowed = ", ".join(sorted(known))
                raise ValueError(f"field of {cls.unit} must be one of {allowed}, not {name!r}")
        return cls(**rest)

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the configuration as JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _lanes(value: object, block: int) -> int:
    lanes = block if value is None else _check_int("lanes", value)
    if not 1 <= lanes <= block or lanes & (lanes - 1):
        raise ValueError(
            f"lanes must be a power of two from 1 to {block} (the block size), not {lanes!r}"
        )
    return lanes


@dataclass(frozen=True, kw_only=True, slots=True)
class _BlockStreamConfig(UnitConfig):
    """What quantizer and dequantizer share: a row of the format table, and lanes."""

    format: str = "amxfp4"
    block: int = None  # type: ignore[assignment]  # filled in below
    lanes: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        row = block_format(self.format, self.block)
        lanes = _lanes(self.lanes, row.block)
        object.__setattr__(self, "format", row.name)
        object.__setattr__(self, "block", row.block)
        object.__setattr__(self, "lanes", lanes)

    @property
    def row(self) -> BlockFormat:
        """The row of the format table."""
        return block_format(self.format, self.block)

    @property
    def beats(self) -> int:
        """Beats of `lanes` words per block, K / lanes."""
        return self.row.block // self.lanes


MAXIMA = ("tree", "scan")
"""How a quantizer finds the maxima of a block: comparing keys in pairs, or bit by bit."""

QUANTIZER_PIPELINE = ("maxima", "record")
"""Where a quantizer may hold a pipeline register, in the order of the data path.

A block that takes several beats has to wait in both places.
"""


def _normal_pipeline(value: object, allowed: tuple[str, ...]) -> str:
    """Write the names in `value`, separated by commas, once each and in the order of `allowed`."""
    if not isinstance(value, str):
        raise TypeError(f"pipeline must be a string, not {value!r}")
    names = [name for name in value.split(",") if name]
    for name in names:
        choose("pipeline", name, dict.fromkeys(allowed))
    return ",".join(name for name in allowed if name in names)


def _cuts(pipeline: str) -> frozenset[str]:
    return frozenset(pipeline.split(",")) if pipeline else frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizerConfig(_BlockStreamConfig):
    """Configuration of `quantizer`.

    `format`, `block`, `input` and `ties` say what is computed. `lanes` (elements per beat, a
    power of two from 1 to `block`, by default `block`), `maxima` (one of `MAXIMA`) and `pipeline`
    (names out of `QUANTIZER_PIPELINE`, separated by commas; all of them unless `lanes` is `block`)
    say how, and never change a bit of the result.
    """

    unit: ClassVar[str] = "quantizer"

    input: str = "bf16"
    ties: str = "RNA"
    maxima: str = "tree"
    pipeline: str = "maxima,record"

    def __post_init__(self) -> None:
        _BlockStreamConfig.__post_init__(self)
        choose("input", self.input, INPUTS)
        choose("ties", self.ties, {str(t): t for t in Ties})
        choose("maxima", self.maxima, dict.fromkeys(MAXIMA))
        object.__setattr__(self, "ties", str(self.ties))
        pipeline = _normal_pipeline(self.pipeline, QUANTIZER_PIPELINE)
        whole = ",".join(QUANTIZER_PIPELINE)
        if self.beats > 1 and pipeline != whole:
            raise ValueError(
                f"pipeline must be {whole} unless lanes is {self.block} (the block size), "
                f"not {self.pipeline!r}"
            )
        object.__setattr__(self, "pipeline", pipeline)

    @property
    def cuts(self) -> frozenset[str]:
        """Names of the pipeline registers."""
        return _cuts(self.pipeline)

    @property
    def word(self) -> FloatFormat:
        """The format of an input word."""
        return INPUTS[self.input]


@dataclass(frozen=True, kw_only=True, slots=True)
class DequantizerConfig(_BlockStreamConfig):
    """Configuration of `dequantizer`.

    `format`, `block` and `output` say what is computed; `lanes` (elements per beat, a power of
    two from 1 to `block`, by default `block`) says how fast and never changes a bit of the result.
    """

    unit: ClassVar[str] = "dequantizer"

    output: str = "bf16"

    def __post_init__(self) -> None:
        _BlockStreamConfig.__post_init__(self)
        choose("output", self.output, OUTPUTS)

    @property
    def word(self) -> FloatFormat:
        """The format of an output word."""
        return OUTPUTS[self.output]


ACCUMULATIONS = ("exact", "fixed", "fp32")
"""How a sum over blocks is kept (docs/numerics.md)."""

FIXED_BITS: dict[str, tuple[int, int]] = {"e5m2": (12, 8), "e4m3": (10, 8)}
"""What an operand's scale format adds to `frac_bits` and to `int_bits` by default.

On the real tensors this project ships with (a layer of SmolLM2-135M) every product of two E5M2 or
two E4M3 operands is exact with 20 fraction bits, and sums stay below 2^13 (below 2^7 but for one
tensor with an outlier of 79, multiplied with itself). E5M2 gets 4 bits more than that; for E4M3,
20 bits reach the unit of the smallest product, and nothing can be inexact. Both get 3 more
integer bits.
"""

CLASS_SUMS = ("masked", "merged", "grouped")
"""How products find their sign class: in one tree each, in pairs, or in groups of four."""

SCALING = ("parallel", "serial")
"""How the terms of a block are scaled: all at once, or one after another in the same hardware."""

PIPELINE = ("input", "sums", "terms", "aligned", "normalised", "rounded")
"""Where a dot product may hold a pipeline register, in the order of the data path."""


def _check_range(parameter: str, value: object, least: int, most: int) -> int:
    if not least <= _check_int(parameter, value) <= most:
        raise ValueError(f"{parameter} must be from {least} to {most}, not {value!r}")
    return int(value)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, kw_only=True, slots=True)
class DotConfig(UnitConfig):
    """Configuration of `dot`.

    `format_a`, `format_b`, `block`, `acc`, `output`, `max_blocks`, `frac_bits` and `int_bits` say
    what is computed. `lanes` (element pairs per cycle, a power of two from 1 to `block`),
    `class_sums`, `scaling` and `pipeline` (names out of `PIPELINE`, separated by commas) say how,
    and never change a bit of the result.

    `acc` is ``exact`` by default, ``fp32`` where a scale is a power of two. `max_blocks` (exact
    only) is the longest sum that cannot overflow; `frac_bits` and `int_bits` (fixed only) are the
    accumulator's. `scaling` is ``serial`` by default where it costs no cycle: where a block has as
    many beats as terms, more than one, and `acc` is not ``fp32``. `pipeline` is by default every
    register that shortens a path: all of them unless `acc` is ``fp32``.
    """

    unit: ClassVar[str] = "dot"

    format_a: str = "amxfp4"
    format_b: str = "amxfp4"
    block: int = None  # type: ignore[assignment]  # filled in below
    lanes: int = None  # type: ignore[assignment]
    acc: str = None  # type: ignore[assignment]
    output: str = "fp32"
    max_blocks: int | None = None
    frac_bits: int | None = None
    int_bits: int | None = None
    class_sums: str = "grouped"
    scaling: str = None  # type: ignore[assignment]
    pipeline: str = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        rows = [
            block_format(name, self.block, parameter=parameter)
            for parameter, name in (("format_a", self.format_a), ("format_b", self.format_b))
        ]
        if rows[0].block != rows[1].block:
            sizes = " and ".join(f"{r.block} ({r.name})" for r in rows)
            raise ValueError(f"block must be given when the formats' own differ, {sizes}, not None")
        lanes = _lanes(self.lanes, rows[0].block)
        choose("output", self.output, OUTPUTS)
        choose("class_sums", self.class_sums, dict.fromkeys(CLASS_SUMS))
        bounded = all(row.scale_rule is ScaleRule.NEAREST for row in rows)
        acc = ("exact" if bounded else "fp32") if self.acc is None else self.acc
        choose("acc", acc, dict.fromkeys(ACCUMULATIONS))
        if acc != "fp32" and not bounded:
            power_of_two = next(r.name for r in rows if r.scale_rule is not ScaleRule.NEAREST)
            raise ValueError(f"acc must be fp32 for the scales of {power_of_two}, not {acc!r}")
        set_field = functools.partial(object.__setattr__, self)
        frac_bits, int_bits = (
            sum(FIXED_BITS.get(row.scale.name, (0, 0))[n] for row in rows) for n in range(2)
        )
        for parameter, mode, least, most, default in (
            ("max_blocks", "exact", 4096, 1 << 24, 4096),
            ("frac_bits", "fixed", 0, 128, frac_bits),
            ("int_bits", "fixed", 0, 128, int_bits),
        ):
            value = getattr(self, parameter)
            if acc == mode:
                value = default if value is None else _check_range(parameter, value, least, most)
                set_field(parameter, value)
            elif value is not None:
                raise ValueError(
                    f"{parameter} must be left out unless acc is {mode}, not {value!r}"
                )
        set_field("format_a", rows[0].name)
        set_field("format_b", rows[1].name)
        set_field("block", rows[0].block)
        set_field("lanes", lanes)
        set_field("acc", acc)
        set_field("pipeline", self._normal_pipeline())
        terms = rows[0].scales * rows[1].scales
        can_be_serial = acc != "fp32" and 1 < terms <= self.beats
        scaling = SCALING[can_be_serial] if self.scaling is None else self.scaling
        choose("scaling", scaling, dict.fromkeys(SCALING))
        if scaling == "serial" and not can_be_serial:
            raise ValueError(
                "scaling must be parallel in fp32 mode, with a single term, or with fewer beats "
                f"in a block ({self.beats}) than terms ({terms}), not {scaling!r}"
            )
        set_field("scaling", scaling)

    def _normal_pipeline(self) -> str:
        if self.pipeline is None:
            # An FP32 sum is normalised as it is.
            idle = "normalised" if self.acc == "fp32" else ""
            return ",".join(name for name in PIPELINE if name != idle)
        return _normal_pipeline(self.pipeline, PIPELINE)

    @property
    def rows_ab(self) -> tuple[BlockFormat, BlockFormat]:
        """Rows of the format table of A and B."""
        return block_format(self.format_a, self.block), block_format(self.format_b, self.block)

    @property
    def word(self) -> FloatFormat:
        """The format of a result."""
        return OUTPUTS[self.output]

    @property
    def beats(self) -> int:
        """Cycles per block, K / lanes."""
        return self.block // self.lanes

    @property
    def cuts(self) -> frozenset[str]:
        """Names of the pipeline registers."""
        return _cuts(self.pipeline)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayConfig(DotConfig):
    """Configuration of `array`: that of `dot`, and `rows` and `cols`, 1 to 64 each."""

    unit: ClassVar[str] = "array"

    rows: int = 4
    cols: int = 4

    def __post_init__(self) -> None:
        DotConfig.__post_init__(self)
        _check_range("rows", self.rows, 1, 64)
        _check_range("cols", self.cols, 1, 64)

    @property
    def element(self) -> DotConfig:
        """Configuration of one processing element."""
        names = {f.name for f in dataclasses.fields(DotConfig)}
        return DotConfig(**{name: getattr(self, name) for name in names})


UNITS: dict[str, type[QuantizerConfig | DequantizerConfig | DotConfig | ArrayConfig]] = {
    "quantizer": QuantizerConfig,
    "dequantizer": DequantizerConfig,
    "dot": DotConfig,
    "array": ArrayConfig,
}
"""Configuration class of every unit, by the unit's name."""
