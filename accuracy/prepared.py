"""What a row does to a model before it is measured: rotations, and weights quantized by GPTQ.

They are options beside those of `golden.quantize`: ``gptq=true``, perhaps with ``damping=0.01``
and ``calibration=text`` (the end of what is measured), and ``rotation=heads``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.params.checks import choose

from . import gptq, tokens
from .model import Model, Quantize
from .rotation import ROTATIONS, online, rotated

__all__ = ["CALIBRATION", "calibration", "check", "ends", "of_golden", "prepared", "turned"]

CALIBRATION = 32, 256
"""Windows that GPTQ calibrates on, and tokens of each."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "gptq": {"true": True, "false": False}, "rotation": dict.fromkeys(ROTATIONS),
    "calibration": dict.fromkeys(("own", "text")),
}  # fmt: skip


def of_golden(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that `golden.quantize` takes."""
    return {n: value for n, value in options.items() if n not in _OPTIONS and n != "damping"}


def check(options: Mapping[str, Any], mode: str) -> None:
    """Check the options that golden does not take.

    Raises
    ------
    TypeError, ValueError
        A value is none of an option's, ``gptq`` is for another mode than weights, or an option of
        it is without it.
    """
    if "damping" in options:
        damping = options["damping"]
        if isinstance(damping, bool) or not isinstance(damping, int | float):
            raise TypeError(f"damping must be a number above 0, up to 10, not {damping!r}")
        if not 0 < damping <= 10:
            raise ValueError(f"damping must be a number above 0, up to 10, not {damping!r}")
    for name, allowed in _OPTIONS.items():
        if name in options:
            value = options[name]
            choose(name, str(value).lower() if isinstance(value, bool) else value, allowed)
    for name in ("damping", "calibration"):
        if name in options and options.get("gptq") is not True:
            raise ValueError(f"{name} must come with gptq=true")
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
    return ends(tokens.tokenizer(path), tokens.own_texts(), 0)


def ends(made: Any, texts: Sequence[tokens.Text], measured: int) -> npt.NDArray[np.int64]:
    """Tokens to calibrate on: the ends of texts, the same number of each.

    Parameters
    ----------
    made
        Tokenizer.
    texts
        One or more; their number divides that of windows.
    measured
        Tokens of the beginning of each that must not be among them; without any, only the end of
        a text is looked at.

    Raises
    ------
    ValueError
        A text is too short for both.
    """
    count, window = CALIBRATION
    most = count * window // len(texts) + 1
    coded = []
    for name, text in texts:
        # A token is a dozen bytes at most, and four on average.
        ids = tokens.encode(made, text if measured else text[-16 * most :])
        if len(ids) < measured + most:
            raise ValueError(
                f"tokens must be at most {max(0, len(ids) - most):,} of {name!r} with "
                f"calibration=text, not {measured:,}"
            )
        coded.append((name, ids[-most:]))
    return tokens.windows(coded, count * window, window)
