"""What the commands of the host program do with an engine that is open."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from amxfp4 import golden
from amxfp4.commands.files.matmul import matrix, pick, split
from amxfp4.commands.files.tensors import BLOCKS, found, opened, require_suffix
from amxfp4.golden import Blocks, files
from amxfp4.golden.engine import expected, operand_a, operand_b
from amxfp4.host import Engine
from amxfp4.host import bench as benchmark
from amxfp4.host.comparison import difference
from amxfp4.host.errors import TooLongError
from amxfp4.host.selftest import run as tests
from amxfp4.params.engine import NONE
from amxfp4.util.console import Table, working
from amxfp4.util.errors import reading, writing

__all__ = ["bench", "info", "load", "matmul", "selftest"]

_OF_CONFIG = (
    "rows", "cols", "lanes", "block", "format_a", "format_b", "input", "output", "acc", "frac_bits",
    "int_bits", "ties", "requantize", "depth_a", "depth_b", "bytes_a", "bytes_b", "bytes_c",
)  # fmt: skip


def _line(engine: Engine) -> str:
    """Say in a few words how well the line works."""
    counts = engine.transport.statistics()
    if not counts:
        return ""
    text = f"{counts['requests']} requests, {counts['retries']} retries"
    return f"; {text}, {counts['dropped']} damaged answers"


def info(engine: Engine) -> None:
    """Print what the engine is."""
    identity, config = engine.identity, engine.config
    table = Table("what", "is")
    table.add("port", engine.transport.name)
    if engine.transport.clock:
        table.add("clock", f"{engine.transport.clock / 1e6:g} MHz")
    if payload := getattr(engine.transport, "payload", None):
        table.add("payload", f"{payload} bytes")
    table.add("register map", f"{identity.version[0]}.{identity.version[1]}")
    table.add("digest", identity.digest)
    for name in _OF_CONFIG:
        if (value := getattr(config, name)) is not None:
            table.add(name, value)
    for name in ("max_m", "max_n", "max_k"):
        table.add(name, f"{getattr(identity, name):,}")
    status, errors = engine.state()
    table.add("status", " ".join(name for name, up in status.items() if up) or "-")
    table.add("errors", " ".join(errors) or "none")
    for name, number in engine.transport.statistics().items():
        table.add(name, f"{number:,}")
    table.show()


def selftest(engine: Engine, *, count: int | None, seed: int, first: int) -> int:
    """Run the selftest, and say how it went; return the exit code."""
    with working("selftest") as step:

        def show(totals: tests.Totals, name: str) -> None:
            step(f"{totals.products} products, {name}")

        totals = tests.run(engine, seed=seed, count=count, first=first, progress=show)
    print(
        f"seed {seed}: {totals.checks} checks of registers and errors, {totals.products} products "
        f"of {totals.elements:,} elements and {totals.macs / 1e6:.3g} M MACs in "
        f"{totals.seconds:.1f} s, {totals.products / max(totals.seconds, 1e-9):.2f} products a "
        f"second{_line(engine)}"
    )
    if totals.skipped:
        advice = engine.transport.limits.advice
        print(f"{totals.skipped} products skipped, which cannot be carried: {advice}")
    if totals.failure is not None:
        print(f"selftest FAILED: {totals.failure}", file=sys.stderr)
    elif not totals.products:
        print("selftest FAILED: nothing was compared", file=sys.stderr)
    else:
        print("selftest passed: every bit equals golden")
    return 0 if totals.passed else 1


def load(a: str, b: str, *, out: Path | None, transpose_b: bool) -> tuple[Any, Any]:
    """Read both operands, before a board is asked for anything.

    Raises
    ------
    ValueError
        A file is not what it must be.
    """
    if out is not None:
        require_suffix("--out", out, ".npy", ".safetensors")
    left = _blocks("A", a) or matrix("A", a)
    right = _blocks("B", b)
    if right is None:
        x = matrix("B", b)
        return left, x.T if transpose_b else x
    if transpose_b and len(right.shape) == 2 and right.axis == 1:
        # Blocks along the second axis of [N, K] are blocks along the first one of [K, N].
        shape = (right.shape[1], right.shape[0])
        right = dataclasses.replace(right, shape=shape, axis=0)
    return left, right


def _blocks(parameter: str, source: str) -> Blocks | None:
    """Read the quantized tensor that `source` names, if its file holds such."""
    path, name = split(source)
    with opened(parameter, path) as file:
        held = {n: tensor for n, tensor in found(parameter, file).items() if tensor.row}
        if not held or (name in file.entries and name not in held):
            return None
        chosen = pick(parameter, source, list(held), name)
        with reading(parameter, path, BLOCKS):
            return held[chosen].blocks()


def matmul(engine: Engine, a: Any, b: Any, *, out: Path | None, check: bool) -> int:
    """Multiply on the board, say how fast, and write C; return the exit code."""
    import time

    config = engine.config
    if out is not None and config.requantize != NONE and out.suffix != ".safetensors":
        raise ValueError(
            f"--out must end in .safetensors for an engine that requantizes, not {str(out)!r}"
        )
    start = time.monotonic()
    c = engine.matmul(a, b)
    seconds = time.monotonic() - start
    sent = engine.sent
    m, n = c.shape
    macs = m * n * int(a.shape[1])
    print(
        f"C {[m, n]}: {config.format_a} x {config.format_b}, acc={config.acc}, in {seconds:.2f} s "
        f"({macs / seconds / 1e6:.3g} M MACs a second, {sent.jobs} jobs, {sent.bytes:,} bytes"
        f"{_line(engine)})"
    )
    if config.acc == "fixed":
        print(f"  flags raised: {', '.join(engine.flags) or 'none'}")
    if check:
        wanted, flags = expected(config, operand_a(config, a)[0], operand_b(config, b))
        found = difference(config, c, wanted)
        if found or set(flags) != set(engine.flags):
            what = found or f"flags must be {list(flags)}, not {list(engine.flags)}"
            print(f"C differs from golden: {what}", file=sys.stderr)
            return 1
        print("  every bit equals golden")
    if out is not None:
        with writing("--out", out, "a file that can be written"):
            if isinstance(c, Blocks):
                golden.save_blocks(out, {"c": c})
            else:
                files.save_tensors(out, {"c": c})
        print(f"  wrote {out}")
    return 0


def bench(engine: Engine, *, repeat: int, largest: int) -> int:
    """Time products, and print a table; return the exit code."""
    table = Table(
        "M", "N", "K", "ms", "k MAC/s", "kB/s", "cycles", "ideal", "of ideal", "stall A", "stall B",
        "stall C",
    )  # fmt: skip
    rows, wrong, too_long = 0, None, None
    with working("bench") as step:
        for m, n, k in benchmark.sizes(engine, largest):
            step(f"M = {m}, N = {n}, K = {k}")
            try:
                done = benchmark.measure(engine, m, n, k, repeat=repeat)
            except TooLongError as error:
                too_long = too_long or TooLongError(f"M = {m}, N = {n}, K = {k}: {error}")
                continue
            except benchmark.WrongProductError as error:
                wrong = error
                break
            cycles = done.counters["cycles"]
            # Of a product in several jobs the counters tell of the last one only.
            share = f"{done.ideal / cycles:.1%}" if done.jobs == 1 and cycles else "-"
            stalls = [f"{done.counters[f'stall_{s}'] / max(cycles, 1):.1%}" for s in "abc"]
            table.add(
                m, n, k, f"{done.seconds * 1e3:.2f}", f"{m * n * k / done.seconds / 1e3:.1f}",
                f"{done.bytes / done.seconds / 1e3:.1f}", cycles, f"{done.ideal:.0f}", share,
                *stalls,
            )  # fmt: skip
            rows += 1
    if wrong is not None:
        print(f"bench FAILED: {wrong}", file=sys.stderr)
        return 1
    if too_long and not rows:
        raise too_long
    if not rows:
        raise ValueError(f"--largest must be at least a tile of one block, not {largest}")
    table.show()
    clock = f"clock {engine.transport.clock / 1e6:g} MHz; " if engine.transport.clock else ""
    print(f"{clock}every product equals golden{_line(engine)}")
    if too_long:
        print(f"left out {too_long}")
    return 0
