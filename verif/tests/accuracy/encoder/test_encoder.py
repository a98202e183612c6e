"""The encoder against another one that shares no code, bugs that it would show, and neighbours."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy.encoder import bert, sentences, similarity
from amxfp4.accuracy.measures import measure
from amxfp4.accuracy.model import OPERANDS, attended
from amxfp4.accuracy.quantized import FP32, Row, quantizer
from amxfp4.commands.language import models
from amxfp4.util import extras
from amxfp4.verif.tests.accuracy import tiny
from amxfp4.verif.tests.accuracy.encoder import tiny_bert

SEQUENCES = [np.array(tokens) for tokens in tiny_bert.SENTENCES]
SUBJECT = sentences.Sentences(tiny_bert.SENTENCES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bert.Encoder:
    return bert.load(tiny_bert.write(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def wanted() -> Any:
    return np.array([tiny_bert.embedding(tokens) for tokens in tiny_bert.SENTENCES])


def test_embeddings_are_those_of_another_implementation(model: Any, wanted: Any) -> None:
    got = bert.embeddings(model, SEQUENCES)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6)
    assert (wanted @ wanted.T)[0, 1] < 0.99  # or any model would do


_normed, _gelu = bert._normed, bert._gelu
PLANTED: dict[str, tuple[str, Callable[..., Any]]] = {
    "norm without bias": ("_normed", lambda m, x, n: _normed(m, x, (n[0], 0 * n[1]))),
    "norm without mean": ("_normed", lambda m, x, n: x / x.std(axis=-1)[:, None] * n[0] + n[1]),
    "looks back alone": (
        "attended",
        lambda q, k, v, mask, *more: attended(
            q, k, v, np.triu(np.full_like(mask, -np.inf), 1), *more
        ),
    ),
    "gelu by tanh": (
        "_gelu", lambda x: x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))) / 2
    ),
    "relu": ("_gelu", lambda x: np.maximum(x, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_found(
    name: str, model: Any, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bert, *PLANTED[name])
    assert np.abs(bert.embeddings(model, SEQUENCES) - wanted).max() > 5e-6


def test_gelu_is_that_of_math() -> None:
    x = np.linspace(-9, 9, 2001, dtype=np.float32)
    exact = [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    np.testing.assert_allclose(bert._gelu(x), exact, rtol=0, atol=1e-6)


def test_every_product_is_of_what_the_quantizer_returns(model: Any, wanted: Any) -> None:
    noted: dict[str, list[Any]] = {operand: [] for operand in OPERANDS}
    rng = np.random.default_rng(5)

    def noisy(operand: str, x: Any, axis: int) -> Any:
        noted[operand].append(x + rng.normal(0, 0.2 * x.std(), x.shape).astype(np.float32))
        return noted[operand][-1]

    got = bert.embeddings(model, SEQUENCES[:1], noisy)[0]
    again = tiny_bert.embedding(SUBJECT.tokens[0], lambda operand, _: noted[operand].pop(0))
    np.testing.assert_allclose(got, again, rtol=0, atol=3e-6)
    assert np.abs(got - wanted[0]).max() > 0.01
    assert not any(noted.values())


def test_operands_and_their_axes(model: Any) -> None:
    """Six weights once, activations by sentence; blocks run along what a product sums over."""
    seen: list[tuple[str, tuple[int, ...], int]] = []

    def note(operand: str, x: Any, axis: int) -> Any:
        seen.append((operand, x.shape, axis))
        return x

    bert.embeddings(model, SEQUENCES, note)
    layer: list[tuple[str, tuple[int, ...], int]] = [
        ("weight", shape, -1) for shape in tiny_bert.LINEAR.values()
    ]
    heads = tiny_bert.HEADS, tiny_bert.WIDTH // tiny_bert.HEADS
    for n in map(len, SEQUENCES):
        layer += [
            ("input", (n, tiny_bert.WIDTH), -1), ("query", (n, *heads), -1),
            ("key", (n, *heads), -1), ("value", (n, *heads), 0),
            ("probability", (tiny_bert.HEADS, n, n), -1), ("input", (n, tiny_bert.WIDTH), -1),
            ("input", (n, tiny_bert.WIDTH), -1), ("input", (n, tiny_bert.HIDDEN), -1),
        ]  # fmt: skip
    assert seen == layer * tiny_bert.LAYERS


def test_similarity() -> None:
    """Distances are 1 - cos; a nearest neighbour is another sentence."""
    angles = np.radians([0.0, 10.0, 30.0, 33.0])
    plain = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    moved = np.radians([0.0, 25.0, 30.0, 33.0])
    ours = np.stack([np.cos(moved), np.sin(moved)], 1).astype(np.float32)
    found = similarity.compared(ours, plain)
    np.testing.assert_allclose(
        found["distance"], [0, 1 - math.cos(math.radians(15)), 0, 0], atol=1e-6
    )
    # FP32: 0-1, 1-0, 2-3, 3-2; moved, the second is nearest to the third.
    assert found["agrees"].tolist() == [True, False, True, True]


def test_measured_row(model: Any) -> None:
    row = Row(label="x", format="mxfp4", mode="both")
    found = measure(model, SUBJECT, row, lambda: pytest.fail("nothing is calibrated"))
    wanted = similarity.compared(
        bert.embeddings(model, SEQUENCES, quantizer(row)), bert.embeddings(model, SEQUENCES)
    )
    assert np.array_equal(found.values["distance"], wanted["distance"])
    assert found.values["distance"].min() > 1e-4
    assert found.more["sqnr"].keys() == set(OPERANDS)
    plain = measure(model, SUBJECT, FP32, lambda: np.zeros(0, np.int64))
    assert not plain.values["distance"].any()
    assert plain.values["agrees"].all()
    with pytest.raises(TypeError, match="sentences for an encoder"):
        measure(model, tiny.windows(), row, lambda: np.zeros(0, np.int64))


@pytest.mark.parametrize(
    ("config", "without", "message"),
    [
        ({"model_type": "roberta"}, None, "model_type of config.json must be 'bert', not 'rob"),
        ({"hidden_act": "relu"}, None, "hidden_act of config.json must be 'gelu', not 'relu'"),
        ({"position_embedding_type": "rope"}, None, "position_embedding_type of config.json"),
        ({"layer_norm_eps": None}, None, "layer_norm_eps of config.json must be a number, not"),
        ({}, "encoder.layer.1.output.dense.bias", "'encoder.layer.1.output.dense.bias' must be"),
    ],
)  # fmt: skip
def test_wrong_file(config: Any, without: str | None, message: str, tmp_path: Path) -> None:
    path = tiny_bert.write(tmp_path, config=config, without=without)
    with pytest.raises(ValueError, match=message):
        bert.load(path)


def test_sentences_of_a_text() -> None:
    text = (
        "= Heading that has more words than it should have =\n\n"
        "This sentence goes\nover two lines and has ten words. Short one. Does this one end with a "
        "question mark, one asks? this one does not begin with a capital letter, so no.\n\n"
        "This sentence goes over two lines and has ten words.\n\nThis paragraph has no mark at its"
        " end and is left out"
    )
    assert sentences.of_text(text) == [
        "This sentence goes over two lines and has ten words.",
        "Does this one end with a question mark, one asks?",
    ]


def _real() -> Path:
    for name in extras.EXTRAS["encoder"]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(extras.install("encoder"))
    return models.place(Path("minilm"))


def test_tokens_of_the_real_encoder() -> None:
    """BERT's own numbers: CLS, hello, a comma, world, an exclamation mark, SEP; no padding."""
    path = _real()
    made = sentences.tokenizer(path)
    assert made.encode("Hello, world!").ids == [101, 7592, 1010, 2088, 999, 102]
    assert len(made.encode("no " * 999).ids) == sentences.LONGEST
    text = [("x", "Here is one that has more than seven words. " * 2)]
    with pytest.raises(ValueError, match="sentences must be at most 1 of 'x', not 2"):
        sentences.coded(made, text, 2)


@pytest.mark.nightly("the real model is read")
def test_real_encoder_finds_what_is_alike() -> None:
    """The example of the model's page on Hugging Face, whose PyTorch answers so."""
    path = _real()
    model, made = bert.load(path), sentences.tokenizer(path)
    texts = [
        "That is a happy person", "That is a happy dog", "That is a very happy person",
        "Today is a sunny day",
    ]  # fmt: skip
    found = bert.embeddings(model, [np.array(made.encode(text).ids) for text in texts])
    np.testing.assert_allclose(found[0] @ found[1:].T, [0.6945773, 0.9429150, 0.2568761], atol=1e-6)
    assert json.loads(path.with_name("config.json").read_text())["hidden_size"] == found.shape[1]
