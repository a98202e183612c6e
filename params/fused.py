"""The accumulation ``fused``, as tensor cores do it: its parameters and what they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from amxfp4.params.checks import check_range, choose

__all__ = ["EXACT", "PRESETS", "ROUNDINGS", "ZERO_EXPONENT", "FusedStep", "fused_step"]

EXACT: Final = "exact"
"""In place of a window: no summand loses a bit."""

ROUNDINGS = ("RZ", "RNE")
"""How a step ends: toward zero, or to nearest with ties to even."""

ZERO_EXPONENT = -139
"""Exponent of a summand that is zero since an element of every product, or a scale, is."""

STEPS = (1, 1024)
"""Least and most elements of a step, and of a group."""
WINDOWS = (0, 128)
"""Least and most bits of a window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FusedStep:
    """What a step adds up, and how (docs/numerics.md, Fused sums).

    Parameters
    ----------
    step
        Elements of a step, a multiple of `group`.
    group
        Elements whose products are summed exactly first; it divides the block.
    window
        Bits that are kept below the exponent of the step's largest summand, or `EXACT`.
    rounding
        One of `ROUNDINGS`.
    """

    step: int = 64
    group: int = 16
    window: int | Literal["exact"] = 35
    rounding: str = "RZ"

    def __post_init__(self) -> None:
        check_range("group", self.group, *STEPS)
        check_range("step", self.step, *STEPS)
        if self.step % self.group:
            raise ValueError(f"step must be a multiple of group, {self.group}, not {self.step}")
        if self.window != EXACT:
            if isinstance(self.window, str):
                raise ValueError(
                    f"window must be {EXACT} or from {WINDOWS[0]} to {WINDOWS[1]}, "
                    f"not {self.window!r}"
                )
            check_range("window", self.window, *WINDOWS)
        choose("rounding", self.rounding, dict.fromkeys(ROUNDINGS))

    def check_block(self, block: int) -> None:
        """Refuse blocks that the groups do not divide.

        Raises
        ------
        ValueError
            `block` is no multiple of `group`.
        """
        if block % self.group:
            raise ValueError(f"group must divide the block of {block} elements, not {self.group}")


PRESETS = {
    "blackwell": FusedStep(),
    "mxdotp": FusedStep(step=32, window=EXACT, rounding="RNE"),
}
"""Steps of known hardware, by name.

``blackwell`` is the published model of NVIDIA's block-scaled FP4 tensor core (mmasim 2.1.1);
``mxdotp`` a block dot product that is added to the sum with one rounding, as PULP's MXDOTP does
(arXiv 2505.13159).
"""


def fused_step(preset: object = None, **given: object) -> FusedStep:
    """Make a step from the name of a preset, or from parameters, ``blackwell``'s where not given.

    Raises
    ------
    TypeError
        A parameter is of the wrong kind.
    ValueError
        One is out of range, or given beside `preset`.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if preset is None:
        return FusedStep(**given)  # type: ignore[arg-type]  # checked there
    for name, value in given.items():
        raise ValueError(f"{name} must be None beside preset={preset!r}, not {value!r}")
    return choose("preset", preset, PRESETS)
