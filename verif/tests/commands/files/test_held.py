"""Tensors that are looked at in pieces: the same figures, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import golden
from amxfp4.golden import files
from amxfp4.verif.tests.commands.files.test_compare import run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Change to a folder to write to."""
    monkeypatch.chdir(tmp_path)


def test_pieces(capfd, monkeypatch):
    """The first place and the ratio do not depend on how much is looked at together."""
    x = np.arange(1, 60, dtype=np.float32).reshape(1, 59)
    y = x.copy()
    y[0, [23, 58]] += 1
    safetensors.numpy.save_file({"x": x}, "a.safetensors")
    safetensors.numpy.save_file({"x": y}, "b.safetensors")
    whole = run(capfd, "a.safetensors", "b.safetensors")
    assert "x: values that differ: 2; first [0, 23]: 24.0 and 25.0" in whole[2]
    monkeypatch.setattr("amxfp4.commands.files.compare.PIECE", 7)
    assert run(capfd, "a.safetensors", "b.safetensors") == whole


@pytest.mark.parametrize("layout", ["blocks", "gpt-oss"])
def test_pieces_of_codes(capfd, monkeypatch, rng, layout):
    """Codes are decoded a part of the first axis at a time, wherever a piece begins."""
    x = rng.standard_normal((3, 64, 5)).astype(np.float32)
    for axis in (0, 1) if layout == "blocks" else (1,):
        b = golden.quantize(x, "amxfp4" if layout == "blocks" else "mxfp4", axis=axis)
        files.save_blocks("a.safetensors", {"x": b}, layout=layout)
        y = golden.dequantize(b)
        for n in (0, 319, 320, 700, 959):
            y.reshape(-1)[n] += 64
        np.save("y.npy", y)
        for size in (1, 100, 320, 321, 1000):
            monkeypatch.setattr("amxfp4.commands.files.compare.PIECE", size)
            code, _, lines = run(capfd, "y.npy", "a.safetensors")
            assert code == 1
            assert sum("values that differ: 5; first [0, 0, 0]: " in line for line in lines) == 1


@pytest.mark.parametrize(("axis", "most"), [(0, 3.6), (1, 2)])
def test_memory(capfd, rng, axis, most):
    """In FP32 values of the largest tensor, however many there are."""
    x = rng.standard_normal((2048, 4096)).astype(np.float32)
    b = golden.quantize(x, axis=axis)
    files.save_blocks("a.safetensors", {f"w{n}": b for n in range(3)})
    tracemalloc.start()
    assert run(capfd, "a.safetensors", "a.safetensors")[0] == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most * x.nbytes
