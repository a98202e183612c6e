"""Speed and memory on one core, of the golden model and of verification, against what is promised.

Each figure is the best of several runs in a process of its own, pinned to one core and with
BLAS on one thread, so that it can be compared between machines and commits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from amxfp4.util.console import Table

__all__ = ["Row", "measure", "run"]

# BLAS libraries read these once, when NumPy is imported.
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_RUNS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Parameters
    ----------
    name
        What was measured.
    value, unit
        The figure.
    target
        What it must reach, or stay within.
    at_least
        Whether more is better.
    """

    name: str
    value: float
    unit: str
    target: float
    at_least: bool

    @property
    def passed(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def run(size: int = 4096) -> int:
    """Measure and print a table; return 0 if every target is met, else 1."""
    rows = measure(size)
    table = Table("one core", "figure", "unit", "target", "")
    for row in rows:
        bound = "at least" if row.at_least else "at most"
        table.add(row.name, f"{row.value:.3g}", row.unit, f"{bound} {row.target:g}",
                  "ok" if row.passed else "MISSED")  # fmt: skip
    table.show()
    return 0 if all(row.passed for row in rows) else 1


def measure(size: int = 4096, *, side: int = 4, lanes: int = 32) -> list[Row]:
    """Measure in a process of its own.

    Parameters
    ----------
    size
        Rows and columns of the tensor that is quantized; the matrix product is of an eighth.
    side, lanes
        Rows and columns of the array that products are verified through, and its lanes.

    Raises
    ------
    TypeError
        `size` is not an integer.
    ValueError
        `size` is below 256.
    """
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"size must be an integer, not {size!r}")
    if size < 256:
        raise ValueError(f"size must be at least 256, not {size!r}")
    done = subprocess.run(
        [sys.executable, "-m", "amxfp4.dev.bench", *map(str, (size, side, lanes))],
        env={**os.environ, **_ONE_THREAD},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [Row(**fields) for fields in json.loads(done.stdout)]


def _best(call: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs, after one that fills tables and caches."""
    call()
    seconds = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _measure_here(size: int, side: int, lanes: int) -> list[Row]:
    import numpy as np

    from amxfp4 import golden

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, size), dtype=np.float32)
    shape = f"{size}x{size} fp32"
    rows = []

    def rate(name: str, call: Callable[[], object], target: float) -> None:
        rows.append(Row(name, x.size / _best(call) / 1e6, "M elements/s", target, True))

    rate(f"quantize {shape} to amxfp4, last axis", lambda: golden.quantize(x), 40)
    rate(f"quantize {shape} to amxfp4, first axis", lambda: golden.quantize(x, axis=0), 40)
    rate(f"quantize {shape} to mxfp4, last axis", lambda: golden.quantize(x, "mxfp4"), 40)
    b = golden.quantize(x)
    rate(f"dequantize {shape} from amxfp4, last axis", partial(golden.dequantize, b), 100)
    first = golden.quantize(x, axis=0)
    rate(f"dequantize {shape} from amxfp4, first axis", partial(golden.dequantize, first), 100)
    del b, first  # neither counts in the memory below
    for axis, name in ((-1, "last"), (0, "first")):
        tracemalloc.start()
        golden.quantize(x, axis=axis)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ratio = 1 + peak / x.nbytes
        rows.append(Row(f"peak memory of quantize, {name} axis", ratio, "x input", 3, False))
    n = size // 8
    a, w = golden.quantize(x[:n, :n]), golden.quantize(x[n : 2 * n, :n], axis=0)
    for acc, target in (("exact", 1.5), ("fixed", 5.0), ("fp32", 5.0)):
        seconds = _best(partial(golden.matmul, a, w, acc))
        rows.append(Row(f"matmul {n}x{n}x{n} amxfp4, {acc}", seconds, "s", target, False))
    return rows + _array_rows(n, side, lanes)


def _array_rows(n: int, side: int, lanes: int) -> list[Row]:
    """Measure how fast a product is verified through the array, and how fast one is generated."""
    import numpy as np

    from amxfp4 import golden
    from amxfp4.gen import verilog
    from amxfp4.params.array import ArrayConfig
    from amxfp4.verif.sim.batch.dut import BatchDut
    from amxfp4.verif.sim.tiles import through_rtl

    rng = np.random.default_rng(1)
    a, w = (golden.quantize(rng.standard_normal((n // 2, n), dtype=np.float32)) for _ in range(2))
    rows = []
    for name, target in (("amxfp4", 50), ("mxfp4", 50)):
        x, y = a, w
        if name != "amxfp4":
            x, y = (golden.quantize(golden.dequantize(side), name) for side in (a, w))
        config = ArrayConfig(format_a=name, format_b=name, rows=side, cols=side, lanes=lanes)
        array = BatchDut(config)
        best = max(through_rtl(array, x, y).macs_per_second for _ in range(3)) / 1e6
        what = f"verified through a {side}x{side} array of {lanes} lanes, {name}"
        rows.append(Row(what, best, "M MAC/s", target, True))
    sizes = {}
    for more in (side, 4 * side):
        start = time.perf_counter()
        config = ArrayConfig(rows=more, cols=more, lanes=lanes)
        sizes[more] = len(verilog.generate(config).text)
        seconds = time.perf_counter() - start
        rows.append(Row(f"generate a {more}x{more} array", seconds, "s", 20, False))
    growth = sizes[4 * side] / sizes[side]
    what = f"Verilog of a {4 * side}x{4 * side} array over a {side}x{side}"
    rows.append(Row(what, growth, "x", 4, False))
    return rows


if __name__ == "__main__":
    print(json.dumps([asdict(row) for row in _measure_here(*map(int, sys.argv[1:]))]))
