"""Files through the command: quantize, dequantize, info."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.golden import files
from amxfp4.golden.quality import sqnr
from amxfp4.params.formats import FORMATS


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    """Change to a folder with one tensor as .npy and two as .safetensors."""
    monkeypatch.chdir(tmp_path)
    x = rng.standard_normal((6, 80)).astype(np.float32)
    np.save("x.npy", x)
    safetensors.numpy.save_file({"x": x, "half": x[0].astype(np.float16)}, "two.safetensors")
    return tmp_path


def rows_of(printed):
    """Return the cells of the printed table's rows, by tensor."""
    lines = [line.split() for line in printed.splitlines()]
    start = next(i for i, cells in enumerate(lines) if cells[:1] == ["tensor"])
    return {cells[0]: cells[1:] for cells in lines[start + 1 :]}


@pytest.mark.parametrize("format", FORMATS)
def test_there_and_back_is_golden(folder, format):
    """What the files hold is what the model says, for every format."""
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", format]) == 0
    assert cli.run(["dequantize", "q.safetensors", "y.safetensors"]) == 0
    blocks = golden.quantize(np.load("x.npy"), format)
    stored = files.load_blocks("q.safetensors")["x"]
    np.testing.assert_array_equal(golden.pack(stored), golden.pack(blocks))
    after = safetensors.numpy.load_file("y.safetensors")["x"]
    np.testing.assert_array_equal(after, golden.dequantize(blocks))


def test_options_reach_the_model(folder):
    options = {"axis": 0, "ties": "RNE", "block": 16}
    typed = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", "mxfp4", *typed]) == 0
    stored = files.load_blocks("q.safetensors")["x"]
    expected = golden.quantize(np.load("x.npy"), "mxfp4", **options)
    np.testing.assert_array_equal(golden.pack(stored), golden.pack(expected))
    assert (stored.axis, stored.block, stored.shape) == (0, 16, (6, 80))


def test_every_tensor_and_its_figures(folder, capfd):
    assert cli.run(["quantize", "two.safetensors", "q.safetensors"]) == 0
    rows = rows_of(capfd.readouterr().out)
    x = np.load("x.npy")
    # 80 elements are three blocks of 32, the last padded; a record of amxfp4 is 18 bytes.
    ratio = f"{sqnr(x, golden.dequantize(golden.quantize(x))):.2f}"
    assert rows["x"] == ["6x80", "fp32", "1,920", "18", "324", ratio]
    assert rows["half"][:5] == ["80", "fp16", "160", "3", "54"]


def test_bfloat16_is_read(folder, capfd):
    words = np.load("x.npy").astype(ml_dtypes.bfloat16)
    np.save("b.npy", words)
    assert cli.run(["quantize", "b.npy", "q.safetensors"]) == 0
    assert rows_of(capfd.readouterr().out)["b"][1:3] == ["bf16", "960"]
    stored = files.load_blocks("q.safetensors")["b"]
    np.testing.assert_array_equal(golden.pack(stored), golden.pack(golden.quantize(words)))


def test_dequantize_to_npy(folder):
    assert cli.run(["quantize", "x.npy", "q.safetensors"]) == 0
    assert cli.run(["dequantize", "q.safetensors", "y.npy"]) == 0
    np.testing.assert_array_equal(
        np.load("y.npy"), golden.dequantize(golden.quantize(np.load("x.npy")))
    )


def test_info_of_tensors_and_of_blocks(folder, capfd):
    assert cli.run(["info", "two.safetensors"]) == 0
    assert rows_of(capfd.readouterr().out)["half"] == ["80", "fp16", "160"]
    assert cli.run(["quantize", "two.safetensors", "q.safetensors", "--format", "nvfp4"]) == 0
    capfd.readouterr()
    assert cli.run(["info", "q.safetensors"]) == 0
    assert rows_of(capfd.readouterr().out)["x"] == ["6x80", "1", "nvfp4", "16", "30", "270"]
