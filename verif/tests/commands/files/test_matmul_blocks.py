"""Products of tensors that are stored as codes, in whatever layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import cli, golden
from amxfp4.golden import files

rng = np.random.default_rng(8)
X = rng.standard_normal((5, 128)).astype(np.float32)
W = (rng.standard_normal((7, 128)) * 1e-3).astype(np.float32)
NVFP4 = ["--format-a", "nvfp4", "--format-b", "nvfp4", "--block", "16", "--lanes", "2"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with operands, plain and in every layout."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("w.npy", W)
    for layout, held in files.LAYOUTS.items():
        if "nvfp4" in held.formats:
            typed = ["--format", "nvfp4", "--layout", layout]
            assert cli.run(["quantize", "w.npy", f"{layout}{held.suffix}", *typed]) == 0
    return tmp_path


@pytest.mark.parametrize("layout", ["blocks", "compressed-tensors", "modelopt", "gguf"])
def test_blocks_are_used_as_they_are(
    layout: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The factor counts behind the sum; of a GGUF file it is another tensor."""
    path = f"{layout}{files.LAYOUTS[layout].suffix}"
    command = ["matmul", "x.npy", f"{path}:w", "--transpose-b", *NVFP4, "--out", "c.npy"]
    assert cli.run(command) == 0
    b = golden.load_blocks(path)["w"]
    wanted = golden.matmul(golden.quantize(X, "nvfp4"), b)
    assert np.array_equal(np.load("c.npy"), wanted)
    assert "quantized again" not in capfd.readouterr().out
    assert (b.factor != 1) == (layout != "gguf")


def test_other_formats_are_quantized_again(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Values in another format, and the line that says so."""
    assert (
        cli.run(["matmul", "x.npy", "blocks.safetensors", "--transpose-b", "--out", "c.npy"]) == 0
    )
    assert "B is nvfp4 in blocks of 16 along axis 1: its values are quantized again" in (
        capfd.readouterr().out
    )
    values = golden.dequantize(golden.load_blocks("blocks.safetensors")["w"])
    wanted = golden.matmul(golden.quantize(X), golden.quantize(values))
    assert np.array_equal(np.load("c.npy"), wanted)


def test_poor_operand_is_said(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a factor these weights vanish, and the user reads why."""
    command: list[Any] = ["matmul", "x.npy", "w.npy", "--transpose-b", *NVFP4]
    assert cli.run(command) == 0
    printed = capfd.readouterr().out
    assert "B: SQNR 0.00 dB, below 6 dB, is poor" in printed
    assert "A: SQNR" not in printed


@pytest.mark.nightly  # compiles an array
def test_through_the_array(folder: Path) -> None:
    """Every word of the hardware is compared without the factor, which the result has."""
    command = [
        "matmul",
        "x.npy",
        "modelopt.safetensors:w",
        "--transpose-b",
        *NVFP4,
        "--out",
        "c.npy",
    ]
    typed = ["--through", "rtl", "--rows", "1", "--cols", "2", "--build", "build"]
    assert cli.run([*command, *typed]) == 0
    wanted = golden.matmul(
        golden.quantize(X, "nvfp4"), golden.load_blocks("modelopt.safetensors")["w"]
    )
    assert np.array_equal(np.load("c.npy"), wanted)
