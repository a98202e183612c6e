"""The forward pass of Gemma 3 against another one, bugs that it would show, and its tokenizer."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import model as ours
from amxfp4.accuracy import tokens
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.prepared import prepared
from amxfp4.commands.language import models
from amxfp4.util import extras
from amxfp4.verif.tests.accuracy import tiny
from amxfp4.verif.tests.accuracy.gemma import tiny_gemma
from amxfp4.verif.tests.golden.files.made import gguf_file

TOKENS = np.array([[5, 9, 1, 23, 5, 5, 17, 2, 11]])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gemma") / "tiny.gguf"
    made.write_bytes(gguf_file(tiny_gemma.tensors(), tiny_gemma.KEYS))
    return made


@pytest.fixture(scope="module")
def model(path: Path) -> ours.Model:
    pytest.importorskip("gguf", reason=extras.install("gemma"))
    return load(path)


@pytest.fixture(scope="module")
def wanted() -> Any:
    """Compute the losses of all tokens but the first, with a mark before it."""
    return np.array([tiny_gemma.losses(TOKENS[0].tolist())])


def test_losses_are_those_of_another_implementation(model: Any, wanted: Any) -> None:
    np.testing.assert_allclose(tiny.losses(model, TOKENS), wanted, rtol=0, atol=1e-4)
    assert wanted.std() > 0.3


PLANTED: dict[str, dict[str, Any]] = {
    "one base": {"bases": (1e4,) * 6}, "no window": {"windows": (None,) * 6},
    "a window of one less": {"windows": (*(2,) * 5, None)}, "neighbours": {"halves": False},
    "another gate": {"gate": "silu"}, "no scale": {"scale": 1.0},
    "windows alone": {"windows": (3,) * 6},
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_shape_is_found(name: str, model: Any, wanted: Any) -> None:
    shape = dataclasses.replace(model.shape, **PLANTED[name])
    got = tiny.losses(dataclasses.replace(model, shape=shape), TOKENS)
    assert np.abs(got - wanted).max() > 1e-3


@pytest.mark.parametrize("name", ["query_norm", "key_norm", "attention_after", "mlp_after"])
def test_planted_norm_is_found(name: str, model: Any, wanted: Any) -> None:
    plain: Any = {name: None}
    layers = tuple(dataclasses.replace(layer, **plain) for layer in model.layers)
    got = tiny.losses(dataclasses.replace(model, layers=layers), TOKENS)
    assert np.abs(got - wanted).max() > 1e-2


def test_mark_of_the_beginning_is_found(model: Any, wanted: Any) -> None:
    got = tiny.losses(dataclasses.replace(model, begin=None), TOKENS)
    assert np.abs(got - wanted).max() > 1e-2


def test_rotations(model: Any, wanted: Any) -> None:
    """Heads may be rotated; the stream may not, since norms stand behind the layers."""
    rotated = prepared(model, "mxfp4", {"rotation": "heads"}, lambda: TOKENS)
    np.testing.assert_allclose(tiny.losses(rotated, TOKENS), wanted, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="rotation must be heads for a model with norms behind"):
        prepared(model, "mxfp4", {"rotation": "full"}, lambda: TOKENS)


def test_without_what_decodes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        ValueError, match="gguf must be installed: pip install --no-deps gemma3-270"
    ):
        load(path)


def test_tokenizer(path: Path) -> None:
    """Of two merges the one with the higher score; bytes for what has no token; marks as given."""
    pytest.importorskip("tokenizers", reason=extras.install("gemma"))
    made = tokens.tokenizer(path)
    texts = tiny_gemma.TEXTS
    found = [[texts[n] for n in tokens.encode(made, t)] for t in ("abc ab", "cab\n\nd", "é")]
    assert found[0] == ["abc", "\u2581a", "b"]
    assert found[1] == ["c", "ab", "\n\n", "<0x64>"]
    assert made.decode(tokens.encode(made, "abc ab d").tolist()) == "abc ab d"


@pytest.mark.nightly("the real model is read")
def test_real_model_predicts_english() -> None:
    """Its perplexity on the Bible, of 512 tokens, is far below a wrongly read model's."""
    for name in extras.EXTRAS["gemma"]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(extras.install("gemma"))
    path = models.place(Path("gemma3"))
    ids = tokens.encode(tokens.tokenizer(path), tokens.own_texts()[1][1], 513)
    assert np.exp(tiny.losses(load(path), tokens.windows([("", ids)], 512, 512)).mean()) < 30
