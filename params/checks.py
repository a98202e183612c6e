"""Checks of parameters: each names the parameter, the value and what is allowed."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["check_among", "check_int", "check_range", "choose"]

T = TypeVar("T")


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


def check_int(parameter: str, value: object) -> int:
    """Return `value`, an integer, or say that it is none.

    Raises
    ------
    TypeError
        `value` is not an integer; ``True`` is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be an integer, not {value!r}")
    return value


def check_among(parameter: str, value: object, allowed: tuple[int, ...]) -> int:
    """Return `value`, one of `allowed`, or say which they are.

    Raises
    ------
    TypeError
        `value` is not an integer.
    ValueError
        It is another one.
    """
    if (number := check_int(parameter, value)) not in allowed:
        names = ", ".join(map(str, allowed))
        raise ValueError(f"{parameter} must be one of {names}, not {value!r}")
    return number


def check_range(parameter: str, value: object, least: int, most: int) -> int:
    """Return `value`, from `least` to `most`, or say what the range is.

    Raises
    ------
    TypeError
        `value` is not an integer.
    ValueError
        It is outside.
    """
    if not least <= (number := check_int(parameter, value)) <= most:
        raise ValueError(f"{parameter} must be from {least} to {most}, not {value!r}")
    return number
