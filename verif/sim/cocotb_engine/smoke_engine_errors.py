"""First errors of the engine: named, swallowed, and recovered from without a hard reset.

Runs inside the simulator; test_engine_smoke.py launches it.
"""

from __future__ import annotations

import itertools
from typing import Any

import cocotb
import numpy as np
from cocotbext.axi import AxiStreamFrame

from amxfp4.verif.sim.cocotb_engine.engine_bench import Bench, mask

PATIENCE = 200_000
"""Cycles or reads after which something is stuck."""


@cocotb.test()
async def recovers(dut: Any) -> None:
    """Streams that end early or late, and an abort: named, swallowed, and recovered from."""
    bench = await Bench.start(dut)
    config = bench.config
    m, n, k = 2 * config.rows, config.cols + 1, config.block + 1
    for name in ("a_early", "a_late", "b_early", "b_late", "aborted"):
        raw_a, raw_b, _ = bench.streams(*bench.operands(m, n, k))
        if name == "a_early":
            raw_a = raw_a[:-1]
        elif name == "a_late":
            raw_a += b"x"
        elif name == "b_early":
            raw_b = raw_b[: len(raw_b) // 2]
        elif name == "b_late":
            raw_b += bytes(200)
        await bench.write("interrupt_enable", 2)
        if name != "aborted":
            await bench.a.send(AxiStreamFrame(raw_a))
        await bench.b.send(AxiStreamFrame(raw_b))
        await bench.b.send(AxiStreamFrame(raw_b))
        await bench.begin(m, n, k)
        if name == "aborted":
            await bench.pulse("abort")
        frame = await bench.c.recv()
        assert bytes(frame.tdata)[-1] == 0
        await bench.cycles(400)
        assert dut.irq.value == 1
        assert await bench.errors() == mask("error", name), name
        assert await bench.read("status") == mask("status", "failed")
        assert bench.a.idle()
        assert bench.b.idle()
        await bench.pulse("start")
        assert await bench.errors() == mask("error", name, "overrun")
        await bench.pulse("soft_reset")
        assert await bench.read("status") == mask("status", "idle")
        await bench.write("error", 0xFFFFFFFF)
        assert await bench.errors() == 0
        await bench.write("interrupt_status", 2)
        assert dut.irq.value == 0
        await bench.product(m, n, k)
    bench.finish()


@cocotb.test()
async def refuses(dut: Any) -> None:
    """Jobs that cannot be do not begin."""
    bench = await Bench.start(dut)
    config = bench.config
    keep, reuse = 1, 2
    most = 2 * config.depth_b * config.cols
    for m, n, k, job in (
        (0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1 << 20, 1, 1, 0), (1, 1 << 31, 1, 0),
        (1, 1, config.largest_k + 1, 0), (1, most + 1, 1, keep),
        (1, most // 2 + 1, config.block + 1, keep), (1, 1, 1, reuse),
    ):  # fmt: skip
        await bench.begin(m, n, k, job)
        await bench.cycles(4 * config.depth_b + 10)
        name = "no_kept_b" if job == reuse else "bad_dimension"
        assert await bench.errors() == mask("error", name), (m, n, k, job)
        assert await bench.read("status") == mask("status", "idle")
        await bench.write("error", 0xFFF)
        await bench.write("interrupt_status", 7)
    await bench.product(1, most, 1, keep=True)
    # Kept, but not for these.
    for n, k in ((most - 1, 1), (most, 2)):
        await bench.begin(1, n, k, reuse)
        await bench.cycles(10)
        assert await bench.errors() == mask("error", "no_kept_b")
        await bench.write("error", 0xFFF)
    bench.finish()


@cocotb.test()
async def soft_resets(dut: Any) -> None:
    """Soft reset at any time of a job leaves an engine that works."""
    bench = await Bench.start(dut)
    config = bench.config
    m, n, k = 2 * config.rows, 2 * config.cols, 2 * config.block
    bench.stall(0.3)
    for wait in (*range(0, 60, 7), *range(60, 500, 61)):
        raw_a, raw_b, _ = bench.streams(*bench.operands(m, n, k))
        sent = [(bench.a, raw_a), (bench.b, raw_b), (bench.b, raw_b)]
        await bench.begin(m, n, k)
        for stream, raw in sent:
            await stream.send(AxiStreamFrame(raw))
        await bench.cycles(wait)
        # As a driver would: the job fails, the streams come to their ends.
        await bench.pulse("abort")
        while not (bench.a.idle() and bench.b.idle()):
            await bench.cycles(10)
        await bench.cycles(20)
        await bench.pulse("soft_reset")
        assert await bench.read("status") == mask("status", "idle")
        await bench.cycles(4)
        bench.c.clear()
        await bench.write("error", 0xFFF)
        await bench.product(m, n, k)
    bench.finish()


def _spoil(bench: Bench, kind: str, raw: bytes, width: int) -> AxiStreamFrame:
    """Make of a good packet one that is wrong in one way, at a random place."""
    rng, keep = bench.rng, None
    if kind == "early":
        raw = raw[: int(rng.integers(1, len(raw)))]
    elif kind == "late":
        raw += bytes(int(rng.integers(1, 4 * width)))
    else:
        keep = [1] * len(raw)
        keep[int(rng.integers(0, len(raw)))] = 0
        if sum(keep) == 0 or keep[-1] == 0:
            # A gap, not a shorter packet.
            raw, keep = raw + b"\1", [*keep, 1]
    return AxiStreamFrame(raw, tkeep=keep)


@cocotb.test()
async def anything_goes(dut: Any) -> None:
    """Run good and bad jobs in random order: one packet of C each, and good ones are right."""
    bench = await Bench.start(dut)
    config, rng = bench.config, bench.rng
    kept: np.ndarray | None = None
    for _ in range(80):
        bench.stall(float(rng.choice([0, 0.3, 0.8])))
        m = int(rng.integers(1, 3 * config.rows + 1))
        n = int(rng.integers(1, 3 * config.cols + 1))
        k = int(rng.integers(1, config.largest_k + 1))
        blocks = -(-k // config.block)
        keep = bool(-(-n // config.cols) * blocks <= 2 * config.depth_b and rng.random() < 0.4)
        a, b = bench.operands(m, n, k)
        reuse = kept is not None and bool(rng.random() < 0.5)
        if kept is not None and reuse:
            b, n, k = kept, kept.shape[1], kept.shape[0]
            a, _ = bench.operands(m, n, k)
        raw_a, raw_b, expected = bench.streams(a, b)
        passes = 0 if reuse else 1 if keep else -(-m // config.rows)
        kinds = ["good"] * 4 + ["abort", "reset", "a_early", "a_late", "a_keep"]
        kinds += ["b_early", "b_late", "b_keep"] if passes else []
        kind = str(rng.choice(kinds))
        frames = [(bench.a, AxiStreamFrame(raw_a))]
        frames += [(bench.b, AxiStreamFrame(raw_b)) for _ in range(passes)]
        if kind[:2] in ("a_", "b_"):
            which = 0 if kind[0] == "a" else int(rng.integers(1, passes + 1))
            width = config.bytes_a if kind[0] == "a" else config.bytes_b
            raw = raw_a if kind[0] == "a" else raw_b
            frames[which] = (frames[which][0], _spoil(bench, kind[2:], raw, width))
        early = rng.random() < 0.5
        if not early:
            await bench.begin(m, n, k, int(keep) + 2 * reuse)
        for stream, frame in frames:
            await stream.send(frame)
        if early:
            await bench.begin(m, n, k, int(keep) + 2 * reuse)
        dut._log.info("%s m=%d n=%d k=%d keep=%d reuse=%d", kind, m, n, k, keep, reuse)
        if kind == "good":
            await bench.result(expected)
            assert await bench.read("status") & 0xF == mask("status", "idle", "done")
            assert await bench.errors() == 0
            kept = kept if reuse else b if keep else None
            continue
        kept = None
        await bench.cycles(int(rng.integers(0, 300)))
        if kind == "reset":
            # As a power cycle would: everything around the engine starts again too.
            dut.rst.value = 1
            for stream in (bench.a, bench.b, bench.c):
                stream.clear()
            await bench.cycles(3)
            dut.rst.value = 0
            await bench.cycles(3)
            bench.c.clear()
        else:
            if kind == "abort":
                await bench.pulse("abort")
            for _ in range(PATIENCE):
                if not (await bench.read("status") & mask("status", "busy")):
                    break
            status = await bench.read("status")
            done = bool(status & mask("status", "done"))
            assert kind == "abort" or not done
            assert done != bool(status & mask("status", "failed"))
            error = await bench.errors()
            named = "aborted" if kind == "abort" else kind
            assert error == (0 if done else mask("error", named)), (kind, error)
            frame = await bench.c.recv()
            assert bench.c.empty()
            data = bytes(frame.tdata)
            assert data == expected if done else len(data) <= len(expected) + 4
            for _ in range(PATIENCE):
                if done or (bench.a.idle() and bench.b.idle()):
                    break
                await bench.cycles(1)
            assert done or (bench.a.idle() and bench.b.idle())
            await bench.cycles(8)
            assert bench.c.empty()
            await bench.pulse("soft_reset")
            await bench.write("error", 0xFFF)
        assert await bench.read("status") & 0xF == mask("status", "idle")
    bench.finish()


@cocotb.test()
async def soft_reset_withdraws_c(dut: Any) -> None:
    """Forget a job whose results nobody takes."""
    bench = await Bench.start(dut)
    config = bench.config
    for _ in range(3):
        bench.c.set_pause_generator(itertools.repeat(True))
        raw_a, raw_b, _ = bench.streams(*bench.operands(1, 1, 1))
        await bench.a.send(AxiStreamFrame(raw_a))
        await bench.b.send(AxiStreamFrame(raw_b))
        await bench.begin(1, 1, 1, 1)
        while not await bench.field("status", "c_waiting"):
            await bench.cycles(1)
        assert dut.m_axis_c_tvalid.value == 1
        await bench.pulse("soft_reset")
        assert await bench.read("status") == mask("status", "idle")
        assert dut.m_axis_c_tvalid.value == 0
        bench.c.set_pause_generator(itertools.repeat(False))
        # What was kept is forgotten too.
        await bench.begin(1, 1, 1, 2)
        await bench.cycles(10)
        assert await bench.errors() == mask("error", "no_kept_b")
        await bench.write("error", 0xFFF)
        await bench.product(config.rows, config.cols, config.block)
        assert bench.c.empty()
    bench.finish()
