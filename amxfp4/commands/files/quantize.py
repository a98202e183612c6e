"""Tensor files to blocks: ``amxfp4 quantize``."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.commands.files.checkpoint import Conversion
from amxfp4.commands.files.quantize_plan import Options, Plan, foretell, plan, report
from amxfp4.commands.files.tensors import PIECE, copy, opened, require_suffix
from amxfp4.golden import Blocks, WeightBlocks, files, weights
from amxfp4.golden.coding.search import check_search
from amxfp4.golden.factor.modelopt import check_modelopt
from amxfp4.golden.factor.tensor_scale import check_scale, factor, has_factor, largest_finite
from amxfp4.golden.files import Checkpoint, Entry, TensorFile, Writer
from amxfp4.golden.quality import Ratio
from amxfp4.golden.quantizer import RULES
from amxfp4.params.checks import choose
from amxfp4.params.formats import Ties
from amxfp4.params.second import check_second
from amxfp4.params.weights import WeightFormat, any_format
from amxfp4.util.console import Step, working
from amxfp4.util.errors import writing

__all__ = ["quantize"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_THREADS = 8
"""At most as many pieces are worked on at once."""


def quantize(
    source: Path,
    target: Path,
    *,
    format: str = "amxfp4",
    axis: int = -1,
    ties: str | None = None,
    block: int | None = None,
    min_axes: int = 2,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dry_run: bool = False,
    again: bool = False,
    layout: str = "blocks",
    tensor_scale: float | str = "auto",
    rule: str = "nearest",
    search: tuple[int, int] | None = None,
    second: int = 0,
    packed: bool = False,
) -> None:
    """Quantize the floating-point tensors of `source` into `target`, and say how well.

    Parameters
    ----------
    source, target
        Two files; or an index of shards or a folder of them, and a folder.
    min_axes, include, exclude
        Tensors of fewer axes, those whose names match no pattern of `include` if there are any,
        and those whose names match one of `exclude` are kept as they are, and so are other types.
    dry_run
        Only say what would be written.
    again
        Start anew where a conversion into `target` was interrupted.
    layout
        Of `target`, see `golden.save_blocks`.
    ties, tensor_scale, rule, search, second, packed
        As `golden.quantize` takes them.

    Raises
    ------
    TypeError, ValueError
        A parameter, a file or a tensor is not what it must be; `target` is as it was before, or a
        folder in which complete shards stay.
    """
    # Options first: a mistyped format is reported before a large file is read.
    row = any_format(format, block, packed)
    modelopt = choose("--rule", rule, RULES)
    how = files.layout(layout)
    how.check_format(row)
    mode = None
    if isinstance(row, WeightFormat):
        scale = None if tensor_scale == "auto" else tensor_scale
        weights.check_plain(
            row, ties=ties, tensor_scale=scale, rule=rule, search=search, second=second
        )
    else:
        usual = "RNE" if modelopt else "RNA"
        mode = choose("ties", usual if ties is None else ties, {str(t): t for t in Ties})
        if modelopt:
            check_modelopt(row, mode)
        if search is not None:
            check_search(search, row, rule)
        check_second(row, second, rule=rule, search=search)
    if tensor_scale != "auto":
        with np.errstate(over="ignore"):
            tensor_scale = check_scale(float(np.float32(tensor_scale)))
    if min_axes < 1:
        raise ValueError(f"--min-axes must be at least 1, not {min_axes}")
    options = Options(
        row,
        axis,
        mode,
        min_axes,
        tuple(include),
        tuple(exclude),
        how,
        tensor_scale,
        rule,
        search,
        second,
    )
    if source.exists() and not files.is_checkpoint(source):
        require_suffix("OUT", target, how.suffix)
    with opened("IN", source) as file:
        made = plan(file, options)
        conversion = None
        if isinstance(file, Checkpoint):
            if how.suffix != ".safetensors":
                raise ValueError(f"IN must be one file for layout {how.name}, not {str(source)!r}")
            conversion = Conversion(file, target, options.typed(), made.shards, again=again)
        if dry_run:
            foretell(target, options, made, file, conversion)
            return
        with working(f"quantizing {source}") as step:
            convert = functools.partial(_convert, options=options, plan=made, step=step)
            ratios = conversion.run(convert) if conversion else convert(file, target)
    report(target, options, made, file, conversion, ratios)


def _convert(
    file: TensorFile, target: Path, *, options: Options, plan: Plan, step: Step
) -> dict[str, float]:
    """Write what a file becomes; return the SQNR in dB of each tensor that is quantized."""
    shard = plan.shards[file.path.name]
    ratios = {}
    with (
        writing("OUT", target, f"a {options.layout.suffix} file that can be written"),
        files.writer(target, shard.entries, shard.metadata) as writer,
    ):
        for name in file.entries:
            fate = plan.fates[name]
            step(f"quantizing {name}", fate.number, len(plan.fates))
            if not fate.reason:
                ratios[name] = _quantize(file, name, options, writer)
            elif fate.made:
                copy(file, name, writer)
            file.release()
    return ratios


def _pieces(x: npt.NDArray[Any], block: int) -> Iterator[npt.NDArray[Any]]:
    """Cut a tensor [..., n] into pieces of whole blocks that follow each other in C order."""
    if x.ndim > 1 and x[0].size > PIECE:
        for part in x:
            yield from _pieces(part, block)
        return
    step = max(PIECE // block, 1) * block if x.ndim == 1 else PIECE // x[0].size
    for start in range(0, len(x), step):
        yield x[start : start + step]


def _quantize(file: TensorFile, name: str, options: Options, writer: Writer) -> float:
    """Write the codes and scales of a tensor piece by piece; return its SQNR in dB."""
    entry, row, layout = file.entries[name], options.row, options.layout
    held = np.moveaxis(file.raw(name), options.axis, -1)
    t = stored = _factor(file, held, entry, options)
    if layout.divides and t != 1:
        # What is stored counts: x is divided by what the divisor stands for.
        with np.errstate(over="ignore"):
            divisor = np.minimum(np.float32(1) / np.float32(t), np.finfo(np.float32).max)
        t, stored = float(np.float32(1) / divisor), float(divisor)

    def work(piece: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Ratio]:
        raw, ratio = np.ascontiguousarray(piece), Ratio()
        x = raw.view(ml_dtypes.bfloat16) if entry.word == "bf16" else raw
        b = _coded(x, options, t)
        if isinstance(b, Blocks) and layout.divides and stored != 1:
            b = dataclasses.replace(b, tensor_scale=stored, divides=True)
        ratio.add(raw, golden.dequantize(b), entry.values)
        shared = np.stack(b.shared, axis=-1).reshape(-1)
        return layout.piece(row, b.codes, b.shared), shared, ratio

    size = row.size(held.shape[-1]) if isinstance(row, WeightFormat) else row.block
    total, scales = Ratio(), []
    for codes, of_piece, ratio in _in_order(work, _pieces(held, size)):
        writer.write(codes)
        scales.append(of_piece)
        total.signal += ratio.signal
        total.noise += ratio.noise
        file.release()
    writer.write(layout.rest(np.concatenate(scales), stored if options.has_factor else None))
    return total.decibels


def _coded(x: npt.NDArray[Any], options: Options, t: float) -> Blocks | WeightBlocks:
    row = options.row
    if isinstance(row, WeightFormat):
        return weights.quantize(x, row.name, block=row.block, packed=row.packed)
    return golden.quantize(
        x, row.name, ties=options.ties, block=row.block, tensor_scale=t, rule=options.rule,
        search=options.search, second=options.second,
    )  # fmt: skip


def _factor(file: TensorFile, held: npt.NDArray[Any], entry: Entry, options: Options) -> float:
    """Factor of a tensor, for which all of it may have to be seen."""
    if not isinstance(options.tensor_scale, str):
        return options.tensor_scale
    if isinstance(options.row, WeightFormat) or not has_factor(options.row):
        return 1.0
    top = np.float32(0)
    work = functools.partial(_largest, entry)
    for of_piece in _in_order(work, _pieces(held, options.row.block)):
        top = max(top, of_piece)
        file.release()
    return factor(top, options.row)


def _largest(entry: Entry, piece: npt.NDArray[Any]) -> np.float32:
    return largest_finite(entry.values(np.ascontiguousarray(piece)))


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
