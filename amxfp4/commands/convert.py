"""Tensor files to blocks and back: ``amxfp4 quantize``, ``dequantize`` and ``info``."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import safetensors

from amxfp4 import golden
from amxfp4.golden import files
from amxfp4.golden.quality import sqnr
from amxfp4.params.checks import choose
from amxfp4.params.formats import INPUTS, Ties, block_format
from amxfp4.util.console import Table
from amxfp4.util.errors import reading, writing

__all__ = ["dequantize", "holds_blocks", "info", "quantize", "require_suffix"]

TENSORS = "a .npy, .npz or .safetensors file of float32, float16 or bfloat16 tensors"
BLOCKS = "a .safetensors file that amxfp4 quantize wrote"


def quantize(
    source: Path,
    target: Path,
    *,
    format: str = "amxfp4",
    axis: int = -1,
    ties: str = "RNA",
    block: int | None = None,
) -> None:
    """Quantize every floating-point tensor of `source` into `target`, and say how well.

    Raises
    ------
    TypeError, ValueError
        A parameter, a file or a tensor is not what it must be; `target` is as it was before.
    """
    # Options first: a mistyped format is reported before a large file is read.
    row = block_format(format, block)
    mode = choose("ties", ties, {str(t): t for t in Ties})
    require_suffix("OUT", target, ".safetensors")
    with reading("IN", source, TENSORS):
        left_out: list[str] = []
        tensors = files.load_tensors(source, left_out=left_out)
    table = Table("tensor", "shape", "words", "bytes", "blocks", "to bytes", "SQNR dB")
    done = {}
    for name, tensor in tensors.items():
        x = tensor.values
        try:
            b = golden.quantize(x, row.name, axis=axis, ties=mode, block=row.block)
        except (TypeError, ValueError) as error:
            # The model speaks of its own argument x; the user needs to know which tensor.
            what, where = str(error), f"tensor {name!r} of IN {str(source)!r}"
            own = what.removeprefix("x must ")
            text = f"{what} ({where})" if own == what else f"{where} must {own}"
            raise type(error)(text) from error
        done[name] = b
        blocks = b.scale_pos.size
        table.add(
            name,
            _shape(x.shape),
            tensor.word,
            f"{x.size * INPUTS[tensor.word].width // 8:,}",
            f"{blocks:,}",
            f"{blocks * row.record_bytes:,}",
            _decibels(sqnr(x, golden.dequantize(b))),
        )
    _save(target, ".safetensors", lambda: files.save_blocks(target, done))
    print(f"{target}: format={row.name} block={row.block} axis={axis} ties={mode}")
    table.show()
    if left_out:
        print(f"left out, not of a floating-point word: {', '.join(left_out)}")


def dequantize(source: Path, target: Path) -> None:
    """Write every quantized tensor of `source` to `target` as FP32.

    Raises
    ------
    TypeError, ValueError
        A file is not what it must be; `target` is as it was before.
    """
    require_suffix("OUT", target, ".safetensors", ".npy")
    with reading("IN", source, BLOCKS):
        blocks = files.load_blocks(source)
    done = {name: golden.dequantize(b) for name, b in blocks.items()}
    _save(target, ".safetensors or .npy", lambda: files.save_tensors(target, done))
    print(f"{target}: FP32")
    _show_blocks(blocks)


def info(source: Path) -> None:
    """List the tensors of a file, quantized or not.

    Raises
    ------
    ValueError
        The file is neither.
    """
    if holds_blocks(source):
        with reading("FILE", source, BLOCKS):
            blocks = files.load_blocks(source)
        _show_blocks(blocks)
        return
    with reading("FILE", source, TENSORS):
        tensors = files.load_tensors(source)
    table = Table("tensor", "shape", "words", "bytes")
    for name, tensor in tensors.items():
        x = tensor.values
        size = x.size * INPUTS[tensor.word].width // 8
        table.add(name, _shape(x.shape), tensor.word, f"{size:,}")
    table.show()


def _decibels(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _show_blocks(tensors: dict[str, golden.Blocks]) -> None:
    table = Table("tensor", "shape", "axis", "format", "K", "blocks", "bytes")
    for name, b in tensors.items():
        blocks = b.scale_pos.size
        size = f"{blocks * b.row.record_bytes:,}"
        table.add(name, _shape(b.shape), b.axis, b.format, b.block, f"{blocks:,}", size)
    table.show()


def holds_blocks(path: Path) -> bool:
    """Whether a file holds quantized tensors; one that cannot be read does not."""
    if path.suffix != ".safetensors":
        return False
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return any(name.endswith(".codes") for name in file.keys())  # noqa: SIM118 (no dict)
    except (OSError, safetensors.SafetensorError):
        # Reading it as tensors will say why it cannot be read.
        return False


def require_suffix(parameter: str, target: Path, *suffixes: str) -> None:
    """Refuse a name that cannot be written, before time is spent on what goes there."""
    if target.suffix not in suffixes or target.is_dir():
        raise ValueError(f"{parameter} must be a {' or '.join(suffixes)} file, not {str(target)!r}")
    if not target.parent.is_dir():
        raise ValueError(f"{parameter} must be a file in an existing folder, not {str(target)!r}")


def _save(target: Path, kind: str, save: Callable[[], None]) -> None:
    with writing("OUT", target, f"a {kind} file that can be written"):
        save()
