"""Questions that were fixed before anything was measured, and what results answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amxfp4.accuracy.quantized import MODES_MEASURED, Row, described

from .statistics import Difference, difference, is_difference
from .summaries import Result, Results

__all__ = ["QUESTIONS", "Question", "Verdict", "verdicts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Does the row `first` lose less than `second`? Both as `described` reads them.

    Parameters
    ----------
    why
        What the answer says.
    """

    first: str
    second: str
    why: str


QUESTIONS = (
    Question(first="amxfp4", second="mxfp4", why="all that AMXFP4 changes"),
    Question(first="amxfp4", second="mxfp4-e4m3", why="a scale for each sign, or a finer one"),
    Question(first="amxfp4", second="mxfp4-e5m2", why="a scale for each sign alone"),
    Question(first="amxfp4", second="nvfp4 tensor_scale=auto", why="or groups half as long"),
    Question(first="amxfp4", second="int4-asym", why="or a zero point"),
    Question(first="amxfp4", second="mxfp4 rotation=full", why="or a rotation"),
    Question(
        first="amxfp4-ue5m3 search=[0,3]", second="nvfp4-46 tensor_scale=auto",
        why="the best of either kind, searched against four over six",
    ),
    Question(
        first="amxfp4-ue5m3 search=[0,3]", second="nvfp4 tensor_scale=auto search=[0,3]",
        why="the best of either kind, both searched",
    ),
    Question(
        first="amxfp4-ue5m3 second=5", second="amxfp4-ue5m3",
        why="what a second scale gains, chosen as hardware does",
    ),
    Question(
        first="amxfp4-ue5m3 second=5", second="nvfp4-46 tensor_scale=auto",
        why="the same against four over six, exactly chosen",
    ),
)  # fmt: skip
"""Asked in every mode of `MODES_MEASURED`. At two standard errors about one question in twenty is
answered where there is no difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer to a question in a mode.

    Parameters
    ----------
    question, why
        In words; what the answer says.
    difference
        Losses of the first row less those of the second; ``None``: a row was not measured.
    floor
        What noise does (`amxfp4.accuracy.results.summaries.Results.floor`).
    unit
        Of the difference and the floor.
    answer
        ``yes``, ``no``, ``no difference seen``, or ``not measured`` and what.
    """

    question: str
    why: str
    difference: Difference | None
    floor: float
    answer: str
    unit: str = "nats"

    def __str__(self) -> str:
        if self.difference is None:
            return f"{self.question} {self.answer}"
        d = self.difference
        return f"{self.question} {d.mean:+.4f} +- {d.error:.4f} {self.unit}: {self.answer}"


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """Answer the questions, and those about accumulators, from results on one text.

    A difference must exceed twice the larger standard error, and the floor of noise.

    Returns
    -------
    Answers mode by mode, of modes with results; then, for every row with an accumulator, whether it
    differs from the same with FP32 sums.
    """
    known = Results(results)
    found = []
    for mode in MODES_MEASURED:
        of_mode = [r for r in known.all if r.row.mode == mode]
        for q in QUESTIONS if of_mode else ():
            pair = [_row(known, of_mode[0], text, mode) for text in (q.first, q.second)]
            asked = f"Does {q.first} lose less than {q.second} ({mode})?"
            found.append(_verdict(known, asked, q.why, (q.first, q.second), pair, ("yes", "no")))
    for r in known.all:
        if r.row.acc:
            plain = Row(**{**r.row.measured, "label": "", "acc": ""})
            asked = f"Does {r.row.label} differ from FP32 sums ({r.row.mode})?"
            names = (r.row.label, "the same with FP32 sums")
            pair = [r, known.like(r, plain)]
            why = "whether the accumulator matters"
            found.append(_verdict(known, asked, why, names, pair, ("yes", "yes")))
    return found


def _row(known: Results, beside: Result, text: str, mode: str) -> Result | None:
    try:
        row = Row(label=text, mode=mode, **described(text))
    except (TypeError, ValueError):  # a row that this version does not know
        return None
    return known.like(beside, row)


def _verdict(
    known: Results,
    asked: str,
    why: str,
    names: tuple[str, str],
    pair: Sequence[Result | None],
    answers: tuple[str, str],
) -> Verdict:
    first, second = pair
    if first is None or second is None:
        missing = " and ".join(n for n, r in zip(names, pair, strict=True) if r is None)
        answer = f"not measured: {missing}"
        return Verdict(question=asked, why=why, difference=None, floor=0.0, answer=answer)
    d, floor = difference(first.losses, second.losses), known.floor(first)
    answer = "no difference seen"
    if is_difference(d, floor):
        answer = answers[d.mean > 0]
    return Verdict(
        question=asked, why=why, difference=d, floor=floor, answer=answer, unit=first.unit
    )
