"""Tensor files to blocks: ``amxfp4 quantize``."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.commands.tensors import PIECE, copy, decibels, opened, require_suffix, size
from amxfp4.golden import files
from amxfp4.golden.files import Entry, TensorFile, Writer
from amxfp4.golden.packing import join_nibbles
from amxfp4.golden.quality import Ratio
from amxfp4.params.checks import choose
from amxfp4.params.formats import BlockFormat, Ties, block_format
from amxfp4.util.console import Table, working
from amxfp4.util.errors import writing

__all__ = ["quantize"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_THREADS = 8
"""At most as many pieces are worked on at once."""
_POOR = 6.0
"""SQNR in dB below which a quantization is poor: its error is half as large as the tensor."""


def quantize(
    source: Path,
    target: Path,
    *,
    format: str = "amxfp4",
    axis: int = -1,
    ties: str = "RNA",
    block: int | None = None,
    min_axes: int = 2,
) -> None:
    """Quantize the floating-point tensors of `source` into `target`, and say how well.

    Tensors of fewer axes than `min_axes`, and those of other types, are kept as they are.

    Raises
    ------
    TypeError, ValueError
        A parameter, a file or a tensor is not what it must be; `target` is as it was before.
    """
    # Options first: a mistyped format is reported before a large file is read.
    row = block_format(format, block)
    mode = choose("ties", ties, {str(t): t for t in Ties})
    require_suffix("OUT", target, ".safetensors")
    if min_axes < 1:
        raise ValueError(f"--min-axes must be at least 1, not {min_axes}")
    with opened("IN", source) as file:
        reasons = {name: _reason(entry, axis, min_axes) for name, entry in file.entries.items()}
        chosen = [name for name, reason in reasons.items() if not reason]
        if not chosen:
            name, reason = next(iter(reasons.items()))
            raise ValueError(
                f"IN must hold a tensor to quantize, not only ones such as {name!r} "
                f"({file.entries[name]}: {reason}), as {str(source)!r} does"
            )
        entries, metadata = _plan(file, row, axis, chosen)
        table = Table("tensor", "shape", "words", "bytes", "blocks", "to bytes", "SQNR dB")
        poor = []
        with (
            working(f"quantizing {source}") as step,
            writing("OUT", target, "a .safetensors file that can be written"),
            Writer(target, entries, metadata) as writer,
        ):
            for number, (name, entry) in enumerate(file.entries.items()):
                step(f"quantizing {name}", number, len(file.entries))
                if name in chosen:
                    ratio = _quantize(file, name, row, axis, mode, writer)
                    _add(table, name, entry, entries, row, ratio)
                    if ratio < _POOR:
                        poor.append(f"{name}: SQNR {ratio:.2f} dB, below {_POOR:g} dB, is poor")
                elif name in entries:
                    copy(file, name, writer)
                file.release()
    print(f"{target}: format={row.name} block={row.block} axis={axis} ties={mode}")
    table.show()
    for name, reason in reasons.items():
        if reason:
            done = "kept as it is" if name in entries else "left out"
            print(f"{done}: {name} ({file.entries[name]}): {reason}")
    for name in file.foreign:
        print(f"left out: {name}: no array")
    for line in poor:
        print(line)


def _reason(entry: Entry, axis: int, min_axes: int) -> str:
    """Why a tensor is not quantized; empty if it is."""
    axes = len(entry.shape)
    if entry.word is None:
        return "not float32, float16 or bfloat16" if entry.known else "no type of safetensors"
    if 0 in entry.shape:
        return "no elements"
    if axes < min_axes:
        return f"fewer than {min_axes} axes (--min-axes)"
    if not -axes <= axis < axes:
        return f"axis must be from {-axes} to {axes - 1}, not {axis}"
    return ""


def _plan(
    file: TensorFile, row: BlockFormat, axis: int, chosen: list[str]
) -> tuple[dict[str, Entry], dict[str, str]]:
    """List what the new file holds, in the order of the old one."""
    entries: dict[str, Entry] = {}
    metadata = dict(file.metadata)
    for name, entry in file.entries.items():
        own = {name: entry} if entry.known else {}
        if name in chosen:
            own, fields = files.OURS.declared(
                name, row, entry.shape, axis % len(entry.shape), factor=False
            )
            metadata |= fields
        if twice := entries.keys() & own.keys():
            raise ValueError(f"IN must not hold {min(twice)!r} beside a tensor of that name")
        entries |= own
    return entries, metadata


def _pieces(x: npt.NDArray[Any], block: int) -> Iterator[npt.NDArray[Any]]:
    """Cut a tensor [..., n] into pieces of whole blocks that follow each other in C order."""
    if x.ndim > 1 and x[0].size > PIECE:
        for part in x:
            yield from _pieces(part, block)
        return
    step = PIECE // block * block if x.ndim == 1 else PIECE // x[0].size
    for start in range(0, len(x), step):
        yield x[start : start + step]


def _quantize(
    file: TensorFile, name: str, row: BlockFormat, axis: int, ties: Ties, writer: Writer
) -> float:
    """Write the codes and scales of a tensor piece by piece; return its SQNR in dB."""
    entry = file.entries[name]

    def work(piece: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Ratio]:
        raw, ratio = np.ascontiguousarray(piece), Ratio()
        x = raw.view(ml_dtypes.bfloat16) if entry.word == "bf16" else raw
        b = golden.quantize(x, row.name, ties=ties, block=row.block)
        ratio.add(entry.values(raw), golden.dequantize(b))
        scales = np.stack(b.scales[: row.scales], axis=-1)
        return join_nibbles(b.codes), scales.reshape(-1), ratio

    total, scales = Ratio(), []
    pieces = _pieces(np.moveaxis(file.raw(name), axis, -1), row.block)
    for codes, of_piece, ratio in _in_order(work, pieces):
        writer.write(codes)
        scales.append(of_piece)
        total.signal += ratio.signal
        total.noise += ratio.noise
        file.release()
    writer.write(np.concatenate(scales))
    return total.decibels


def _in_order(work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Work on items in a thread for each processor; few results wait for the one before them."""
    threads = min(_THREADS, os.cpu_count() or 1)
    waiting: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _add(
    table: Table,
    name: str,
    entry: Entry,
    entries: dict[str, Entry],
    row: BlockFormat,
    ratio: float,
) -> None:
    blocks = math.prod(entries[f"{name}.scales"].shape[:-1])
    table.add(
        name,
        size(entry.shape),
        entry.word or entry.dtype,
        f"{entry.bytes:,}",
        f"{blocks:,}",
        f"{blocks * row.record_bytes:,}",
        decibels(ratio),
    )
