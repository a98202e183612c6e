"""What `amxfp4 sim` measures of real tensors and products, its tables and its picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import formats, packing
from amxfp4.golden.quality import sqnr
from amxfp4.params.array import ArrayConfig
from amxfp4.util.console import Table
from amxfp4.verif.sim.batch.check import Checked, Mismatch, check_dequantizer, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.tensors import blocks_of
from amxfp4.verif.sim.tiles import through_rtl

__all__ = [
    "FORMATS_COMPARED",
    "ProductRow",
    "Row",
    "measure",
    "multiply",
    "picture",
    "product_table",
    "tensor_table",
]

Half = npt.NDArray[np.float16]

FORMATS_COMPARED = ("amxfp4", "mxfp4", "nvfp4")
"""Formats of the tables: this project's own, OCP's and NVIDIA's."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one tensor in one format came to."""

    tensor: str
    shape: tuple[int, ...]
    format: str
    blocks: int
    mismatches: int
    """Blocks that differ from golden, in the quantizer's records or the dequantizer's words."""
    sqnr_db: float | None = None
    """Signal over quantization noise of what came back from the RTL."""
    cycles_per_block: float | None = None
    """Of the quantizer, filling and draining included."""
    blocks_per_second: float | None = None
    """Verified: golden, both simulations and the comparisons together."""


@dataclass(frozen=True, kw_only=True)
class ProductRow:
    """What one matrix product in one format came to."""

    product: str
    shape: str
    format: str
    tiles: int
    mismatches: int
    """1 if a tile differs from golden; the product stops there."""
    sqnr_db: float | None = None
    """Against the product of the unquantized tensors, in FP64."""
    utilization: float | None = None
    """MACs over what the array's lanes could have done."""
    macs_per_second: float | None = None
    """Verified: golden, simulation and comparison together."""


def _through_rtl(
    quantizer: BatchDut, dequantizer: BatchDut, words: npt.NDArray[np.uint16]
) -> tuple[Checked, npt.NDArray[np.float32]]:
    """Quantize and dequantize in the RTL, checking both units; the words that came back."""
    row = quantizer.config.row
    quantized = check_quantizer(quantizer, words)
    records = packing.unpack(quantized.outputs, row.name, (words.size,), block=row.block)
    codes = records.codes.reshape(-1, row.block)
    back = check_dequantizer(dequantizer, codes, *(s.reshape(-1) for s in records.shared))
    return quantized, formats.values(back.outputs, dequantizer.config.word.name)


def measure(name: str, x: Half, duts: Sequence[BatchDut]) -> tuple[Row, str]:
    """One row of the table, of a quantizer and a dequantizer, and what went wrong, if anything."""
    quantizer, dequantizer = duts
    row = quantizer.config.row
    words = blocks_of(x, row.block).view(np.uint16)
    known = {"tensor": name, "shape": x.shape, "format": row.name, "blocks": len(words)}
    start = time.perf_counter()
    try:
        quantized, values = _through_rtl(quantizer, dequantizer, words)
    except (Mismatch, ContractError) as error:
        wrong = getattr(error, "differing", len(words))
        return Row(**known, mismatches=wrong), f"{name} in {row.name}: {error}"
    seconds = time.perf_counter() - start
    signal = formats.values(words, "fp16")
    return Row(
        **known,
        mismatches=0,
        sqnr_db=sqnr(signal, values),
        cycles_per_block=quantized.cycles / len(words),
        blocks_per_second=len(words) / seconds,
    ), ""


def tensor_table(rows: list[Row]) -> Table:
    """Lay out what the tensors came to."""
    table = Table("tensor", "format", "blocks", "mismatches", "SQNR dB", "cycles/block", "blocks/s")
    for r in rows:
        figures = ((r.sqnr_db, ".2f"), (r.cycles_per_block, ".3f"), (r.blocks_per_second, ",.0f"))
        table.add(r.tensor, r.format, r.blocks, r.mismatches, *map(_figure, figures))
    return table


def _figure(figure: tuple[float | None, str]) -> str:
    value, style = figure
    return "-" if value is None else f"{value:{style}}"


def multiply(
    name: str, operands: tuple[Half, Half], duts: Sequence[BatchDut]
) -> tuple[ProductRow, str]:
    """One row of the products' table, of one array, and what went wrong, if anything."""
    (x, y), (array,) = operands, duts
    config: ArrayConfig = array.config
    a, b = golden.quantize(x, config.format_a), golden.quantize(y, config.format_b)
    known = {
        "product": name,
        "shape": "x".join(map(str, (*x.shape, y.shape[0]))),
        "format": config.format_a,
        "tiles": -(-x.shape[0] // config.rows) * -(-y.shape[0] // config.cols),
    }
    try:
        done = through_rtl(array, a, b)
    except (Mismatch, ContractError) as error:
        return ProductRow(**known, mismatches=1), f"{name} in {config.format_a}: {error}"
    reference = x.astype(np.float64) @ y.astype(np.float64).T
    return ProductRow(
        **known,
        mismatches=0,
        sqnr_db=sqnr(reference, formats.values(done.words, config.output)),
        utilization=done.utilization,
        macs_per_second=done.macs_per_second,
    ), ""


def product_table(rows: list[ProductRow]) -> Table:
    """Lay out what the products came to."""
    table = Table(
        "product", "M x K x N", "format", "tiles", "wrong", "SQNR dB", "utilization", "M MAC/s"
    )
    for r in rows:
        speed = r.macs_per_second and r.macs_per_second / 1e6
        figures = ((r.sqnr_db, ".2f"), (r.utilization, ".1%"), (speed, ".1f"))
        table.add(r.product, r.shape, r.format, r.tiles, r.mismatches, *map(_figure, figures))
    return table


def picture(rows: list[Row], path: Path) -> None:
    """Draw the SQNR of every tensor, a bar per format."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(r.tensor for r in rows))
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    width = 0.8 / len(FORMATS_COMPARED)
    for n, name in enumerate(FORMATS_COMPARED):
        sqnr = {r.tensor: r.sqnr_db for r in rows if r.format == name}
        at = np.arange(len(names)) + (n - (len(FORMATS_COMPARED) - 1) / 2) * width
        bars = axes.bar(at, [sqnr.get(t) or 0 for t in names], width, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize=7)
    axes.set_xticks(np.arange(len(names)), names, rotation=20)
    axes.set_ylabel("SQNR (dB), from the RTL's output")
    blocks, wrong = sum(r.blocks for r in rows), sum(r.mismatches for r in rows)
    axes.set_title(
        f"SmolLM2-135M layer 9 through generated Verilog: {blocks} blocks, {wrong} mismatches"
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
