"""Rotations: orthogonal, the same model in FP32, and other operands."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import rotation
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.model import Model, as_is
from amxfp4.accuracy.prepared import prepared, turned
from amxfp4.accuracy.quantized import Row, rows_of
from amxfp4.accuracy.rotation import ROTATIONS, hadamard, online, rotated
from amxfp4.verif.tests.accuracy import tiny


@pytest.mark.parametrize("n", [1, 2, 4, 64, 12, 24, 96, 384])
def test_hadamard(n: int) -> None:
    """Entries of one magnitude, and rows at right angles."""
    made = hadamard(n)
    assert np.allclose(np.abs(made), n**-0.5, rtol=1e-14)
    assert np.allclose(made @ made.T, np.eye(n), atol=1e-13)


@pytest.mark.parametrize("n", [0, 3, 6, 9, 18, 20, 36, 576])
def test_no_hadamard(n: int) -> None:
    message = f"size of a Hadamard matrix must be 2^k or 12 * 2^k, not {n}"
    with pytest.raises(ValueError, match=re.escape(message)):
        hadamard(n)


SAME = 1e-4
"""Nats of a token that rounding may cost this model, whose scores are large."""


def difference(model: Model, name: str, windows: Any, around: Any = None) -> float:
    """Largest difference of a loss between a model and what a rotation makes of it."""
    turn = around or online(model, name)
    found = tiny.losses(rotated(model, name), windows, turn(as_is))
    return float(np.abs(found - tiny.losses(model, windows)).max())


@pytest.mark.parametrize("own_head", [False, True])
@pytest.mark.parametrize("name", ROTATIONS)
def test_fp32_is_unchanged(name: str, own_head: bool, tmp_path: Path) -> None:
    """Losses differ by rounding alone, with a head of its own or the embedding's."""
    model = load(tiny.write(tmp_path, head=own_head))
    assert difference(model, name, tiny.windows()) < SAME


@pytest.mark.parametrize("name", ROTATIONS)
def test_parts_left_out_are_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same comparison fails where one side of a product is not rotated."""
    model, windows = load(tiny.write(tmp_path)), tiny.windows()

    def keys_alone(quantize: Any) -> Any:
        around = online(model, name)(quantize)
        return lambda operand, x, axis: (
            quantize(operand, x, axis) if operand == "query" else around(operand, x, axis)
        )

    assert difference(model, name, windows, keys_alone) > 1e-2
    if name == "full":
        assert difference(model, name, windows, lambda quantize: quantize) > 1e-2
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "_blocks", lambda weight, matrix: weight.astype(np.float32))
        assert name != "full" or difference(model, name, windows) > 1e-2
    real = rotation._heads
    monkeypatch.setattr(rotation, "_heads", lambda layer, head: real(layer, np.roll(head, 1, 0) * [
        [1 if i else -1] for i in range(len(head))]))  # fmt: skip
    assert difference(model, name, windows) < SAME  # any orthogonal matrix will do
    monkeypatch.setattr(rotation, "_heads", lambda layer, head: real(layer, 2 * head))
    assert difference(model, name, windows) > 1e-2


@pytest.mark.parametrize("name", ROTATIONS)
def test_outliers_are_spread(name: str, tmp_path: Path) -> None:
    """What is quantized is another operand: an outlier in a channel is in all of them."""
    model, windows = load(tiny.write(tmp_path)), tiny.windows(1)
    for layer in model.layers:
        layer.attention_norm[5] *= 40
        layer.query[3] *= 30
    peaks: dict[str, list[float]] = {"plain": [], "turned": []}

    def seen(into: list[float]) -> Any:
        def quantize(operand: str, x: Any, axis: int) -> Any:
            if operand == "query":
                into.append(float(np.abs(x).max() / np.sqrt(np.square(x).mean())))
            return x

        return quantize

    tiny.losses(model, windows, seen(peaks["plain"]))
    options = {"rotation": name}
    tiny.losses(prepared(model, "mxfp4", options, lambda: windows), windows,
           turned(model, options, seen(peaks["turned"])))  # fmt: skip
    assert np.mean(peaks["turned"]) < 0.7 * np.mean(peaks["plain"])


def test_sizes_that_do_not_fit(tmp_path: Path) -> None:
    model = load(tiny.write(tmp_path))
    shape = dataclasses.replace(model.shape, heads=3, head=21)
    odd = dataclasses.replace(model, shape=shape)
    with pytest.raises(ValueError, match="size of a Hadamard matrix must be"):
        rotated(odd, "heads")


def test_options_of_rows() -> None:
    """Options are read, checked, and kept to the modes that have them."""
    texts = ["mxfp4 rotation=full", "mxfp4 gptq=true rotation=heads", "afpq-nf4"]
    rows = [(row.mode, row.label) for row in rows_of(texts, ["weights", "both"])]
    assert ("both", texts[0]) in rows
    for text in texts[1:]:
        assert ("weights", text) in rows
        assert ("both", text) not in rows
    for text, message in {
        "mxfp4 calibration=text": "calibration must come with gptq=true",
        "mxfp4 gptq=true calibration=all": "calibration must be one of own, text, not 'all'",
        "mxfp4 damping=0.1": "damping must come with gptq=true",
        "mxfp4 gptq=true damping=0": "damping must be a number above 0, up to 10, not 0",
        "mxfp4 rotation=9": "rotation must be a string, not 9",
        "mxfp4 rotation=all": "rotation must be one of heads, full, not 'all'",
        "mxfp4 gptq=1": "gptq must be a string, not 1",
        "mxfp4 gptq=yes": "gptq must be one of true, false, not 'yes'",
    }.items():
        with pytest.raises((TypeError, ValueError), match=re.escape(message)):
            rows_of([text], ["weights"])
    for text in texts[1:]:
        with pytest.raises(ValueError, match=f"mode must be weights for {text!r}, not both"):
            rows_of([text], ["both"])
    with pytest.raises(ValueError, match="mode must be weights for 'x', not 'kv'"):
        Row(label="x", format="mxfp4", options={"gptq": True}, mode="kv")
