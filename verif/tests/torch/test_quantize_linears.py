"""`quantize_linears`: which layers, what they compute with, and what stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install 'amxfp4[torch]'")
ours = pytest.importorskip("amxfp4.torch")
nn, parametrize, functional = torch.nn, torch.nn.utils.parametrize, torch.nn.functional


# Its base is of a module that may not be installed where types are checked.
class Model(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Layers in layers, one of them named twice, and a head that shares the embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 48)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(48, 80), "down": nn.Linear(80, 48)}) for _ in range(2)
        )
        self.again = self.blocks[0]["up"]
        self.convolution = nn.Conv1d(48, 48, 1)
        self.head = nn.Linear(48, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Any) -> Any:
        x = self.embed(tokens)
        for block in self.blocks:
            x = x + block["down"](functional.relu(block["up"](input=x)))
        return self.head(x)


NAMES = ["blocks.0.up", "blocks.0.down", "blocks.1.up", "blocks.1.down", "head"]
TOKENS = torch.arange(7)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(1)
    return Model()


def by_hand(model: Any, weights: Any, activations: Any) -> Any:
    """Compute the model with values quantized where they are used."""

    def linear(x: Any, layer: Any) -> Any:
        return functional.linear(activations(x), weights(layer.weight), layer.bias)

    x = model.embed(TOKENS)
    for block in model.blocks:
        x = x + linear(functional.relu(linear(x, block["up"])), block["down"])
    return linear(x, model.head)


def same(x: Any) -> Any:
    return x


def mxfp4(x: Any) -> Any:
    return ours.fake_quantize(x, "mxfp4", ties="RNE", block=16)


def nvfp4(x: Any) -> Any:
    return ours.fake_quantize(x, "nvfp4", ties="RNE", block=16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("formats", "functions"),
    [
        (("mxfp4", None), (mxfp4, same)),
        ((None, "nvfp4"), (same, nvfp4)),
        (("mxfp4", "nvfp4"), (mxfp4, nvfp4)),
    ],
)
def test_layers_compute_with_quantized_values(
    model: Any, formats: Any, functions: Any, dtype: Any
) -> None:
    """Weights along their inputs, and inputs by position or by name; biases as they are."""
    model = model.to(dtype)
    expected = by_hand(copy.deepcopy(model), *functions)
    assert ours.quantize_linears(model, *formats, ties="RNE", block=16) == NAMES
    assert torch.equal(model(TOKENS), expected)
    with torch.no_grad(), parametrize.cached():
        assert torch.equal(model(TOKENS), expected)
        assert torch.equal(model(TOKENS), expected)
    assert torch.equal(copy.deepcopy(model)(TOKENS), expected)


def test_training_goes_on_with_what_was_there(model: Any) -> None:
    """Parameters are those of before; the embedding shares the head's, and is not quantized."""
    before = dict.fromkeys(map(id, model.parameters()))
    values = {name: value.clone() for name, value in model.state_dict().items()}
    ours.quantize_linears(model, "amxfp4", "amxfp4")
    assert dict.fromkeys(map(id, model.parameters())).keys() == before.keys()
    assert model.head.parametrizations.weight.original is model.embed.weight
    for name, value in model.state_dict().items():
        assert torch.equal(
            value, values[name.replace("parametrizations.weight.original", "weight")]
        )
    losses = []
    for _ in range(20):
        model.zero_grad()
        losses.append(functional.cross_entropy(model(TOKENS), TOKENS.roll(1)))
        losses[-1].backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.003 * parameter.grad
    assert all(p.grad is not None for n, p in model.named_parameters() if "convolution" not in n)
    assert losses[-1] < losses[0] / 2


