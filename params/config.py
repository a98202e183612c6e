"""What the configurations of all units share: JSON in and out, the digest, lanes, registers.

Fields are normalised on construction, so that equal hardware has equal configurations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from amxfp4.params.fields import Lanes, OneOf, field, parameters
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, BlockFormat, block_format

__all__ = ["BLOCK", "LANES", "BlockStreamConfig", "UnitConfig", "cuts_of"]

BLOCK = OneOf(BLOCK_SIZES)
LANES = Lanes()


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitConfig:
    """What every unit's configuration offers: JSON in and out, and a digest.

    Fields are normalised on construction (aliases resolved, defaults filled in), so that equal
    hardware has equal configurations, and equal digests.
    """

    unit: ClassVar[str]

    def _check_fields(self) -> None:
        """Hold every field against what it may be, and write it in its normal form."""
        for name, parameter in parameters(type(self)).items():
            value = getattr(self, name)
            if value is not None or not parameter.optional:
                object.__setattr__(self, name, parameter.allowed.check(name, value))

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


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockStreamConfig(UnitConfig):
    """What quantizer and dequantizer share: a row of the format table, and lanes."""

    format: str = field("Block format", OneOf(tuple(FORMATS)), "amxfp4")
    block: int = field("Elements per block", BLOCK, unset="the format's")
    lanes: int = field("Elements per cycle", LANES, unset="the block size")

    def __post_init__(self) -> None:
        row = block_format(self.format, self.block)
        lanes = row.block if self.lanes is None else LANES.check("lanes", self.lanes, row.block)
        object.__setattr__(self, "format", row.name)
        object.__setattr__(self, "block", row.block)
        object.__setattr__(self, "lanes", lanes)
        self._check_fields()

    @property
    def row(self) -> BlockFormat:
        """The row of the format table."""
        return block_format(self.format, self.block)

    @property
    def beats(self) -> int:
        """Beats of `lanes` words per block, K / lanes."""
        return self.row.block // self.lanes


def cuts_of(pipeline: str) -> frozenset[str]:
    """Names of the registers in a normal `pipeline`."""
    return frozenset(pipeline.split(",")) if pipeline else frozenset()
