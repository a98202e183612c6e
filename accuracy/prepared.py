"""What a row does to a model before it is measured: rotations, and weights quantized by GPTQ.

They are options beside those of `golden.quantize`: ``gptq=true``, perhaps with ``damping=0.01``,
and ``rotation=heads``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose

from . import gptq, tokens
from .model import Model, Quantize
from .rotation import ROTATIONS, online, rotated

__all__ = ["CALIBRATION", "calibration", "check", "of_golden", "prepared", "turned"]

CALIBRATION = 32, 256
"""Windows that GPTQ calibrates on, and tokens of each."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "gptq": {"true": True, "false": False}, "rotation": dict.fromkeys(ROTATIONS),
}  # fmt: skip


def of_golden(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that `golden.quantize` takes."""
    return {n: value for n, value in options.items() if n not in _OPTIONS and n != "damping"}


def check(options: Mapping[str, Any], mode: str) -> None:
    """Check the options that golden does not take.

    Raises
    ------
    TypeError, ValueError
        A value is none of an option's, ``gptq`` is for another mode than weights, or ``damping`` is
        without it.
    """
    if "damping" in options:
        damping = options["damping"]
        if isinstance(damping, bool) or not isinstance(damping, int | float):
            raise TypeError(f"damping must be a number above 0, up to 10, not {damping!r}")
        if not 0 < damping <= 10:
            raise ValueError(f"damping must be a number above 0, up to 10, not {damping!r}")
        if options.get("gptq") is not True:
            raise ValueError("damping must come with gptq=true")
    for name, allowed in _OPTIONS.items():
        if name in options:
            value = options[name]
            choose(name, str(value).lower() if isinstance(value, bool) else value, allowed)
    if options.get("gptq") is True and mode not in ("", "weights"):
        raise ValueError(f"mode must be weights with gptq=true, not {mode!r}")


def turned(model: Model, options: Mapping[str, Any], quantize: Quantize) -> Quantize:
    """Rotate operands before they are quantized, if options say so."""
    return _around(model, options)(quantize)


def _around(model: Model, options: Mapping[str, Any]) -> Callable[[Quantize], Quantize]:
    rotation = options.get("rotation")
    return online(model, rotation) if rotation else lambda quantize: quantize


def prepared(
    model: Model,
    format: str,
    options: Mapping[str, Any],
    windows: Callable[[], npt.NDArray[np.int64]],
) -> Model:
    """Rotate a model, then quantize its weights by GPTQ, as options say.

    Parameters
    ----------
    windows
        Gives the tokens of calibration, [n, w + 1].
    """
    if rotation := options.get("rotation"):
        model = rotated(model, rotation)
    if options.get("gptq") is True:
        around = _around(model, options)
        damping = options.get("damping", gptq.DAMPING)
        model = gptq.quantized(
            model, windows(), format, of_golden(options), around, damping=damping
        )  # fmt: skip
    return model


@functools.cache
def calibration(path: Path) -> npt.NDArray[np.int64]:
    """Tokens to calibrate the model of a file on: the ends of `tokens.own_texts`.

    Measured is what these begin with, or another text.
    """
    made, (count, window) = tokens.tokenizer(path), CALIBRATION
    most = count * window // 2 + 1
    # A token is a dozen bytes at most, and four on average.
    ends = [(name, text[-16 * most :]) for name, text in tokens.own_texts()]
    coded = [(name, tokens.encode(made, text)[-most:]) for name, text in ends]
    return tokens.windows(coded, count * window, window)
