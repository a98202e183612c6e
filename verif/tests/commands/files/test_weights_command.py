"""The weight formats of AFPQ through the commands: quantize, info, dequantize, matmul."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.commands.files import quantize as command
from amxfp4.params.weights import WEIGHT_FORMATS


@pytest.fixture
def x(tmp_path, monkeypatch, rng):
    """Change to a folder with a tensor, x.npy."""
    monkeypatch.chdir(tmp_path)
    x = rng.standard_normal((6, 300)).astype(np.float32)
    np.save("x.npy", x)
    return x


def rows_of(printed):
    """Return the cells of the printed table's rows, by tensor."""
    lines = [line.split() for line in printed.splitlines()]
    start = next(i for i, cells in enumerate(lines) if cells[:1] == ["tensor"])
    return {cells[0]: cells[1:] for cells in lines[start + 1 :]}


@pytest.mark.parametrize(
    "options", [{}, {"packed": True}, {"block": -1}, {"block": 128, "axis": 0, "packed": True}]
)
@pytest.mark.parametrize("format", ["afpq-nf4", "fpq-fp3"])
def test_there_and_back_is_golden(x, format, options, capfd):
    typed = [word for name, value in options.items() if name != "packed"
             for word in (f"--{name}", str(value))]  # fmt: skip
    typed += ["--packed"] * options.get("packed", False)
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", format, *typed]) == 0
    assert cli.run(["dequantize", "q.safetensors", "y.safetensors"]) == 0
    wanted = golden.quantize(x, format, **options)
    found = golden.load_blocks("q.safetensors")["x"]
    np.testing.assert_array_equal(found.codes, wanted.codes)
    np.testing.assert_array_equal(found.scales, wanted.scales)
    assert (found.block, found.axis, found.packed) == (wanted.block, wanted.axis, wanted.packed)
    after = safetensors.numpy.load_file("y.safetensors")["x"]
    np.testing.assert_array_equal(after, golden.dequantize(wanted))
    assert cli.run(["compare", "q.safetensors", "y.safetensors"]) == 0


@pytest.mark.parametrize(("block", "axis"), [(128, -1), (-1, -1), (-1, 0), (128, 0)])
def test_pieces_are_the_whole(x, block, axis, monkeypatch):
    """Tensors that are worked on in pieces of fewer elements than a row."""
    monkeypatch.setattr(command, "PIECE", 256)
    words = x.astype(ml_dtypes.bfloat16)
    np.save("b.npy", words)
    typed = ["--format", "afpq-nf3", "--block", str(block), "--axis", str(axis)]
    assert cli.run(["quantize", "b.npy", "q.safetensors", *typed]) == 0
    wanted = golden.quantize(words, "afpq-nf3", block=block, axis=axis)
    found = golden.load_blocks("q.safetensors")["b"]
    np.testing.assert_array_equal(found.codes, wanted.codes)
    np.testing.assert_array_equal(found.scales, wanted.scales)


def test_what_is_said(x, capfd):
    typed = ["--format", "afpq-nf3", "--packed"]
    assert cli.run(["quantize", "x.npy", "q.safetensors", *typed]) == 0
    said = capfd.readouterr().out
    assert "q.safetensors: format=afpq-nf3 block=128 axis=-1 packed=True" in said
    # 300 elements are three groups, of 48 bytes of codes and 4 of scales each.
    assert rows_of(said)["x"][:5] == ["6x300", "fp32", "7,200", "18", "936"]
    assert cli.run(["info", "q.safetensors"]) == 0
    shown = ["6x300", "1", "blocks", "afpq-nf3", "packed", "128", "18", "936"]
    assert rows_of(capfd.readouterr().out)["x"] == shown
    assert cli.run(["info", "q.safetensors", "--stats", "--against", "x.npy"]) == 0
    assert "SQNR" in capfd.readouterr().out
    assert cli.run(["formats"]) == 0
    assert all(f"\n{name} " in said for said in [capfd.readouterr().out] for name in WEIGHT_FORMATS)


def test_checkpoint(x, capfd):
    """A folder of shards becomes one of weights, and the options are kept while it is made."""
    (made := command.Path("model")).mkdir()
    safetensors.numpy.save_file({"w": x, "norm": x[0]}, made / "a.safetensors")
    typed = ["--format", "fpq-nf4", "--block", "-1"]
    assert cli.run(["quantize", "model", "small", *typed]) == 0
    found = golden.load_blocks("small")["w"]
    np.testing.assert_array_equal(found.codes, golden.quantize(x, "fpq-nf4", block=-1).codes)
    with safetensors.safe_open("small/a.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["w.block"]) == -1
        assert set(file.keys()) == {"w.codes", "w.scales", "norm"}


WRONG = [
    (["--block", "64"], "block must be one of 128, -1, not 64"),
    (["--ties", "RNE"], "ties must be None for afpq-nf4, not 'RNE'"),
    (["--rule", "modelopt"], "rule must be 'nearest' for afpq-nf4, not 'modelopt'"),
    (["--tensor-scale", "2"], "tensor_scale must be None for afpq-nf4, not 2.0"),
    (["--layout", "gpt-oss"], "format must be mxfp4 or mxfp4-roundup for layout gpt-oss, not 'afp"),
    (["--format", "amxfp4", "--packed"], "packed must be False for formats other than afpq-fp4, "),
    (["--format", "nf4"], "format must be one of amxfp4, "),
]


@pytest.mark.parametrize(("typed", "message"), WRONG)
def test_wrong_options(x, typed, message, capfd):
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", "afpq-nf4", *typed]) == 2
    assert message in capfd.readouterr().err
    assert not command.Path("q.safetensors").exists()


def test_no_products(x, capfd):
    """What the array cannot multiply is refused, with what helps; so are its formats."""
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", "afpq-nf4"]) == 0
    for typed in (["q.safetensors", "x.npy"], ["x.npy", "q.safetensors", "--transpose-b"]):
        assert cli.run(["matmul", *typed]) == 2
        said = capfd.readouterr().err
        assert "must be of E2M1 blocks or of words, which the array multiplies, not" in said
        assert "(afpq-nf4); amxfp4 dequantize makes words of it" in said
    assert cli.run(["matmul", "x.npy", "x.npy", "--format-a", "afpq-nf4"]) == 2
    assert "format_a must be one of amxfp4, " in capfd.readouterr().err
