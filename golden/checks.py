"""Argument checks: each raises an error that names the parameter, what it must be, and its value.

Names of formats, words and modes are checked where they are looked up, by `choose` and
`block_format` of the shared parameters.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from amxfp4.params.formats import BlockFormat

from .dlpack import as_array

__all__ = [
    "check_array",
    "check_axis",
    "check_codes",
    "check_floats",
    "check_fp32",
    "check_integer",
    "check_kind",
    "check_shape",
]

_T = TypeVar("_T")
_Scalar = TypeVar("_Scalar", bound=np.generic)


def check_kind(parameter: str, value: object, kind: type[_T]) -> _T:
    """Return `value`, an instance of `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{parameter} must be {kind.__name__}, not {type(value).__name__}")
    return value


def check_integer(parameter: str, value: object, least: int, most: int) -> int:
    """Return `value`, an integer (NumPy's too, but not a bool) from `least` to `most`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be an integer, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{parameter} must be from {least} to {most}, not {value!r}")
    return int(value)


def check_fp32(parameter: str, value: object) -> float:
    """Return `value`, a number that FP32 holds, infinity and NaN too."""
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be a number, not {value!r}")
    number = float(value)
    with np.errstate(over="ignore"):
        if number == number and float(np.float32(number)) != number:
            raise ValueError(f"{parameter} must be a value of FP32, not {value!r}")
    return number


def check_axis(axis: object, ndim: int) -> int:
    """Return `axis`, counted from the front, of an array of `ndim` axes."""
    return check_integer("axis", axis, -ndim, ndim - 1) % ndim


def check_shape(shape: Any) -> tuple[int, ...]:
    """Return `shape` as a tuple of one or more positive integers."""
    try:
        sizes = tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be a tuple of integers, not {shape!r}") from None
    for size in sizes:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise TypeError(f"shape must be a tuple of integers, not {shape!r}")
    if not sizes or min(sizes) < 1:
        raise ValueError(f"shape must be one or more positive sizes, not {shape!r}")
    return tuple(int(size) for size in sizes)


def check_array(
    parameter: str, array: object, dtype: type[_Scalar], purpose: str = ""
) -> npt.NDArray[_Scalar]:
    """Return `array`, an array of exactly `dtype`; `purpose` says in the message why that one."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{parameter} must be an array of {np.dtype(dtype)}{purpose}, not {found}")
    return array


def check_floats(parameter: str, x: npt.ArrayLike, *others: str) -> npt.NDArray[Any]:
    """Return `x` as a native array of float32, float16 or bfloat16, or of one of the `others`.

    It may be a tensor of another library; see `amxfp4.golden.dlpack.as_array`.
    """
    array = as_array(parameter, x)
    if not array.dtype.isnative:  # words are read as integers further down
        array = array.byteswap().view(array.dtype.newbyteorder("="))
    names = (*others, "float32", "float16", "bfloat16")
    if array.dtype.name not in names:
        allowed = f"{', '.join(names[:-1])} or {names[-1]}"
        raise TypeError(f"{parameter} must be an array of dtype {allowed}, not {array.dtype}")
    return array


def check_codes(
    row: BlockFormat,
    codes: npt.NDArray[np.uint8],
    scale_pos: npt.NDArray[np.uint8],
    scale_neg: npt.NDArray[np.uint8] | None,
    zero_point: npt.NDArray[np.uint8] | None = None,
) -> None:
    """Check that codes [..., K], scales and zero points [...] of blocks are what `row` says."""
    check_array("codes", codes, np.uint8)
    most = (1 << row.element.width) - 1
    if codes.size and codes.max() > most:
        raise ValueError(f"codes must be at most {most}, not {int(codes.max())}")
    wanted = (
        ("scale_pos", scale_pos, True),
        ("scale_neg", scale_neg, row.asymmetric),
        ("zero_point", zero_point, row.zero_point),
    )
    expected = codes.shape[:-1]
    for name, shared, needed in wanted:
        if needed != (shared is not None):
            given = "given" if needed else "None"
            raise ValueError(f"{name} must be {given} for {row.name}, not {shared!r}")
        if shared is not None and check_array(name, shared, np.uint8).shape != expected:
            raise ValueError(f"{name} must be of shape {expected}, not {shared.shape}")
    if zero_point is not None and zero_point.size and zero_point.max() > most:
        raise ValueError(f"zero_point must be at most {most}, not {int(zero_point.max())}")
