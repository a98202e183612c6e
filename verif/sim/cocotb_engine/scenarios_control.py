"""What the testbench of `engine` does with its registers, its interrupt, and their bus."""

from __future__ import annotations

import itertools
from typing import Any

import cocotb
from cocotb.triggers import with_timeout
from cocotbext.axi.axil_channels import (
    AxiLiteARTransaction,
    AxiLiteAWTransaction,
    AxiLiteWTransaction,
)

from amxfp4.params.registers import REGISTERS, Access
from amxfp4.verif.sim.cocotb_engine.agents_engine import packet
from amxfp4.verif.sim.cocotb_engine.environment_engine import OFFSETS, EngineEnvironment, bit
from amxfp4.verif.sim.cocotb_engine.models_engine import Job, constants

__all__ = [
    "access",
    "addresses",
    "bus_orders",
    "clears",
    "interrupts",
    "reset_values",
    "strobes",
]

_OKAY, _SLVERR = 0, 2
_WRITABLE = {"m": 32, "n": 32, "k": 32, "job": 2, "interrupt_enable": 3}
"""Registers that read what was written, and their bits."""


async def _smallest(env: EngineEnvironment) -> None:
    """Run a job, so that every test compares results, and sees that none was spoilt."""
    await env.write("interrupt_enable", 0)
    await env.clear()
    await env.run(env.model.job(env.rng, kind="plain"))
    await env.finish()


async def reset_values(dut: Any) -> None:
    """Read every register after a reset: the manifest's parameters and digest, idle, else 0."""
    env = await EngineEnvironment.start(dut)
    due = dict.fromkeys(OFFSETS, 0) | {"status": bit("status", "idle")} | constants(env.manifest)
    for name, value in due.items():
        await env.expect(name, value, "after a reset")
    if int(dut.irq.value):
        raise AssertionError("irq must be 0 after a reset")
    await _smallest(env)


async def access(dut: Any) -> None:
    """Write every register: fields keep what they may, reserved bits read 0, constants refuse."""
    env = await EngineEnvironment.start(dut)
    fixed = constants(env.manifest)
    for register in REGISTERS:
        values = {0xFFFFFFFF, 0, 0xA5A5A5A5, 0x5A5A5A5A, int(env.rng.integers(1 << 32))}
        name, writes = register.name, _WRITABLE.get(register.name)
        clears = name in ("interrupt_status", "error")
        for value in sorted(values):
            if name == "control":
                value &= ~7  # reserved bits only: nothing starts
            answer = await env.drivers.write(register.offset, value, 15)
            if writes:
                await env.expect(name, value & ((1 << writes) - 1), f"after writing {value:#x}")
            elif clears or name == "control":
                await env.expect(name, 0, f"after writing {value:#x}")
            else:
                await env.expect(name, fixed.get(name, int(name == "status")), "read only")
            due = _OKAY if writes or clears or name == "control" else _SLVERR
            if answer != due:
                raise AssertionError(f"writing {name} must be answered {due}, not {answer}")
        if (due == _OKAY) != register.writable:
            raise AssertionError(f"{name}: the table and this test must agree on what is writable")
    await env.expect("interrupt_status", 0, "refused accesses are no errors of the engine")
    accessed = {f.access for r in REGISTERS for f in r.fields}
    if accessed != set(Access):
        raise AssertionError(f"every kind of access must be met, not {accessed}")
    await _smallest(env)


async def addresses(dut: Any) -> None:
    """Access what is no register, and what is not a multiple of four: SLVERR, 0, no effect."""
    env = await EngineEnvironment.start(dut)
    for name, size in _WRITABLE.items():
        await env.write(name, 0x5EED0001 & ((1 << size) - 1))
    known = set(OFFSETS.values())
    unmapped = [a for a in range(0, 0x200, 4) if a not in known]
    unmapped += [a for a in range(0x200, 0x1000, 4) if env.rng.random() < 0.04]
    # Registers at other pages are no registers.
    unmapped += [page + OFFSETS[n] for page in (0x100, 0x400, 0x800) for n in ("m", "control")]
    misaligned = [o + n for o in sorted(known)[::2] for n in (1, 2, 3)]
    for address in (*unmapped, *misaligned, 0xFFC, 0xFFF):
        answer = await env.drivers.write(address, 0xFFFFFFFF, 15)
        if answer != _SLVERR:
            raise AssertionError(f"writing {address:#x} must be answered SLVERR, not {answer}")
        read = await _read(env, address)
        if read != (0, _SLVERR):
            raise AssertionError(f"reading {address:#x} must be answered 0, SLVERR, not {read}")
    for name, size in _WRITABLE.items():
        await env.expect(name, 0x5EED0001 & ((1 << size) - 1), "after accesses elsewhere")
    await env.expect("status", bit("status", "idle"), "after accesses elsewhere")
    await env.expect("error", 0, "after accesses elsewhere")
    await _smallest(env)


