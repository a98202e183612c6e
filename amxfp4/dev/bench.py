"""Speed and memory of the golden model, of files and of verification, against what is promised.

Each figure is the best of several runs in a process of its own, pinned to one core and with BLAS on
one thread; files are quantized by the command, on all cores. Speeds are shown; what is judged is
how many times as long as a reference loop the work takes, which runs in turn with it: a slow or
busy machine slows down both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amxfp4.util.console import Table

__all__ = ["Row", "measure", "run"]

# BLAS libraries read these once, when NumPy is imported.
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_RUNS = 5

# In times of the reference loop, for a tensor of 4096 x 4096 and products of 512 x 512 x 512. Those
# of quantizing are about three times what was seen, that of the array twice; others are estimates.
QUANTIZE = 15.0
SEARCH = 60.0
DEQUANTIZE = 16.0
MATMUL = {"exact": 60.0, "fixed": 200.0, "fp32": 200.0, "fused": 400.0}
THROUGH_RTL = 200.0
GENERATE = 800.0
FILE = 500.0
FILE_MEMORY = 1.2
"""In GB, of a process that quantizes a file of 1 GB."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Parameters
    ----------
    name
        What was measured.
    value, unit
        The figure.
    judged
        What is judged: how many times as long as the reference loop it takes, or the figure itself
        where that is no time.
    limit
        What `judged` must stay within.
    """

    name: str
    value: float
    unit: str
    judged: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.judged <= self.limit


def run(size: int = 4096) -> int:
    """Measure and print a table; return 0 if every limit is kept, else 1."""
    rows = measure(size)
    table = Table("what", "figure", "unit", "x reference", "at most", "")
    for row in rows:
        table.add(row.name, f"{row.value:.3g}", row.unit, f"{row.judged:.3g}", f"{row.limit:g}",
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


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _reference() -> None:
    """Work that nobody here will make faster: a pass over an array, and a loop of Python."""
    import numpy as np

    x = np.arange(1 << 22, dtype=np.float32)
    np.floor(np.sqrt(x) * np.float32(3))
    sum(n & 5 for n in range(300_000))


def _generate(config: Any, made: list[Any]) -> None:
    from amxfp4.gen import verilog

    made.append(verilog.generate(config))


def _best(
    call: Callable[[], object], runs: int = _RUNS, *, warm: bool = True
) -> tuple[float, float]:
    """Seconds of the fastest of several runs, and how many times that of the reference loop.

    Both run in turn, so that what else the machine does meets both.
    """
    if warm:
        call()  # fills tables and caches
        _reference()
    ours, reference = [], []
    for _ in range(runs):
        reference.append(_seconds(_reference))
        ours.append(_seconds(call))
    return min(ours), min(ours) / min(reference)


def _measure_here(size: int, side: int, lanes: int) -> list[Row]:
    import numpy as np

    from amxfp4 import golden

    free: set[int] = set()
    if hasattr(os, "sched_setaffinity"):
        free = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(free)})
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, size), dtype=np.float32)
    shape = f"{size}x{size} fp32"
    rows = []

    # Limits are for the full size; small tensors, as in tests of this program, are quicker.
    def rate(name: str, call: Callable[[], object], limit: float) -> None:
        seconds, ratio = _best(call)
        rows.append(Row(name, x.size / seconds / 1e6, "M elements/s", ratio, limit))

    rate(f"quantize {shape} to amxfp4, last axis", lambda: golden.quantize(x), QUANTIZE)
    rate(f"quantize {shape} to amxfp4, first axis", lambda: golden.quantize(x, axis=0), QUANTIZE)
    rate(f"quantize {shape} to mxfp4, last axis", lambda: golden.quantize(x, "mxfp4"), QUANTIZE)
    searched = partial(golden.quantize, x, "amxfp4-ue5m3", search=(0, 3))
    rate(f"quantize {shape} to amxfp4-ue5m3, 4 scales searched", searched, SEARCH)
    b = golden.quantize(x)
    rate(f"dequantize {shape} from amxfp4, last axis", partial(golden.dequantize, b), DEQUANTIZE)
    first = golden.quantize(x, axis=0)
    rate(
        f"dequantize {shape} from amxfp4, first axis", partial(golden.dequantize, first), DEQUANTIZE
    )
    del b, first  # neither counts in the memory below
    for axis, name in ((-1, "last"), (0, "first")):
        tracemalloc.start()
        golden.quantize(x, axis=axis)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ratio = 1 + peak / x.nbytes
        rows.append(Row(f"peak memory of quantize, {name} axis", ratio, "x input", ratio, 3))
    n = size // 8
    a, w = golden.quantize(x[:n, :n]), golden.quantize(x[n : 2 * n, :n], axis=0)
    for acc, limit in MATMUL.items():
        seconds, ratio = _best(partial(golden.matmul, a, w, acc))
        rows.append(Row(f"matmul {n}x{n}x{n} amxfp4, {acc}", seconds, "s", ratio, limit))
    rows += _array_rows(n, side, lanes)
    if free:
        os.sched_setaffinity(0, free)
    return rows + _file_rows(size)


def _file_rows(size: int) -> list[Row]:
    """Quantize a file of 32 size^2 BF16 words, 1 GB for a size of 4096, by the command."""
    import numpy as np

    from amxfp4.golden.files import Entry, Writer

    x = np.random.default_rng(2).standard_normal((size, size), np.float32)
    words = (x.view(np.uint32) >> 16).astype(np.uint16)
    count = 32 * words.size
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "x.safetensors"), Path(folder, "q.safetensors")
        with Writer(source, {"x": Entry("BF16", (32 * size, size), 2 * count)}, {}) as writer:
            for _ in range(32):
                writer.write(words)
        del x, words
        command = [sys.executable, "-m", "amxfp4", "quantize", str(source), str(target)]
        peaks: list[float] = []
        seconds, ratio = _best(lambda: peaks.append(_peak(command)), 2, warm=False)
        moving, _ = _best(partial(_move, source, target), 2, warm=False)
    what = f"quantize a file of {2 * count / 1e9:.3g} GB of bf16"
    return [
        Row(f"{what}, all cores", count / seconds / 1e6, "M elements/s", ratio, FILE),
        Row(
            f"{what}, I/O aside",
            count / (seconds - moving) / 1e6,
            "M elements/s",
            ratio * (1 - moving / seconds),
            FILE,
        ),
        Row(f"{what}, peak memory", max(peaks), "GB", max(peaks), FILE_MEMORY),
    ]


def _move(source: Path, target: Path) -> None:
    """Read one file, and write another anew: what a conversion costs without its arithmetic."""
    piece, written = bytearray(1 << 22), target.stat().st_size
    with source.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass
    with target.with_suffix(".copy").open("wb", buffering=0) as file:
        while file.tell() < written:
            file.write(piece)


def _peak(command: list[str]) -> float:
    """Run a program; return the most memory it held, in GB."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


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
    for name in ("amxfp4", "mxfp4"):
        x, y = a, w
        if name != "amxfp4":
            x, y = (golden.quantize(golden.dequantize(side), name) for side in (a, w))
        config = ArrayConfig(format_a=name, format_b=name, rows=side, cols=side, lanes=lanes)
        array = BatchDut(config)
        seconds, ratio = _best(partial(through_rtl, array, x, y), 3)
        what = f"verified through a {side}x{side} array of {lanes} lanes, {name}"
        speed = x.shape[0] * y.shape[0] * n / seconds / 1e6
        rows.append(Row(what, speed, "M MAC/s", ratio, THROUGH_RTL))
    sizes = {}
    for more in (side, 4 * side):
        config = ArrayConfig(rows=more, cols=more, lanes=lanes)
        made: list[verilog.Generated] = []
        seconds, ratio = _best(partial(_generate, config, made), 1, warm=False)
        sizes[more] = len(made[0].text)
        rows.append(Row(f"generate a {more}x{more} array", seconds, "s", ratio, GENERATE))
    growth = sizes[4 * side] / sizes[side]
    what = f"Verilog of a {4 * side}x{4 * side} array over a {side}x{side}"
    rows.append(Row(what, growth, "x", growth, 4))
    return rows


if __name__ == "__main__":
    print(json.dumps([asdict(row) for row in _measure_here(*map(int, sys.argv[1:]))]))
