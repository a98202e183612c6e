"""Claims about formats, and what results say of each: a figure and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amxfp4.accuracy.quantized import MODES, Row, described

from .statistics import difference, is_difference
from .summaries import Result, Results

__all__ = ["CLAIMS", "Claim", "Judged", "judged", "shares"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """`first` loses less than `second`, or with `gain` false: it does not. Both as `described`.

    Parameters
    ----------
    text
        In words.
    """

    text: str
    first: str
    second: str
    gain: bool = True


CLAIMS = (
    Claim(
        text="With scales that are powers of two a scale for each sign gains nothing",
        first="amxfp4-pot", second="mxfp4", gain=False,
    ),
    Claim(
        text="With E5M2 scales a scale for each sign gains",
        first="amxfp4", second="mxfp4-e5m2",
    ),
    Claim(
        text="At 4.5 bits NVFP4 with four over six loses less than the paper's AMXFP4",
        first="nvfp4-46 tensor_scale=auto", second="amxfp4",
    ),
    Claim(
        text="UE5M3 for both scales loses less than the paper's AMXFP4",
        first="amxfp4-ue5m3", second="amxfp4",
    ),
    Claim(
        text="UE5M3 for both scales, searched, loses less than NVFP4 with four over six",
        first="amxfp4-ue5m3 search=[0,3]", second="nvfp4-46 tensor_scale=auto",
    ),
    Claim(
        text="A second UE5M3 scale, as hardware chooses it, gains on the first alone",
        first="amxfp4-ue5m3 second=5", second="amxfp4-ue5m3",
    ),
    Claim(
        text="With a second UE5M3 scale two scales lose less than NVFP4 with four over six",
        first="amxfp4-ue5m3 second=5", second="nvfp4-46 tensor_scale=auto",
    ),
)  # fmt: skip
"""What is said for and against two scales; docs/accuracy.md says when it was written down."""
STEPS = ("mxfp4", "mxfp4-e5m2", "amxfp4")
"""A significand for the scale, then a scale for each sign."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A claim in a mode.

    Parameters
    ----------
    figure
        Losses of the first row less those of the second, with the larger standard error.
    verdict
        ``holds`` or ``does not hold``, where the difference exceeds twice the error and the floor
        of noise; else ``not shown``, or of a claim that nothing is gained, ``not refuted``.
    first, second
        The rows.
    """

    claim: Claim
    mode: str
    figure: str
    verdict: str
    first: Row
    second: Row


def judged(results: Sequence[Result]) -> list[Judged]:
    """Judge claims by results on one text, mode by mode; those without rows are left out."""
    known = Results(results)
    found = []
    for mode in MODES:
        for claim in CLAIMS:
            pair = [_like(known, text, mode) for text in (claim.first, claim.second)]
            first, second = pair
            if first is None or second is None:
                continue
            d = difference(first.losses, second.losses)
            verdict = "not shown" if claim.gain else "not refuted"
            if is_difference(d, known.floor(first)):
                verdict = "holds" if claim.gain == (d.mean < 0) else "does not hold"
            found.append(
                Judged(
                    claim=claim, mode=mode, verdict=verdict, first=first.row, second=second.row,
                    figure=f"{d.mean:+.4f} +- {d.error:.4f} {first.unit}",
                )
            )  # fmt: skip
    return found


def shares(results: Sequence[Result]) -> dict[str, tuple[float, float]]:
    """Share of AMXFP4's gain on MXFP4 that the significand of its scales has, by mode.

        r = mean(a - b) / mean(a - c)    error = s(a - b - r (a - c)) / (sqrt(n) |mean(a - c)|)

    with the losses a of MXFP4, b with E5M2 scales, and c of AMXFP4; the error is the larger one of
    both kinds, and what is left is what a scale for each sign has. Rounding to nearest instead of
    down is part of the first step.

    Returns
    -------
    Share and its standard error, of modes that have all three rows and a gain.
    """
    known = Results(results)
    found = {}
    for mode in MODES:
        a, b, c = (_like(known, text, mode) for text in STEPS)
        if a is None or b is None or c is None:
            continue
        part, whole = a.losses - b.losses, a.losses - c.losses
        if whole.mean() <= 0:
            continue
        share = float(part.mean() / whole.mean())
        error = difference(part - share * whole, np.zeros(len(whole))).error
        found[mode] = share, error / float(whole.mean())
    return found


def _like(known: Results, text: str, mode: str) -> Result | None:
    row = Row(label=text, mode=mode, **described(text))
    return known.like(known.all[0], row) if known.all else None
