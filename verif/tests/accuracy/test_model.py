"""The forward pass against another one that shares no code, and bugs that it would show."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import model as ours
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.model import OPERANDS
from amxfp4.golden.files.gguf_file import GgufFile
from amxfp4.verif.tests.accuracy import slowly, tiny
from amxfp4.verif.tests.accuracy.tiny import losses
from amxfp4.verif.tests.golden.files.made import gguf_file

WINDOWS = tiny.windows()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(tiny.write(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def wanted() -> Any:
    return np.array([slowly.losses(tiny.tensors(), tiny.KEYS, w.tolist()) for w in WINDOWS])


def test_losses_are_those_of_another_implementation(model: Any, wanted: Any) -> None:
    got = losses(model, WINDOWS)
    assert got.shape == (2, 40)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)
    assert wanted.std() > 0.3  # or any model would do


def test_head_of_its_own(tmp_path: Path) -> None:
    got = losses(load(tiny.write(tmp_path, head=True)), WINDOWS[:1, :9])
    wanted = slowly.losses(tiny.tensors(head=True), tiny.KEYS, WINDOWS[0, :9].tolist())
    np.testing.assert_allclose(got[0], wanted, rtol=0, atol=1e-4)


def _halves(x: Any, turn: Any, *, halves: bool) -> Any:
    """Rotate pairs of elements half a head apart, as in files of other architectures."""
    cos, sin = (t[:, None] for t in turn)
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def _backwards(x: Any, turn: Any, *, halves: bool) -> Any:
    return _turned(x, (turn[0], -turn[1]), halves=halves)


def _spread(x: Any) -> Any:
    """Softmax that sees later tokens."""
    return _softmax(np.where(np.isinf(x), 0, x))


_turned, _softmax, _normed = ours._turned, ours._softmax, ours._normed
PLANTED = {
    "pairs half a head apart": ("_turned", _halves),
    "turned backwards": ("_turned", _backwards),
    "not turned": ("_turned", lambda x, _, halves: x),
    "looks ahead": ("_softmax", _spread),
    "another temperature": ("_softmax", lambda x: _softmax(2 * x)),
    "norm without weight": ("_normed", lambda x, w, shape: _normed(x, np.ones_like(w), shape)),
    "norm without epsilon": (
        "_normed", lambda x, w, shape: _normed(x, w, dataclasses.replace(shape, epsilon=0.0)),
    ),
    "no attention": ("_attention", lambda *_: np.float32(0)),
    "no MLP": ("_mlp", lambda *_: np.float32(0)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_found(
    name: str, model: Any, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, *PLANTED[name])
    assert np.abs(losses(model, WINDOWS) - wanted).max() > 1e-2


def test_planted_base_is_found(model: Any, wanted: Any) -> None:
    other = dataclasses.replace(model, shape=dataclasses.replace(model.shape, bases=(110.0,) * 2))
    assert np.abs(losses(other, WINDOWS) - wanted).max() > 1e-2


def test_a_window_is_a_context_of_its_own(model: Any) -> None:
    assert np.array_equal(losses(model, WINDOWS)[1], losses(model, WINDOWS[1:])[0])


def test_perturbation_is_small_and_repeats(model: Any) -> None:
    plain = losses(model, WINDOWS)
    first, second = (losses(model, WINDOWS, perturbation=1e-5) for _ in range(2))
    assert np.array_equal(first, second)
    assert 0 < np.abs(first - plain).max() < 1e-2


def test_every_product_is_of_what_the_quantizer_returns(model: Any) -> None:
    """What replaced the operands is noted; the other implementation multiplies the same."""
    noted: dict[str, list[Any]] = {operand: [] for operand in OPERANDS}
    rng = np.random.default_rng(5)

    def noisy(operand: str, x: Any, axis: int) -> Any:
        noted[operand].append(x + rng.normal(0, 0.2 * x.std(), x.shape).astype(np.float32))
        return noted[operand][-1]

    got = losses(model, WINDOWS[:1], noisy)
    plain = slowly.losses(tiny.tensors(), tiny.KEYS, WINDOWS[0].tolist())
    wanted = slowly.losses(
        tiny.tensors(), tiny.KEYS, WINDOWS[0].tolist(), lambda operand, _: noted[operand].pop(0)
    )
    np.testing.assert_allclose(got[0], wanted, rtol=0, atol=1e-4)
    assert np.abs(got[0] - plain).mean() > 0.05
    assert not any(noted.values())


def test_operands_and_their_axes(model: Any) -> None:
    """Seven weights once, activations by window; blocks run along what a product sums over."""
    seen: list[tuple[str, tuple[int, ...], int]] = []

    def note(operand: str, x: Any, axis: int) -> Any:
        assert x.dtype == np.float32
        seen.append((operand, x.shape, axis))
        return x

    losses(model, WINDOWS, note)
    head = tiny.WIDTH // tiny.HEADS
    inner = head * tiny.GROUPS
    layer = [("weight", (rows, columns), -1) for rows, columns in (
        (tiny.WIDTH, tiny.WIDTH), (inner, tiny.WIDTH), (inner, tiny.WIDTH),
        (tiny.WIDTH, tiny.WIDTH), (tiny.HIDDEN, tiny.WIDTH), (tiny.HIDDEN, tiny.WIDTH),
        (tiny.WIDTH, tiny.HIDDEN),
    )]  # fmt: skip
    window = [
        ("input", (40, tiny.WIDTH), -1), ("query", (40, tiny.HEADS, head), -1),
        ("key", (40, tiny.GROUPS, head), -1), ("value", (40, tiny.GROUPS, head), 0),
        ("probability", (tiny.HEADS, 40, 40), -1), ("input", (40, tiny.WIDTH), -1),
        ("input", (40, tiny.WIDTH), -1), ("input", (40, tiny.HIDDEN), -1),
    ]  # fmt: skip
    assert seen == (layer + window * 2) * tiny.LAYERS


def test_values_of_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    keys = {"n": 7, "x": 0.5, "text": "é", "texts": ["a", "b c"], "numbers": [1, -2]}
    path.write_bytes(gguf_file({}, keys))
    file = GgufFile(path)
    assert {key: file.value(key) for key in keys} == keys
    with pytest.raises(ValueError, match="its header must have the key 'y'"):
        file.value("y")
    file.close()


@pytest.mark.parametrize(
    ("keys", "without", "message"),
    [
        ({"general.architecture": "qwen2"}, None, "must be llama or gemma3, not 'qwen2'"),
        ({}, "blk.1.ffn_up.weight", "tensor 'blk.1.ffn_up.weight' must be .* not nothing"),
        ({}, "output_norm.weight", "tensor 'output_norm.weight' must be .* not nothing"),
    ],
)
def test_wrong_file(keys: Any, without: str | None, message: str, tmp_path: Path) -> None:
    held = {name: tensor for name, tensor in tiny.tensors().items() if name != without}
    (tmp_path / "x.gguf").write_bytes(gguf_file(held, tiny.KEYS | keys))
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "x.gguf")


def test_wrong_tensor_type(tmp_path: Path) -> None:
    held = tiny.tensors() | {"output_norm.weight": (26, np.zeros(tiny.WIDTH, "<i4"))}
    (tmp_path / "x.gguf").write_bytes(gguf_file(held, tiny.KEYS))
    with pytest.raises(ValueError, match=r"'output_norm\.weight' must be .* not I32 64"):
        load(tmp_path / "x.gguf")


def test_key_that_is_missing(tmp_path: Path) -> None:
    keys = {key: v for key, v in tiny.KEYS.items() if key != "llama.block_count"}
    (tmp_path / "x.gguf").write_bytes(gguf_file(tiny.tensors(), keys))
    with pytest.raises(ValueError, match=r"must have the key 'llama\.block_count'"):
        load(tmp_path / "x.gguf")


def test_file_that_is_cut_off(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises((ValueError, struct.error)):
        load(path)
