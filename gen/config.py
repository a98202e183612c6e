"""Unit configurations, and the formats they name: the parameters that everyone shares.

Golden, RTL and testbenches read them here. Like `amxfp4.gen.formats` it holds parameters, never
behaviour, and imports nothing beyond it and the standard library.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from .formats import (
    BF16,
    BLOCK_SIZES,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    FORMATS,
    FP16,
    FP32,
    INPUTS,
    OUTPUTS,
    BlockFormat,
    FloatFormat,
    ScaleRule,
    Ties,
    block_format,
    check_among,
    check_int,
    check_range,
    choose,
)

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
    "check_among",
    "check_range",
    "choose",
]


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
    lanes = block if value is None else check_int("lanes", value)
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
                value = default if value is None else check_range(parameter, value, least, most)
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
        check_range("rows", self.rows, 1, 64)
        check_range("cols", self.cols, 1, 64)

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