async def _read(env: EngineEnvironment, address: int) -> tuple[int, int]:
    """Read any address; return data and response."""
    channels = env.drivers.channels
    prot = int(env.rng.integers(8))
    await channels["ar"].send(AxiLiteARTransaction(araddr=address, arprot=prot))
    answer = await with_timeout(channels["r"].recv(), 1_000 * env.period, "step")
    return int(answer.rdata), int(answer.rresp)


async def strobes(dut: Any) -> None:
    """Write with every pattern of WSTRB: bytes without a strobe stay, write-1 fields too."""
    env = await EngineEnvironment.start(dut)
    old = 0x11223344
    for strobe, (name, size) in itertools.product(range(16), _WRITABLE.items()):
        mask = sum(0xFF << 8 * n for n in range(4) if strobe >> n & 1)
        limit = (1 << size) - 1
        for before, value in ((old, 0xFEDCBA98), (0xFFFFFFFF, 0)):
            await env.write(name, before)
            await env.drivers.write(OFFSETS[name], value, strobe)
            await env.expect(name, (before & ~mask | value & mask) & limit, f"{strobe=:#x}")
    await env.write("interrupt_enable", 0)
    # No start without the strobe of its byte, and no clearing.
    for value, strobe in ((1, 0), (1, 14), (0xFFFFFFFF, 12), (0, 15)):
        await env.drivers.write(OFFSETS["control"], value, strobe)
    await env.expect("error", 0, "no start")
    await env.expect("status", bit("status", "idle"), "no start")
    await env.write("m", 0)
    await env.drivers.write(OFFSETS["control"], 0xFFFFFF01, 1)
    await env.cycles(60)
    await env.expect("error", bit("error", "bad_dimension"), "a start")
    for name, kept in (("error", 1), ("interrupt_status", 2)):
        for value, strobe in ((0xFFFFFFFF, 0), (0xFFFFFFFF, 14), (0, 15), (~kept & 0xFF, 1)):
            await env.drivers.write(OFFSETS[name], value, strobe)
            await env.expect(name, kept, f"after {value:#x} under {strobe:#x}")
        await env.drivers.write(OFFSETS[name], kept, 1)
        await env.expect(name, 0, "after clearing")
    await _smallest(env)