def test_values_can_be_left_as_the_weight(model: Any) -> None:
    wanted = ours.fake_quantize(model.head.weight, "mxfp4")
    ours.quantize_linears(model, "mxfp4")
    parametrize.remove_parametrizations(model.head, "weight")
    assert torch.equal(model.head.weight, wanted)
    assert type(model.head) is nn.Linear


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ("*", (), NAMES),
        ("*.up", (), ["blocks.0.up", "blocks.1.up"]),
        (["head", "blocks.1.*"], ["*.down"], ["blocks.1.up", "head"]),
        (iter(["*.0.up", "head"]), iter(["blocks.1.*"]), ["blocks.0.up", "head"]),
        ("*", "blocks*", ["head"]),
    ],
)
def test_layers_by_name(model: Any, include: Any, exclude: Any, expected: Any) -> None:
    assert ours.quantize_linears(model, include=include, exclude=exclude) == expected
    quantized = [n for n, m in model.named_modules() if parametrize.is_parametrized(m)]
    assert quantized == expected


def test_a_layer_alone_and_a_named_format() -> None:
    """Its name is empty; an alias is shown by the name that the table has."""
    layer = nn.Linear(32, 4)
    assert ours.quantize_linears(layer, None, "amxfp4-e5m2", ties="RNE") == [""]
    assert "(input_quantizer): FakeQuantize(amxfp4, axis=-1, ties=RNE)" in repr(layer)


def test_attention_is_passed_over() -> None:
    """It never calls its output projection, so that inputs would silently stay as they are."""
    layer = nn.TransformerEncoderLayer(32, 2, 64)
    assert ours.quantize_linears(layer, activations="amxfp4") == ["linear1", "linear2"]


def test_fast_path_of_encoders_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """In evaluation PyTorch computes such a layer without its parts, unless hooks are attached."""
    layer = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True).eval()
    ours.quantize_linears(layer, None, "mxfp4")
    shapes = []

    def seen(x: Any, *_: Any, **options: Any) -> Any:
        shapes.append(x.shape)
        return x

    monkeypatch.setattr(ours, "fake_quantize", seen)
    with torch.no_grad():
        layer(torch.ones(1, 5, 32))
    assert shapes == [(1, 5, 32), (1, 5, 64)]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("fp5",), {}, ValueError, "weights must be one of .*, not 'fp5'"),
        ((None, "fp5"), {}, ValueError, "activations must be one of .*, not 'fp5'"),
        ((None, None), {}, ValueError, "weights or activations must be a format, not None both"),
        ((), {"block": 7}, ValueError, "block must be one of .*, not 7"),
        ((None, "mxfp4"), {"ties": "RTZ"}, ValueError, "ties must be one of .*, not 'RTZ'"),
        ((), {"axis": 0}, TypeError, "axis"),
        ((), {"include": "tail"}, ValueError, r"must leave an nn.Linear, .*: \['tail'\] and \[\]"),
        ((), {"exclude": ["*"]}, ValueError, r"must leave an nn.Linear, .* and \['\*'\]"),
    ],
)
def test_wrong(model: Any, arguments: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ours.quantize_linears(model, *arguments, **options)
    assert not any(map(parametrize.is_parametrized, model.modules()))


def test_wrong_model(model: Any) -> None:
    """Nothing is changed when one of the layers cannot be quantized."""
    with pytest.raises(TypeError, match="module must be Module, not dict"):
        ours.quantize_linears({"a": model})
    model.blocks[1].double()
    with pytest.raises(TypeError, match=r"bfloat16, not torch.float64 as in layer 'blocks.1.up'"):
        ours.quantize_linears(model)
    assert not any(map(parametrize.is_parametrized, model.modules()))


@pytest.mark.parametrize("formats", [("mxfp4", None), (None, "mxfp4")])
def test_wrong_twice(model: Any, formats: Any) -> None:
    ours.quantize_linears(model, *formats, include="head")
    with pytest.raises(ValueError, match="module must not be quantized yet, but layer 'head' is"):
        ours.quantize_linears(model, *formats)
    assert len(ours.quantize_linears(model, *formats, exclude="head")) == 4
