"""Blocks to tensors: ``amxfp4 dequantize``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.commands.tensors import (
    BLOCKS,
    Described,
    copy,
    opened,
    others,
    require_suffix,
    show_blocks,
)
from amxfp4.golden import files
from amxfp4.golden.files import Entry, TensorFile, Writer
from amxfp4.util.errors import reading, writing

__all__ = ["dequantize"]


def dequantize(source: Path, target: Path) -> None:
    """Write every quantized tensor of `source` to `target` as FP32, and the others as they are.

    Raises
    ------
    TypeError, ValueError
        A file is not what it must be; `target` is as it was before.
    """
    require_suffix("OUT", target, ".safetensors", ".npy")
    with opened("IN", source, BLOCKS) as file:
        with reading("IN", source, BLOCKS):
            blocks = {name: files.describe(file, name) for name in files.block_names(file)}
            if not blocks:
                raise ValueError("it holds no <name>.codes of blocks")
        kept = others(file, blocks)
        with writing("OUT", target, "a .safetensors or .npy file that can be written"):
            if target.suffix == ".npy":
                done = {name: _decoded(file, name) for name in blocks}
                files.save_tensors(target, done)
            else:
                _dequantize(file, blocks, kept, target)
        print(f"{target}: FP32")
        show_blocks(file, blocks)
    done_with = "left out" if target.suffix == ".npy" else "kept as it is"
    for name, entry in kept.items():
        print(f"{done_with}: {name} ({entry})")


def _decoded(file: TensorFile, name: str) -> npt.NDArray[np.float32]:
    return golden.dequantize(files.read_blocks(file, name))


def _dequantize(file: TensorFile, blocks: Described, kept: dict[str, Entry], target: Path) -> None:
    entries: dict[str, Entry] = {}
    for stored in file.entries:
        name = stored.removesuffix(".codes")
        if stored in kept:
            entries[stored] = kept[stored]
        elif name in blocks and name != stored:
            _, shape, _ = blocks[name]
            entries[name] = Entry("F32", shape, 4 * math.prod(shape))
    fields = {f"{name}.{field}" for name in blocks for field in files.FIELDS}
    metadata = {name: text for name, text in file.metadata.items() if name not in fields}
    with Writer(target, entries, metadata) as writer:
        for name in entries:
            if name in kept:
                copy(file, name, writer)
            else:
                writer.write(_decoded(file, name))
            file.release()