async def bus_orders(dut: Any) -> None:
    """Send address before data and after it, withhold responses: writes and reads do not mix."""
    env = await EngineEnvironment.start(dut)
    channels, watcher = env.drivers.channels, env.watcher
    for n, (first, second) in enumerate((("aw", "w"), ("w", "aw")) * 4):
        value, gap = int(env.rng.integers(1 << 32)), (0, 1, 7, 50)[n // 2]
        sent = {
            "aw": AxiLiteAWTransaction(awaddr=OFFSETS["k"], awprot=n),
            "w": AxiLiteWTransaction(wdata=value, wstrb=15),
        }
        responses = watcher.taken["write response"]
        await channels[first].send(sent[first])
        await env.cycles(gap)
        if gap > 10:
            if watcher.taken["write response"] != responses:
                raise AssertionError(f"{first} alone must not be answered")
            await env.expect("m", 0, "reads do not wait for a write")
        await channels[second].send(sent[second])
        answer = await with_timeout(channels["b"].recv(), 100 * env.period, "step")
        if int(answer.bresp):
            raise AssertionError(f"the write must be answered OKAY, not {answer}")
        await env.expect("k", value, f"{first} before {second}, {gap} cycles apart")
    # A response that is not taken holds up its own kind only.
    channels["b"].pause = True
    await env.drivers.channels["aw"].send(AxiLiteAWTransaction(awaddr=OFFSETS["n"]))
    await channels["w"].send(AxiLiteWTransaction(wdata=77, wstrb=15))
    await env.until(lambda: int(dut.s_axi_bvalid.value), "BVALID", 50)
    await env.expect("n", 77, "a write takes effect before its response is valid")
    writing = cocotb.start_soon(env.drivers.write(OFFSETS["n"], 78, 15))
    await env.cycles(30)
    await env.expect("n", 77, "one write is in flight at a time")
    channels["b"].pause = False
    await channels["b"].recv()
    await with_timeout(writing, 100 * env.period, "step")
    await env.expect("n", 78, "the second write")
    channels["r"].pause = True
    reading = cocotb.start_soon(env.read("n"))
    await env.until(lambda: int(dut.s_axi_rvalid.value), "RVALID", 50)
    await env.write("n", 79)
    await env.cycles(20)
    channels["r"].pause = False
    if await with_timeout(reading, 100 * env.period, "step") != 78:
        raise AssertionError("a read must not be changed by a write behind it")
    env.pause_control("random")
    values = [int(v) for v in env.rng.integers(0, 1 << 32, 24)]
    for value, name in zip(values, itertools.cycle("mnk"), strict=False):
        await env.write(name, value)
        await env.expect(name, value, "under random pauses")
    await _smallest(env)


async def interrupts(dut: Any) -> None:
    """Raise every bit of interrupt_status: `irq` is up while one is set and enabled."""
    env = await EngineEnvironment.start(dut)
    job = env.model.job(env.rng, kind="plain")
    if env.config.acc == "fixed":
        while not job.flags:
            job = env.model.job(env.rng, kind="special")
    await env.launch(job)
    env.board.compare(await env.receive(job), job)
    await env.write("m", 0)
    await env.command("start")
    await env.cycles(60)
    bits = 7 if job.flags else 3
    await env.expect("interrupt_status", bits, "done, error, and flags in fixed mode")
    await env.expect("error", job.flags << 10 | bit("error", "bad_dimension"))
    left = bits
    for clear in (0, 2, 4, 1):
        await env.write("interrupt_status", clear)
        left &= ~clear
        await env.expect("interrupt_status", left, f"after clearing {clear:#x}")
        for enable in range(8):
            await env.write("interrupt_enable", enable)
            if int(dut.irq.value) != bool(left & enable):
                raise AssertionError(f"irq must be {bool(left & enable)}: {left=}, {enable=}")
    await env.expect("error", job.flags << 10 | bit("error", "bad_dimension"), "not cleared by it")
    await _smallest(env)


async def _end(env: EngineEnvironment, job: Job, wait: int, fails: bool) -> None:
    """Bring a job to its end, or to a failure, so many cycles from now."""
    await env.cycles(wait)
    if fails:
        # All of A in bytes that do not end: it fails when the last of them is used.
        await env.drivers.a.send(packet(job.raw_a + bytes(1)))
    else:
        await env.send_a(job)
    await env.send_b(job)
    await env.cycles(200)


async def clears(dut: Any) -> None:
    """Clear without a break while a job ends, well or not: where both meet, the bit is set."""
    env = await EngineEnvironment.start(dut)
    await env.write("interrupt_enable", 7)
    for offset, fails in itertools.product(range(8), (False, True)):
        job = env.model.job(env.rng, (1, 1, 1), kind="plain")
        await env.prepare(job)
        await env.begin(job)
        rises = env.watcher.irq_rises
        ending = cocotb.start_soon(_end(env, job, 20 + offset, fails))
        while not ending.done():
            await env.write("interrupt_status", 7)
        frame = await env.receive(job)
        if env.watcher.irq_rises == rises:
            raise AssertionError("what hardware sets in the cycle of a clearing must be seen")
        if fails:
            env.board.compare_failed(frame, job)
            await env.soft_reset()
            await env.write("error", 0xFFF)
        else:
            env.board.compare(frame, job)
    await _smallest(env)
