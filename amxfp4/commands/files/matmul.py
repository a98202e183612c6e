"""Matrix products of tensor files: ``amxfp4 matmul``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.commands.files.tensors import TENSORS, found, opened, others, warn_of_poor
from amxfp4.golden import Blocks, dequantize, files
from amxfp4.golden.engine import product
from amxfp4.golden.products import scaled
from amxfp4.golden.quality import sqnr
from amxfp4.params.array import ArrayConfig
from amxfp4.params.checks import choose
from amxfp4.util.console import working
from amxfp4.util.errors import reading, writing

__all__ = ["matmul", "matrix", "pick", "split"]

THROUGH = ("golden", "rtl")


def matmul(
    a: str,
    b: str,
    *,
    config: ArrayConfig,
    transpose_b: bool,
    through: str,
    out: Path | None,
    build: Path,
) -> int:
    """Multiply two tensors in the formats of `config`, by golden or through the array.

    Returns
    -------
    0.

    Raises
    ------
    Mismatch, ContractError
        The RTL and golden differ.
    TypeError, ValueError
        A parameter, a file or a tensor is not what it must be.
    """
    choose("--through", through, dict.fromkeys(THROUGH))
    if out is not None and out.suffix not in (".npy", ".safetensors"):
        raise ValueError(f"--out must end in .npy or .safetensors, not {str(out)!r}")
    left, right = _operand("A", a), _operand("B", b)
    axis = 1 if transpose_b else 0
    if left.shape[1] != right.shape[axis]:
        wanted = f"[N, {left.shape[1]}]" if transpose_b else f"[{left.shape[1]}, N]"
        raise ValueError(
            f"B must be {wanted} for A of {list(left.shape)}, not {list(right.shape)} "
            f"(--transpose-b takes B as [N, K])"
        )
    qa = _quantized("A", left, config.format_a, 1, config.block)
    qb = _quantized("B", right, config.format_b, axis, config.block)
    if through == "golden":
        result, flags = product(config, qa, qb)
    else:
        result, flags = _rtl(qa, qb, config, build)
    result = scaled(result, qa, qb, config.output)
    if flags is not None:
        inexact, overflow = (int(flags[..., n].sum()) for n in range(2))
        print(f"  flags of {result.size} results: {inexact} inexact, {overflow} overflow")
    print(f"C {list(result.shape)}: {config.format_a} x {config.format_b}, acc={config.acc}")
    x, y = (dequantize(x) if isinstance(x, Blocks) else x for x in (left, right))
    reference = x.astype(np.float64) @ (y.T if transpose_b else y).astype(np.float64)
    ratio = sqnr(reference, result)
    if math.isfinite(ratio):
        print(f"  SQNR against the unquantized product: {ratio:.2f} dB")
    if out is not None:
        with writing("--out", out, "a file that can be written"):
            files.save_tensors(out, {"c": result})
        print(f"  wrote {out}")
    return 0


def split(source: str) -> tuple[Path, str | None]:
    """Split FILE:NAME; a file whose own name has a colon goes first."""
    if Path(source).exists() or ":" not in source:
        return Path(source), None
    file, _, name = source.rpartition(":")
    return Path(file), name


def pick(parameter: str, source: str, names: Sequence[str], name: str | None) -> str:
    """Pick what `source` names of what its file holds; one alone needs no name."""
    if name is None and len(names) == 1:
        name = names[0]
    if name is None or name not in names:
        held = ", ".join(sorted(names))
        raise ValueError(f"{parameter} must name one of {held} as FILE:NAME, not {source!r}")
    return name


def matrix(parameter: str, source: str) -> npt.NDArray[Any]:
    """Read the matrix `source` names: FILE, or FILE:NAME where a file holds several tensors."""
    values = _operand(parameter, source)
    return dequantize(values) if isinstance(values, Blocks) else values


def _operand(parameter: str, source: str) -> npt.NDArray[Any] | Blocks:
    """Read a matrix, as blocks if it is stored so."""
    path, name = split(source)
    with opened(parameter, path) as file:
        codes = found(parameter, file)
        rest = others(file, codes)
        names = [*codes, *(name for name, entry in rest.items() if entry.word)]
        if name in file.entries or not names:
            names = [*codes, *file.entries]
        chosen = pick(parameter, source, names, name)
        entry = file.entries.get(chosen)
        if chosen not in codes and entry is not None and entry.word is None:
            raise ValueError(
                f"{parameter} must be of float32, float16 or bfloat16, not {source!r} ({entry})"
            )
        if chosen in codes and codes[chosen].weights:
            raise ValueError(
                f"{parameter} must be of E2M1 blocks or of words, which the array multiplies, not "
                f"{source!r} ({codes[chosen].format}); amxfp4 dequantize makes words of it"
            )
        shape = codes[chosen].shape if chosen in codes else file.entries[chosen].shape
        if len(shape) != 2:
            raise ValueError(f"{parameter} must be a matrix, not of shape {list(shape)}")
        with reading(parameter, path, TENSORS):
            if chosen in codes:
                stored = codes[chosen]
                return stored.blocks() if stored.row else stored.values()
            return file.tensor(chosen).values


def _quantized(
    name: str, x: npt.NDArray[Any] | Blocks, format: str, axis: int, block: int
) -> Blocks:
    """Quantize an operand, unless it is stored in that very format along that axis."""
    if isinstance(x, Blocks):
        if (x.format, x.block, x.axis) == (format, block, axis):
            return x
        print(
            f"  {name} is {x.format} in blocks of {x.block} along axis {x.axis}: its values are "
            f"quantized again"
        )
        x = dequantize(x)
    q = golden.quantize(x, format, axis=axis, block=block)
    warn_of_poor(name, sqnr(x, dequantize(q)))
    return q


def _rtl(
    a: golden.Blocks, b: golden.Blocks, config: ArrayConfig, build: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
    """Run the product through the array, checking every word; return it, and flags if any."""
    from amxfp4.golden import formats
    from amxfp4.verif.sim.batch.dut import BatchDut
    from amxfp4.verif.sim.tiles import through_rtl

    with working(f"building a {config.rows} x {config.cols} array") as step:
        dut = BatchDut(config, cache=build)
        step("tiles through the array")
        done = through_rtl(dut, a, b, lambda tiles, total: step(None, tiles, total))
    print(
        f"{done.tiles} tiles of {config.rows} x {config.cols} through the RTL: every word equals "
        f"golden\n  {done.cycles} cycles ({done.ideal_cycles} ideal), utilization "
        f"{done.utilization:.1%}\n  {done.macs / 1e6:.2f} M MACs verified in {done.seconds:.2f} s: "
        f"{done.macs_per_second / 1e6:.1f} M a second"
    )
    return formats.values(done.words, config.output), done.flags
