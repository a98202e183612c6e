"""Mapped netlists under the tests of the units they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import run
from amxfp4.synth.gates.cell_models import complete
from amxfp4.verif.sim import build as builds
from amxfp4.verif.sim.batch import exhaustive, randoms, records
from amxfp4.verif.sim.batch.check import check_dequantizer, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.products import directed as products_directed
from amxfp4.verif.sim.products import ends, random_products
from amxfp4.verif.sim.products.products import check_products
from amxfp4.verif.sim.sources import Source, source

__all__ = ["board_netlist", "check", "netlist"]


def netlist(job: Job, cache: Path = builds.CACHE) -> Source:
    """Verilog of a unit's netlist with models of its cells, and the unit's manifest.

    Parameters
    ----------
    job
        A whole unit; it is synthesized, unless it has been.
    cache
        Folder of builds.

    Raises
    ------
    SynthesisError
        A program of the flow failed.
    ValueError
        The job is of a component, or its target's cells have no models.
    """
    if job.component is not None:
        raise ValueError(f"component must be left out, not {job.component!r}")
    complete("", job.target, job.liberty)  # refuse a target without models before the work
    run(job, cache)
    text = (job.folder(cache) / "netlist.v").read_text()
    manifest = source(job.config, cache).manifest
    return Source(complete(text, job.target, job.liberty), manifest)


def board_netlist(config: EngineUartConfig, cache: Path = builds.CACHE) -> Source:
    """Verilog of what boards hold, as gates of an ECP5 with models of them, and the manifest.

    Module, ports and behaviour are those of the generated Verilog: one takes the other's place in
    every simulation. It is synthesized as bitstreams are: memories read garbage from an address
    that is being written, so that a unit that uses it fails. This takes ten seconds for the
    smallest engine and minutes for those of boards, and is done once.

    Raises
    ------
    SynthesisError
        A program of the flow failed.
    """
    return netlist(Job(config=config, target="ecp5", script="boards"), cache)


def check(dut: BatchDut, rng: np.random.Generator, seed: int, count: int) -> int:
    """Compare a unit with golden as the tests of the RTL do, in little.

    Random traffic at full speed, with stalls and after resets in flight; then directed blocks: all
    block maxima and all that is not finite for a quantizer, all scale codes for a dequantizer, all
    pairs of element codes, ties and (in the modes that have an end) the longest sums for a product.

    Parameters
    ----------
    dut
        Any unit.
    rng
        Source of the stimulus.
    seed
        Of stalls and resets.
    count
        Random blocks, or pairs of blocks, of which a quarter meets stalls; 1 or more.

    Returns
    -------
    How many outputs of the unit were compared: blocks, or results of sums.

    Raises
    ------
    Mismatch, ContractError
        The unit is wrong.
    """
    config = dut.config
    stalls: dict[str, Any] = {"seed": seed, "stall_in": 0.3, "stall_out": 0.3}
    some = -(-count // 4)
    if isinstance(config, QuantizerConfig | records.Config):
        done = randoms.check_random(dut, rng, count).count
        done += randoms.check_random(dut, rng, some, **stalls).count
        randoms.check_resets(dut, rng, seed, runs=20)
        return done + _directed_blocks(dut, rng)
    done = random_products.check_random_products(dut, rng, count).sums
    done += random_products.check_random_products(dut, rng, some, **stalls).sums
    done += random_products.check_random_resets(dut, rng, seed).sums
    return done if config.unit == "array" else done + _directed_sums(dut, rng)


def _directed_blocks(dut: BatchDut, rng: np.random.Generator) -> int:
    config = dut.config
    if isinstance(config, QuantizerConfig):
        done = check_quantizer(dut, exhaustive.non_finite(config)).count
        if config.input == "fp32":
            return done  # too many maxima
        maxima = exhaustive.mix(rng, *exhaustive.maxima(rng, config), config)
        return done + check_quantizer(dut, maxima).count
    # Of the 65,536 scales of weights every 63rd, the last one too.
    count, step = (1 << 10, 1) if isinstance(config, DequantizerConfig) else (1041, 63)
    codes, pos, neg = records.draw(rng, count, config.row)
    scales = (step * np.arange(count)).astype(pos.dtype)
    second = None if neg is None else rng.permutation(scales)
    return check_dequantizer(dut, codes, scales, second).count


def _directed_sums(dut: BatchDut, rng: np.random.Generator) -> int:
    config = dut.config
    a, b = products_directed.element_pairs(config)
    done = check_products(dut, a, b, np.ones(a.codes.shape[1], np.int64)).count
    done += check_products(dut, *ends.rounding_ties(rng, config, 2_000)[:3]).count
    if config.acc == "exact":
        done += check_products(dut, *ends.longest_sums(config)).count
    return done
