"""What the configurations of all units share: JSON in and out, the digest, lanes, registers.

Fields are normalised on construction, so that equal hardware has equal configurations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from amxfp4.params.checks import check_int, choose
from amxfp4.params.formats import BlockFormat, block_format

__all__ = ["BlockStreamConfig", "UnitConfig", "check_lanes", "cuts_of", "normal_pipeline"]


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


def check_lanes(value: object, block: int) -> int:
    """Return `value` if it is a power of two from 1 to `block`; `block` where it is ``None``."""
    lanes = block if value is None else check_int("lanes", value)
    if not 1 <= lanes <= block or lanes & (lanes - 1):
        raise ValueError(
            f"lanes must be a power of two from 1 to {block} (the block size), not {lanes!r}"
        )
    return lanes


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockStreamConfig(UnitConfig):
    """What quantizer and dequantizer share: a row of the format table, and lanes."""

    format: str = "amxfp4"
    block: int = None  # type: ignore[assignment]  # filled in below
    lanes: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        row = block_format(self.format, self.block)
        lanes = check_lanes(self.lanes, row.block)
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


def normal_pipeline(value: object, allowed: tuple[str, ...]) -> str:
    """Write the names in `value`, separated by commas, once each and in the order of `allowed`."""
    if not isinstance(value, str):
        raise TypeError(f"pipeline must be a string, not {value!r}")
    names = [name for name in value.split(",") if name]
    for name in names:
        choose("pipeline", name, dict.fromkeys(allowed))
    return ",".join(name for name in allowed if name in names)


def cuts_of(pipeline: str) -> frozenset[str]:
    """Names of the registers in a normal `pipeline`."""
    return frozenset(pipeline.split(",")) if pipeline else frozenset()
