"""What a field of a configuration means and may be, stated once for checks and help."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from amxfp4.params.checks import check_among, check_int, check_range, choose

__all__ = ["Allowed", "Lanes", "Names", "OneOf", "Parameter", "Range", "field", "parameters"]


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some names, or one of some integers."""

    values: tuple[str, ...] | tuple[int, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))

    @property
    def kind(self) -> type:
        """What the values are."""
        return type(self.values[0])

    def check(self, name: str, value: Any) -> Any:
        """Return `value` in normal form, or say what `name` may be."""
        if self.kind is int:
            return check_among(name, value, tuple(map(int, self.values)))
        choose(name, value, dict.fromkeys(map(str, self.values)))
        return str(value)


@dataclass(frozen=True, slots=True)
class Range:
    """An integer from `least` to `most`."""

    kind: ClassVar[type] = int
    values: ClassVar[tuple[int, ...]] = ()
    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"

    def check(self, name: str, value: Any) -> Any:
        """Return `value`, or say what `name` may be."""
        return check_range(name, value, self.least, self.most)


@dataclass(frozen=True, slots=True)
class Lanes:
    """A power of two from 1 to the block size."""

    kind: ClassVar[type] = int
    values: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64, 128)

    def __str__(self) -> str:
        return "a power of two from 1 to the block size"

    def check(self, name: str, value: Any, block: int | None = None) -> Any:
        """Return `value`, or say what `name` may be for blocks of `block` elements, if known."""
        lanes = check_int(name, value)
        if lanes < 1 or lanes & (lanes - 1) or (block is not None and lanes > block):
            most = "the block size" if block is None else f"{block} (the block size)"
            raise ValueError(f"{name} must be a power of two from 1 to {most}, not {lanes!r}")
        return lanes


@dataclass(frozen=True, slots=True)
class Names:
    """Some of `values`, or none of them, separated by commas."""

    kind: ClassVar[type] = str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"any of {', '.join(self.values)}"

    def check(self, name: str, value: Any) -> Any:
        """Write the names in `value` once each and in the order of `values`."""
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string, not {value!r}")
        given = [word for word in value.split(",") if word]
        for word in given:
            choose(name, word, dict.fromkeys(self.values))
        return ",".join(word for word in self.values if word in given)


Allowed = OneOf | Range | Lanes | Names


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One field of a configuration.

    Parameters
    ----------
    text
        What it is, as a phrase.
    allowed
        What it may be: checks it, and reads as text.
    default
        Its default in words.
    optional
        Whether ``None`` asks for that default.
    """

    text: str
    allowed: Allowed
    default: str
    optional: bool


def field(text: str, allowed: Allowed, default: Any = None, *, unset: str = "") -> Any:
    """Make a field of a configuration class, see `Parameter`.

    Without a `default` the configuration fills the field in, with what `unset` says.
    """
    about = Parameter(
        text=text,
        allowed=allowed,
        default=unset if default is None else str(default),
        optional=default is None,
    )
    return dataclasses.field(default=default, metadata={"parameter": about})


def parameters(config: type[Any]) -> dict[str, Parameter]:
    """Fields of a configuration class, by name."""
    return {f.name: f.metadata["parameter"] for f in dataclasses.fields(config)}
