"""First products through the engine: whole jobs between buses, against golden.matmul.

Runs inside the simulator; test_engine_smoke.py launches it.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamFrame

from amxfp4.verif.sim.cocotb_engine.engine_bench import Bench


@cocotb.test()
async def one_block(dut: Any) -> None:
    """Multiply the smallest matrices."""
    bench = await Bench.start(dut)
    await bench.product(1, 1, 1)
    await bench.product(1, 1, bench.config.block)
    bench.finish()


@cocotb.test()
async def shapes(dut: Any) -> None:
    """Ragged shapes, full and stalled streams, one job behind the other."""
    bench = await Bench.start(dut)
    config = bench.config
    block, rows, cols = config.block, config.rows, config.cols
    for share in (0.0, 0.6):
        bench.stall(share)
        await bench.product(rows, cols, 2 * block)
        await bench.product(2 * rows + 1, cols + 1, block + 1)
        await bench.product(rows + 1, 3 * cols, config.largest_k)
        await bench.product(1, 2 * cols + 1, 3 * block - 1 if config.largest_k > 2 * block else 7)
        await bench.product(3 * rows, 1, block // 2 + 1)
    bench.finish()


@cocotb.test()
async def kept_b(dut: Any) -> None:
    """Send B once, for all row tiles and for the next job."""
    bench = await Bench.start(dut)
    config = bench.config
    n, k = 2 * config.cols - (config.cols > 1), config.largest_k
    await bench.product(2 * config.rows + 1, n, k, keep=True)
    raw_a, raw_b, expected = bench.streams(*bench.operands(3 * config.rows, n, k))
    await bench.a.send(AxiStreamFrame(raw_a))
    await bench.b.send(AxiStreamFrame(raw_b))
    await bench.begin(3 * config.rows, n, k, 1)
    await bench.result(expected)
    a, b = bench.operands(config.rows, n, k)
    # The same B again, with another A.
    bench.rng = np.random.default_rng(1)
    a, b = bench.operands(config.rows, n, k)
    raw_a, raw_b, expected = bench.streams(a, b)
    await bench.a.send(AxiStreamFrame(raw_a))
    await bench.b.send(AxiStreamFrame(raw_b))
    await bench.begin(config.rows, n, k, 1)
    await bench.result(expected)
    raw_a, _, expected = bench.streams(-a, b)
    await bench.a.send(AxiStreamFrame(raw_a))
    await bench.begin(config.rows, n, k, 2)
    await bench.result(expected)
    bench.finish()


@cocotb.test()
async def keeps_pace(dut: Any) -> None:
    """Take the cycles that docs/engine.md says, and no more than a few."""
    bench = await Bench.start(dut)
    config = bench.config
    blocks = min(config.depth_a, config.depth_b)
    for row_tiles, col_tiles in ((4, 5), (2, 12)):
        m, n = row_tiles * config.rows, col_tiles * config.cols
        await bench.product(m, n, blocks * config.block)
        counts = {
            name: await bench.read(f"{name}_low")
            for name in ("cycles", "busy", "stall_a", "stall_b", "stall_c")
        }
        assert counts["busy"] == row_tiles * col_tiles * blocks * config.beats
        stalls = sum(counts[f"stall_{name}"] for name in "abc")
        assert counts["busy"] + stalls <= counts["cycles"]
        row_tile = bench.row_tile(blocks, col_tiles)
        # What happens before the first tile is there, and behind the last one.
        ends = bench.load_a(blocks) + row_tile / col_tiles + bench.manifest["latency"] + 24
        ends += config.requantizer is not None and 2 * config.block + config.rows * config.block
        most = row_tiles * (row_tile + 1) + ends
        assert counts["cycles"] <= most, (counts, most)
    bench.finish()


@cocotb.test()
async def latency(dut: Any) -> None:
    """Have the latency that the manifest says."""
    bench = await Bench.start(dut)
    config = bench.config
    if config.requantize == "none":
        raw_a, raw_b, expected = bench.streams(*bench.operands(1, 1, 1))
        await bench.begin(1, 1, 1)
        await bench.a.send(AxiStreamFrame(raw_a))
        await bench.cycles(3 * config.block + 50)
        await bench.b.send(AxiStreamFrame(raw_b))
        cycle = 0
        taken = None
        while not (dut.m_axis_c_tvalid.value and taken is not None):
            await RisingEdge(dut.clk)
            cycle += 1
            if dut.s_axis_b_tvalid.value and dut.s_axis_b_tready.value:
                taken = cycle
        assert cycle - taken == bench.manifest["latency"], cycle - taken
        await bench.result(expected)
    else:
        await bench.product(1, 1, 1)
    bench.finish()
