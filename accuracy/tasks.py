"""Choices between continuations: items from a file or from a text, and what a model prefers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .model import Model, Multiply, Quantize, Tokens, as_is, final, fp32
from .predictions import losses

__all__ = ["CONTEXT", "CONTINUATION", "Item", "choices", "from_text", "read"]

CONTEXT, CONTINUATION, WRONG = 48, 16, 3
"""Tokens of an item from a text, and how many wrong continuations it has."""
Encode = Callable[[str], Tokens]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A context and its continuations, of which the first is right.

    Parameters
    ----------
    context
        Tokens, one at least: the first token of a continuation is predicted from it.
    continuations
        Tokens, one at least each; two continuations at least.
    lengths
        What their log likelihoods are divided by: characters of each, or tokens.
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    lengths: tuple[int, ...]


def read(path: Path, encode: Encode, first: int | None) -> list[Item]:
    """Read items from lines of JSON, as ``{"context": ..., "right": ..., "wrong": [...]}``.

    Parameters
    ----------
    path
        A file in UTF-8; empty lines are skipped.
    encode
        Tokens of a text. Context and continuation are encoded each for itself: a blank between
        them is the continuation's first character.
    first
        Token that stands before an item without context, if the model has one.

    Raises
    ------
    OSError, UnicodeDecodeError
        The file cannot be read.
    ValueError
        A line or a field is not what it must be, or there is no item; the text says where.
    """
    items = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            items.append(_item(line, encode, first))
        except ValueError as error:
            raise ValueError(f"line {number} of {path}: {error}") from None
    if not items:
        raise ValueError(f"{path} must have a line at least, with an item, not none")
    return items


def _item(line: str, encode: Encode, first: int | None) -> Item:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError(f"must be an object of JSON, not {line[:60]!r}")
    for name in fields:
        if name not in ("context", "right", "wrong"):
            raise ValueError(f"fields must be context, right and wrong, not {name!r}")
    context = fields.get("context", "")
    if not isinstance(context, str):
        raise ValueError(f"context must be a text, not {context!r}")
    wrong = fields.get("wrong")
    if not isinstance(wrong, list) or not wrong:
        raise ValueError(f"wrong must be a list of one text or more, not {wrong!r}")
    texts: dict[str, Any] = {"right": fields.get("right")}
    texts |= {f"wrong[{n}]": text for n, text in enumerate(wrong)}
    for name, text in texts.items():
        if not isinstance(text, str) or not text:
            raise ValueError(f"{name} must be a text of one character or more, not {text!r}")
        if name != "right" and text == fields["right"]:
            raise ValueError(f"{name} must differ from right, not {text!r}")
    if not context and first is None:
        raise ValueError("context must be given: this model has no token that begins a text")
    before: Any = encode(context).tolist() if context else [first]
    return Item(
        context=tuple(before),
        continuations=tuple(tuple(encode(text).tolist()) for text in texts.values()),
        lengths=tuple(len(text) for text in texts.values()),
    )


def from_text(ids: Tokens, count: int) -> list[Item]:
    """Items of a text: its own 16 tokens after 48 of context, against three other places' 16.

    Item i is the i-th of `count` equal parts of the text; its wrong continuations are the right
    ones of the items that are a quarter, a half and three quarters of the text further on.

    Parameters
    ----------
    ids
        Tokens of the text.
    count
        How many, 4 at least.

    Raises
    ------
    ValueError
        The text is too short.
    """
    length = CONTEXT + CONTINUATION
    if count < WRONG + 1 or len(ids) < count * length:
        most = len(ids) // length
        raise ValueError(f"items must be from {WRONG + 1} to {most} of this text, not {count}")
    starts = np.arange(count) * (len(ids) // count)
    right = [tuple(ids[at + CONTEXT : at + length].tolist()) for at in starts]
    others = [count * (n + 1) // (WRONG + 1) for n in range(WRONG)]
    return [
        Item(
            context=tuple(ids[at : at + CONTEXT].tolist()),
            continuations=(right[i], *(right[(i + step) % count] for step in others)),
            lengths=(CONTINUATION,) * (WRONG + 1),
        )
        for i, at in enumerate(starts)
    ]


def choices(
    model: Model,
    items: Sequence[Item],
    quantize: Quantize = as_is,
    multiply: Multiply = fp32,
    *,
    perturbation: float = 0.0,
) -> dict[str, npt.NDArray[np.bool_]]:
    """Find whether a model prefers the right continuation, of every item.

    It does where the right one's log likelihood, sum_t log p(token_t | what is before), exceeds
    that of every other; or that divided by its length.

    Returns
    -------
    ``by_sum`` and ``by_length``, bool [items].
    """
    pairs = [(item.context, way) for item in items for way in item.continuations]
    states = final(
        model, [np.array(before + way[:-1]) for before, way in pairs], quantize, multiply,
        perturbation=perturbation,
    )  # fmt: skip
    ends = [x[len(before) - 1 :] for x, (before, _) in zip(states, pairs, strict=True)]
    found = iter(losses(model, ends, [np.array(way) for _, way in pairs]))
    right: dict[str, list[Any]] = {"by_sum": [], "by_length": []}
    for item in items:
        likely = np.array([-next(found).sum() for _ in item.continuations])
        for name, scores in (("by_sum", likely), ("by_length", likely / item.lengths)):
            right[name].append(scores[0] > scores[1:].max())
    return {name: np.array(values) for name, values in right.items()}
