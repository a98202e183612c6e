"""Blocks written in other people's layouts come back, code by code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import files
from amxfp4.verif.tests.golden.files.made import codes_of, scales_of

WRITTEN = [
    (layout, format) for layout, held in files.LAYOUTS.items() for format in held.formats
    if format in ("mxfp4", "nvfp4")
]  # fmt: skip


@pytest.mark.parametrize("factor", [1.0, 0.0123])
@pytest.mark.parametrize(("layout", "format"), WRITTEN)
def test_round_trip(layout: str, format: str, factor: float, tmp_path: Path) -> None:
    """Every code comes back from every layout that is written, the factor too."""
    how, block = files.LAYOUTS[layout], 32 if format == "mxfp4" else 16
    b = golden.Blocks(
        codes_of(block).reshape(128, 4, block), scales_of().reshape(128, 4), None, format,
        (128, 4 * block), tensor_scale=float(np.float32(factor)), divides=how.divides,
    )  # fmt: skip
    path = tmp_path / f"x{how.suffix}"
    other = golden.quantize(np.ones((3, 64), np.float32), format)
    tensors = {"a.weight": b, "b": other}
    if factor != 1 and format == "mxfp4" and layout != "blocks":
        with pytest.raises(
            ValueError, match=r"tensor_scale of a.weight must be 1 for mxfp4 in lay"
        ):
            golden.save_blocks(path, tensors, layout=layout)
        assert not path.exists()
        return
    golden.save_blocks(path, tensors, layout=layout)
    first = path.read_bytes()
    golden.save_blocks(path, tensors, layout=layout)
    assert path.read_bytes() == first
    back = golden.load_blocks(path)
    assert list(back) == list(tensors)
    for name, wanted in tensors.items():
        got = back[name]
        assert np.array_equal(golden.pack(got), golden.pack(wanted))
        assert (got.format, got.shape, got.axis) == (wanted.format, wanted.shape, wanted.axis)
        if layout != "gguf":
            assert got.tensor_scale == wanted.tensor_scale
            assert got.divides == wanted.divides or got.tensor_scale == 1
    if layout == "gguf" and factor != 1:
        with files.open_file(path) as file:
            assert file.tensor("a.scale").values == np.float32(factor)


@pytest.mark.parametrize("axis", [1, 2])
def test_axes_of_gpt_oss(axis: int, tmp_path: Path) -> None:
    """Names say which of the last two axes has the blocks."""
    x = np.random.default_rng(2).standard_normal((2, 64, 96)).astype(np.float32)
    b = golden.quantize(x, "mxfp4", axis=axis)
    golden.save_blocks(tmp_path / "x.safetensors", {"w": b}, layout="gpt-oss")
    with files.open_file(tmp_path / "x.safetensors") as file:
        assert list(file.entries) == (
            ["w.blocks", "w.scales"] if axis == 2 else ["w_blocks", "w_scales"]
        )
    back = golden.load_blocks(tmp_path / "x.safetensors")["w"]
    assert (back.shape, back.axis) == (x.shape, axis)
    assert np.array_equal(golden.pack(back), golden.pack(b))


def test_reciprocals(tmp_path: Path) -> None:
    """A factor becomes a divisor, or the other way round, only where no value changes."""
    b = golden.quantize(np.ones((2, 64), np.float32), "nvfp4", tensor_scale=0.25)
    path = tmp_path / "x.safetensors"
    golden.save_blocks(path, {"w": b}, layout="compressed-tensors")
    back = golden.load_blocks(path)["w"]
    assert (back.tensor_scale, back.divides) == (4, True)
    assert np.array_equal(golden.dequantize(back), golden.dequantize(b))
    golden.save_blocks(path, {"w": back}, layout="modelopt")
    assert golden.load_blocks(path)["w"].tensor_scale == 0.25
    odd = golden.quantize(
        np.ones((2, 64), np.float32), "nvfp4", tensor_scale=float(np.float32(0.0123))
    )
    with pytest.raises(ValueError, match="must be one that scales are divided by in this layout"):
        golden.save_blocks(path, {"w": odd}, layout="compressed-tensors")


W = np.ones((2, 40), np.float32)


@pytest.mark.parametrize(("layout", "options", "message"), [
    ("modelopt", {"format": "mxfp4"}, "format must be nvfp4 for layout modelopt, not 'mxfp4'"),
    ("gguf", {}, "format must be mxfp4 or mxfp4-roundup or nvfp4 for layout gguf, not 'amxfp4'"),
    ("gguf", {"format": "nvfp4"}, "w must have a multiple of 64 elements along axis 1 for layout"),
    ("gpt-oss", {"format": "mxfp4"}, "w must have a multiple of 32 elements along axis 1 .*not 40"),
    ("gguf", {"format": "mxfp4", "block": 16}, "block must be 32 for mxfp4 in layout gguf, not 16"),
    ("modelopt", {"format": "nvfp4", "axis": 0}, "axis must be the last one of w, 1, for layout"),
    ("gptq", {}, "layout must be one of .*, not 'gptq'"),
])  # fmt: skip
def test_not_in_a_layout(
    layout: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """What a layout cannot hold is refused in one line, and nothing is written."""
    path = tmp_path / f"x{files.LAYOUTS[layout].suffix if layout in files.LAYOUTS else '.gguf'}"
    with pytest.raises(ValueError, match=message):
        golden.save_blocks(path, {"w": golden.quantize(W, **options)}, layout=layout)
    assert not path.exists()
    with pytest.raises(ValueError, match=r"path must end in \.(gguf|safetensors), not"):
        golden.save_blocks(tmp_path / "x.npz", {"w": golden.quantize(W)}, layout="blocks")
