"""Sentences of a text, and their tokens: WordPiece, as an encoder's own file says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LONGEST", "WORDS", "Sentences", "coded", "of_text", "tokenizer"]

WORDS = 8, 64
"""A sentence has at least and at most so many."""
LONGEST = 256
"""Tokens of a sentence; what is behind them is cut off."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """Tokens of sentences, with those that begin and end each."""

    tokens: tuple[tuple[int, ...], ...]


def of_text(text: str) -> list[str]:
    r"""Find the sentences of a text, each once, in its order.

    They begin with a capital letter, end with a full stop, a question mark or an exclamation mark
    before a blank, and have 8 to 64 words. Headings and tables are none.

    Examples
    --------
    >>> of_text("Title\n\nHere is one that has more than\nseven words. Too short.")
    ['Here is one that has more than seven words.']
    """
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            few, many = WORDS
            if re.match(r"[A-Z].*[.!?]$", sentence) and few <= len(sentence.split()) <= many:
                found.append(sentence)
    return list(dict.fromkeys(found))


def tokenizer(path: Path) -> Any:
    """Tokenizer of an encoder: ``tokenizer.json`` beside its weights.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no tokenizer.
    """
    from tokenizers import Tokenizer

    text = path.with_name("tokenizer.json").read_text(encoding="utf-8")
    try:
        made = Tokenizer.from_str(text)
    except Exception as error:  # what tokenizers raises has no other class
        raise ValueError(f"tokenizer.json must be of a tokenizer: {error}") from error
    made.no_padding()
    made.enable_truncation(LONGEST)
    return made


def coded(made: Any, texts: Sequence[tuple[str, str]], count: int) -> Sentences:
    """Tokens of the first sentences of texts.

    Parameters
    ----------
    texts
        Names and texts; each gives the same number of sentences, the first of them one more where
        that does not come out even.
    count
        Sentences in all, 2 at least.

    Raises
    ------
    ValueError
        A text has fewer.
    """
    each, more = divmod(count, len(texts))
    chosen: list[str] = []
    for number, (name, text) in enumerate(texts):
        found, needed = of_text(text), each + (number < more)
        if needed > len(found):
            raise ValueError(
                f"sentences must be at most {len(found):,} of {name!r}, not {needed:,}"
            )
        chosen += found[:needed]
    return Sentences(tuple(tuple(e.ids) for e in made.encode_batch(chosen)))
