"""Codes to tensors: ``amxfp4 dequantize``."""

from __future__ import annotations

import math
from pathlib import Path

from amxfp4.commands.files.tensors import (
    BLOCKS,
    copy,
    found,
    opened,
    others,
    require_suffix,
    show_codes,
)
from amxfp4.golden import files
from amxfp4.golden.files import Entry, Stored, TensorFile, Writer
from amxfp4.util.console import working
from amxfp4.util.errors import writing

__all__ = ["dequantize"]


def dequantize(source: Path, target: Path) -> None:
    """Write every tensor of codes of `source` to `target` as FP32, and the others as they are.

    Values are those that the owner of the layout decodes, under the owner's names.

    Raises
    ------
    TypeError, ValueError
        A file is not what it must be; `target` is as it was before.
    """
    require_suffix("OUT", target, ".safetensors", ".npy")
    with opened("IN", source, BLOCKS) as file:
        codes = found("IN", file)
        if not codes:
            raise ValueError(f"IN must be {BLOCKS}, not {str(source)!r} (it holds no blocks)")
        kept = others(file, codes)
        with writing("OUT", target, "a .safetensors or .npy file that can be written"):
            if target.suffix == ".npy":
                files.save_tensors(target, {name: t.values() for name, t in codes.items()})
            else:
                _dequantize(file, codes, kept, target)
        print(f"{target}: FP32")
        show_codes(file, codes)
    for name, entry in kept.items():
        stays = target.suffix != ".npy" and entry.known
        print(f"{'kept as it is' if stays else 'left out'}: {name} ({entry})")


def _dequantize(
    file: TensorFile, codes: dict[str, Stored], kept: dict[str, Entry], target: Path
) -> None:
    by_part = {tensor.parts[0]: tensor for tensor in codes.values()}
    entries: dict[str, Entry] = {}
    for stored in file.entries:
        if stored in by_part:
            tensor = by_part[stored]
            entries[tensor.name] = Entry("F32", tensor.shape, 4 * math.prod(tensor.shape))
        elif stored in kept and kept[stored].known:
            entries[stored] = kept[stored]
    fields = {field for tensor in codes.values() for field in tensor.fields}
    metadata = {name: text for name, text in file.metadata.items() if name not in fields}
    with (
        working(f"dequantizing {file.path}") as step,
        Writer(target, entries, metadata) as writer,
    ):
        for number, name in enumerate(entries):
            step(f"dequantizing {name}", number, len(entries))
            if name in codes:
                writer.write(codes[name].values())
            else:
                copy(file, name, writer)
            file.release()
