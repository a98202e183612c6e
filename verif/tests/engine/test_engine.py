"""Launches the engine's testbench over shapes, formats, modes and widths of streams."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.params.engine import NONE, RECORDS, STREAM_BYTES, EngineConfig
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, INPUTS, OUTPUTS
from amxfp4.verif.sim.cocotb.runner import JOBS_OF_A_TEST, run_testbench

OF_RECORDS = EngineConfig(
    rows=1, cols=1, lanes=1, depth_a=2, depth_b=2, format_a="mxfp4", format_b="nvfp4", acc="fp32",
    requantize="amxfp4-e4m3", input="records", ties="RNE", block=16, bytes_a=16, bytes_b=4,
    bytes_c=16,
)  # fmt: skip
"""Small, and what the unit of the planted bugs is not, which passes every test while they sleep."""
SMALL = EngineConfig(
    rows=2, cols=1, lanes=1, depth_a=2, depth_b=2, input="fp32", format_a="nvfp4",
    format_b="mxfp4-e4m3", acc="exact", output="bf16", block=16, bytes_a=8, bytes_b=32, bytes_c=16,
)  # fmt: skip
OF_INTEGERS = EngineConfig(
    rows=2, cols=1, lanes=2, depth_a=2, depth_b=2, input="bf16", format_a="int4-asym",
    format_b="int4", acc="fixed", requantize="int4-asym-e4m3", block=16, bytes_a=8, bytes_b=8,
    bytes_c=4,
)  # fmt: skip
RECORDS_OF_INTEGERS = EngineConfig(
    rows=1, cols=2, lanes=1, depth_a=2, depth_b=2, input="records", format_a="int4",
    format_b="int4-asym", block=16, bytes_a=4, bytes_b=16, bytes_c=8,
)  # fmt: skip
AT_NIGHT = [
    EngineConfig(rows=2, cols=3, lanes=8, depth_a=4, depth_b=4),
    EngineConfig(
        rows=3, cols=2, lanes=16, depth_a=2, depth_b=8, acc="fixed", frac_bits=12, int_bits=6,
        output="bf16", bytes_a=64, bytes_b=64, bytes_c=4, block=16, format_b="mxfp4-e4m3",
        ties="RNE",
    ),
    EngineConfig(
        rows=2, cols=4, lanes=16, depth_a=4, depth_b=2, requantize="amxfp4", input="fp32",
        bytes_a=16, bytes_b=4, bytes_c=16, block=16,
    ),
    EngineConfig(
        rows=1, cols=1, lanes=32, depth_a=2, depth_b=2, input="records", format_a="mxfp4",
        format_b="nvfp4", block=32, bytes_a=4, bytes_b=32, bytes_c=64,
    ),
]  # fmt: skip


def label(config: EngineConfig) -> str:
    """Name an engine in a test's id."""
    return f"{config.rows}x{config.cols}-{config.input}-{config.acc}-{config.requantize}"


@pytest.mark.nightly  # a minute of compiling each
@pytest.mark.parametrize("config", AT_NIGHT, ids=label)
def test_engine(config: EngineConfig, request: pytest.FixtureRequest, blocks: int) -> None:
    """Every test of tb_engine passes and compares something."""
    # More jobs where more blocks are asked for: 250 in a test at night.
    jobs = max(JOBS_OF_A_TEST, blocks // 4000)
    summary = run_testbench(config, seed=request.config.getoption("--seed"), jobs=jobs)
    assert summary.tests == summary.passed > 0
    assert summary.transactions > summary.tests


MANY = (
    "reset_values", "shapes", "random_jobs/pattern=none", "random_jobs/pattern=random",
    "special_values", "back_to_back", "kept_b", "full_memories", "stalls_counted", "latency",
    "throughput", "refused", "faults/name=a_keep", "faults/name=a_late", "faults/name=b_early",
    "aborts", "soft_resets", "hard_resets", "mixtures/pattern=random", "mixtures/pattern=bursts",
)  # fmt: skip
"""What engines of any configuration go through. Which bins they can hit is not asked."""


@pytest.mark.nightly  # by day the engine of the planted bugs passes every test while they sleep
@pytest.mark.parametrize("config", [OF_RECORDS, SMALL, OF_INTEGERS, RECORDS_OF_INTEGERS], ids=label)
def test_small_engine(config: EngineConfig, request: pytest.FixtureRequest) -> None:
    """Engines that are compiled in seconds pass."""
    seed = request.config.getoption("--seed")
    summary = run_testbench(config, seed=seed, tests=MANY, jobs=4)
    assert summary.tests == summary.passed == len(MANY)


def any_engine(rng: np.random.Generator) -> EngineConfig:
    """Draw a configuration, small enough to be compiled in seconds."""

    def one(*choices: str) -> str:
        return choices[int(rng.integers(len(choices)))]

    def size(*choices: int) -> int:
        return choices[int(rng.integers(len(choices)))]

    while True:
        block = size(16, 16, 32, *BLOCK_SIZES)
        try:
            config = EngineConfig(
                format_a=one(*FORMATS), format_b=one(*FORMATS), block=block,
                lanes=block >> size(0, 1, 2, 3), rows=size(1, 2, 3, 4), cols=size(1, 2, 3, 4),
                acc=one("exact", "fixed", "fp32"), output=one(*OUTPUTS),
                input=one(*INPUTS, RECORDS), ties=one("RNA", "RNE"),
                requantize=one(NONE, NONE, *FORMATS), depth_a=size(2, 4, 8),
                depth_b=size(2, 4, 8), bytes_a=size(*STREAM_BYTES), bytes_b=size(*STREAM_BYTES),
                bytes_c=size(*STREAM_BYTES),
            )  # fmt: skip
        except ValueError:
            continue  # not every combination exists
        if config.rows * config.cols * config.lanes <= 48:
            return config


@pytest.mark.nightly  # by day it would be one engine, and the same every day
def test_any_engine(rng: np.random.Generator, blocks: int) -> None:
    """Engines of random configurations pass, eight for a million blocks."""
    for _ in range(blocks // 125_000):
        config, seed = any_engine(rng), int(rng.integers(1 << 31))
        summary = run_testbench(config, seed=seed, tests=MANY, jobs=4)
        assert summary.tests == summary.passed == len(MANY), config
