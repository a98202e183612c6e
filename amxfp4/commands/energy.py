"""What a unit spends on real tensors: ``amxfp4 synth energy``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.gen import verilog
from amxfp4.golden import Blocks, formats
from amxfp4.golden.blocks import by_name
from amxfp4.params.config import BlockStreamConfig, UnitConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.liberty import from_environment
from amxfp4.synth.flow.results import prepare
from amxfp4.synth.gates.energy_model import Conditions
from amxfp4.synth.gates.energy_per_mac import EnergyRow, Workload, measure
from amxfp4.util import console
from amxfp4.verif.sim.batch import beats
from amxfp4.verif.sim.products.products import expected_results, regroup, step_beats, tile_of
from amxfp4.verif.sim.tensors import blocks_of, real_products, real_tensors

__all__ = ["run", "workloads"]

_LEAST = 24
"""Payloads of a stream at least, so that filling the pipeline is a small part."""
_STREAMS = 64
"""Streams come in multiples of these."""


def workloads(config: UnitConfig) -> Iterator[Workload]:
    """Real data for a unit, with golden's results.

    A dot product or an array computes matrix products of a layer, sum after sum; a quantizer or a
    dequantizer takes its tensors, block after block. Streams share the work, each the next part.
    """
    if isinstance(config, DotConfig):
        for name, (x, y) in real_products().items():
            yield _product(config, name, x, y)
    elif isinstance(config, BlockStreamConfig | WeightDequantizerConfig):
        for name, x in real_tensors().items():
            if x.size >= config.row.block * _STREAMS * 2:
                if isinstance(config, WeightDequantizerConfig):
                    yield _weights(config, name, x)
                else:
                    yield _tensor(config, name, x)


@functools.cache
def _skip(config: UnitConfig) -> int:
    """Input payloads after which a unit is full of data."""
    manifest = verilog.describe(config)
    cycles = 1 if isinstance(config, QuantizerConfig) else config.beats
    return -(-int(manifest["latency"]) // cycles) + 1


def _shares(count: int, size: int, least: int) -> npt.NDArray[np.intp]:
    """Deal `count` jobs of `size` payloads to streams, in order: [streams, jobs].

    As many streams as give each at least `least` payloads, but no fewer than 64, which start again
    from the first job if need be.
    """
    jobs = max(1, -(-least // size))
    streams = max(1, count // jobs // _STREAMS) * _STREAMS
    jobs = max(jobs, count // streams)
    return np.arange(streams * jobs).reshape(streams, jobs) % count


def _product(config: DotConfig, name: str, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Workload:
    """Tiles of x y^T, one after the other."""
    row_a, row_b = config.rows_ab
    a = golden.quantize(x, row_a.name, block=config.block)
    b = golden.quantize(y, row_b.name, block=config.block)
    height, width = tile_of(config)
    down, across = a.codes.shape[0] // height, b.codes.shape[0] // width
    steps, skip = a.codes.shape[1], _skip(config)
    tiles = _shares(down * across, steps, _LEAST + skip)
    streams, sums = tiles.shape

    def side(blocks: Blocks, size: int, tile: npt.NDArray[np.intp]) -> Blocks:
        at = tile.reshape(1, -1) * size + np.arange(size)[:, None]
        return regroup(blocks, lambda array: array[at].reshape(size, -1, *array.shape[2:]))

    left, right = side(a, height, tiles // across), side(b, width, tiles % across)
    lengths = np.full(tiles.size, steps)
    expected = expected_results(left, right, lengths, config)
    return Workload(
        name=name,
        beats=step_beats(left, right, lengths).reshape(streams, sums * steps, -1),
        expected=expected.reshape(streams, sums, -1),
        work=config.block * height * width,
        skip=skip,
    )


def _beats_of(words: npt.NDArray[np.unsignedinteger[Any]], lanes: int) -> npt.NDArray[np.uint8]:
    """Output beats [n, bytes] of a dequantizer."""
    return beats.to_bytes(beats.words_to_beats(words, lanes), lanes * words.dtype.itemsize)


def _weights(config: WeightDequantizerConfig, name: str, x: npt.NDArray[Any]) -> Workload:
    """Quantize a tensor as weights are: its groups, one after the other."""
    groups, skip = blocks_of(x, config.row.block).astype(np.float32), _skip(config)
    at = _shares(len(groups), 1, _LEAST + skip)
    quantize: Any = golden.quantize  # whose types know names of formats
    quantized = quantize(groups[at.reshape(-1)], config.format, packed=True)
    codes = quantized.codes.reshape(-1, config.row.block)
    pos, *neg = (side.reshape(-1).view(np.uint16) for side in quantized.scales)
    words = golden.weight_words(codes, pos, neg[0] if neg else None, config.format, config.output)
    raw = beats.from_bytes(golden.pack(quantized).reshape(len(codes), -1))
    return Workload(
        name=name,
        beats=raw.reshape(*at.shape, -1),
        expected=_beats_of(words, config.lanes).reshape(len(at), at.shape[1] * config.beats, -1),
        work=config.row.block,
        skip=skip,
    )


def _tensor(config: Any, name: str, x: npt.NDArray[Any]) -> Workload:
    """Blocks of a tensor through a quantizer or dequantizer, one after the other."""
    blocks = blocks_of(x, config.block).astype(np.float32)
    is_quantizer, skip = isinstance(config, QuantizerConfig), _skip(config)
    size = config.beats if is_quantizer else 1
    at = _shares(len(blocks), size, _LEAST + skip)
    words = formats.words(blocks[at.reshape(-1)], config.input if is_quantizer else "bf16")
    values = formats.values(words, config.input if is_quantizer else "bf16")
    ties = config.ties if is_quantizer else "RNA"
    quantized = golden.quantize(values, config.format, block=config.block, ties=ties)
    records = golden.pack(quantized).reshape(len(words), -1)
    if is_quantizer:
        sent, expected = beats.words_to_beats(words, config.lanes), records
    else:
        shared = [s.reshape(-1) for s in quantized.shared]
        codes = quantized.codes.reshape(-1, config.block)
        restored = golden.dequantize_words(
            codes, shared[0], format=config.format, output=config.output,
            **by_name(quantized.row, shared[-1]),
        )  # fmt: skip
        sent, expected = beats.from_bytes(records), _beats_of(restored, config.lanes)
    return Workload(
        name=name,
        beats=sent.reshape(len(at), at.shape[1] * size, -1),
        expected=expected.reshape(len(at), -1, expected.shape[-1]),
        work=config.lanes if is_quantizer else config.block,
        skip=skip,
    )


def run(
    config: UnitConfig,
    *,
    liberty: tuple[Path, ...],
    script: str | None,
    components: bool,
    clock_mhz: float,
    slew_ps: float | None,
    wire_load: str,
    build: Path,
    again: bool,
) -> int:
    """Measure a unit with streams on real tensors, and print what it spends on each.

    Options are those of ``amxfp4 synth energy``; with `components` each is printed on its own.
    """
    if not liberty:
        liberty = from_environment()
    if not clock_mhz > 0:
        raise ValueError(f"--clock must be above 0 MHz, not {clock_mhz!r}")
    conditions = Conditions(
        frequency=clock_mhz * 1e6,
        slew=None if slew_ps is None else slew_ps * 1e-12,
        wire_load=wire_load,
    )
    job = Job(config=config, target="liberty", liberty=liberty, script=script, hierarchy=components)
    prepare(build)
    rows: list[EnergyRow] = []
    with console.working(f"mapping {config.unit} to gates") as step:
        for workload in workloads(config):
            show = functools.partial(step, workload.name)
            rows += measure(job, workload, conditions, build, again=again, progress=show)
    _show(rows, "MAC" if isinstance(config, DotConfig) else "element")
    print(
        f"fJ each; {rows[0].voltage:g} V, {rows[0].frequency_mhz:g} MHz, inputs change in "
        f"{rows[0].slew_ps:g} ps, wires: {rows[0].wire_load or 'none'}, glitches not counted"
    )
    print(f"netlist: {job.folder(build)}")
    return 0


def _show(rows: list[EnergyRow], per: str) -> None:
    """Print energies: the whole of each workload, then its components."""
    table = console.Table(
        "data", "part", "switching", "internal", "leakage", "clock", f"fJ per {per}", "share",
        "changes", f"{per}s",
    )  # fmt: skip
    whole = {row.workload: row.total_fj for row in rows if not row.component}
    for row in rows:
        parts = (row.switching_fj, row.internal_fj, row.leakage_fj, row.clock_fj, row.total_fj)
        table.add(
            row.workload, row.component or "all", *(f"{part:,.2f}" for part in parts),
            f"{row.total_fj / whole[row.workload]:.1%}", f"{row.toggles:,.1f}", row.macs,
        )  # fmt: skip
    table.show()
