"""``amxfp4 sim``: testbenches, then real tensors through the RTL; or one testbench, with waves.

The tensors are activations and weights of one layer of a language model. Each goes whole through
a generated quantizer and on through a generated dequantizer in Verilator. Then two of the layer's
matrix products run on the array. Every record and every word must equal the golden model's, bit
for bit.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from amxfp4.commands.sim_report import (
    FORMATS_COMPARED,
    ProductRow,
    Row,
    measure,
    multiply,
    picture,
    product_table,
    tensor_table,
)
from amxfp4.params.array import ArrayConfig
from amxfp4.params.checks import choose
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.util import process
from amxfp4.util.console import shown_by
from amxfp4.util.errors import reading
from amxfp4.verif.sim import benches
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.cocotb.runner import (
    JOBS_OF_A_TEST,
    Summary,
    TestbenchError,
    run_testbench,
)
from amxfp4.verif.sim.sources import Source
from amxfp4.verif.sim.tensors import real_products, real_tensors

__all__ = ["run"]

DEFAULT_SEED = 20411

T = TypeVar("T")
R = TypeVar("R", Row, ProductRow)


def run(
    unit: str | None = None,
    test: str | None = None,
    seed: int | None = None,
    waves: bool = False,
    jobs: int | None = None,
    out: Path = Path("build"),
) -> int:
    """Simulate everything there is, or with `unit` one testbench.

    Parameters
    ----------
    unit
        A unit's name, for a configuration of its own; or a folder that holds the Verilog and the
        manifest of a unit, as ``amxfp4 verilog`` writes them. ``None`` for the testbenches of all
        units, with tables of real tensors and products.
    test
        One test, or all that have the name and differ in parameters; by default every one.
    seed
        Of the testbenches' random stimulus; ``None`` for the default.
    waves
        Record every signal, and print where.
    jobs
        Random jobs of a test of an engine, at least 1; 12 by default.
    out
        Folder of builds (kept for the next run), of ``waves/``, and of ``reports/sim.json`` and
        ``sim.png``.

    Returns
    -------
    0 when everything agreed, 1 when anything did not.

    Raises
    ------
    ValueError
        There is no such unit or test, or one of these options is of no use.
    """
    seed = DEFAULT_SEED if seed is None else seed
    if unit is None:
        for name, given in (("test", test), ("waves", waves or None), ("jobs", jobs)):
            if given is not None:
                raise ValueError(f"{name} must come with a unit: one of {_names()}")
        return _everything(seed, out)
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    made = _unit(unit)
    name = made.unit if isinstance(made, UnitConfig) else str(made.manifest["unit"])
    tests = None if test is None else benches.select(name, test)
    console = Console()
    console.print(f"seed {seed}", highlight=False)
    try:
        summary = run_testbench(
            made, seed=seed, out=out, tests=tests, waves=waves, jobs=jobs or JOBS_OF_A_TEST
        )
    except TestbenchError as error:
        _complain(console, str(error))
        return 1
    _show(console, summary)
    if summary.waves:
        print(f"waves: {summary.waves}")
    return 0


def _names() -> str:
    return ", ".join(benches.CONFIGS)


def _unit(unit: str) -> UnitConfig | Source:
    """Find a unit by its name, or in a folder."""
    if unit in benches.CONFIGS:
        return benches.CONFIGS[unit]
    for manifest in sorted(Path(unit).glob("*.json")):
        verilog = manifest.with_suffix(".v")
        if verilog.is_file():
            with reading("unit", manifest, "a manifest that `amxfp4 verilog` wrote"):
                held = json.loads(manifest.read_text())
                if not isinstance(held, dict) or not {"unit", "top", "config"} <= held.keys():
                    raise ValueError("it does not state a unit, its top and its config")
                choose("unit", held["unit"], benches.CONFIGS).from_dict(held["config"])
            return Source(verilog.read_text(), held)
    raise ValueError(
        f"unit must be one of {_names()}, or a folder that `amxfp4 verilog` wrote, not {unit!r}"
    )


def _complain(console: Console, text: str) -> None:
    console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def _show(console: Console, summary: Summary) -> None:
    console.print(
        f"cocotb {summary.unit}: {summary.passed} of {summary.tests} tests passed, "
        f"{summary.transactions} transactions checked, {summary.seconds:.1f} s "
        f"(build {summary.build_seconds:.1f} s)",
        highlight=False,
        soft_wrap=True,
    )


def _testbenches(seed: int, build: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    """Run a cocotb testbench of every unit; of engines, which are small here, some of the tests."""
    task = progress.add_task("cocotb", total=len(benches.CONFIGS))
    for unit, configuration in benches.CONFIGS.items():
        progress.update(task, description=f"cocotb: {unit}")
        tests = benches.FIRST_LOOK[unit]
        summary = run_testbench(configuration, seed=seed, out=build, tests=tests)
        _show(progress.console, summary)
        yield {
            "unit": unit,
            "tests": summary.tests,
            "passed": summary.passed,
            "transactions": summary.transactions,
            "seconds": summary.seconds,
        }
        progress.advance(task)
    progress.update(task, description="cocotb")


def _converters(name: str) -> tuple[UnitConfig, ...]:
    """Quantizer and dequantizer of a format, for the tensors' FP16."""
    return QuantizerConfig(format=name, input="fp16"), DequantizerConfig(format=name, output="fp32")


def _arrays(name: str) -> tuple[UnitConfig, ...]:
    return (ArrayConfig(format_a=name, format_b=name),)


@contextlib.contextmanager
def _building_ahead(out: Path) -> Iterator[None]:
    """Build for tensors and products on another core while the testbenches run.

    Whoever wants a unit that is being built waits for it; one that cannot be built says so there.
    """
    # Building an array takes a gigabyte.
    pool = ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 1) - 1)))
    for units, name in itertools.product((_arrays, _converters), FORMATS_COMPARED):
        for config in units(name):
            pool.submit(contextvars.copy_context().run, BatchDut, config, cache=out)
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        process.end_all()
        pool.shutdown()


def _rows(
    what: str,
    items: Mapping[str, T],
    units: Callable[[str], tuple[UnitConfig, ...]],
    check: Callable[[str, T, list[BatchDut]], tuple[R, str]],
    out: Path,
    progress: Progress,
) -> Iterator[R]:
    """Send every item through the units of every format."""
    task = progress.add_task(what, total=len(items) * len(FORMATS_COMPARED))
    for name in FORMATS_COMPARED:
        progress.update(task, description=f"{what}: building {name}")
        duts = [BatchDut(config, cache=out) for config in units(name)]
        for item, values in items.items():
            progress.update(task, description=f"{what}: {item} in {name}")
            row, problem = check(item, values, duts)
            if problem:
                _complain(progress.console, problem)
            yield row
            progress.advance(task)
    progress.update(task, description=what)


def _everything(seed: int, out: Path) -> int:
    """Run all testbenches, then real tensors and products: tables, JSON and a picture."""
    console = Console()
    console.print(f"seed {seed}", highlight=False)
    reports = out / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(*columns, console=console))
        if console.is_terminal:  # one line at a time
            stack.enter_context(shown_by(lambda *_: None))
        stack.enter_context(_building_ahead(out))
        try:
            testbenches = list(_testbenches(seed, out, progress))
        except TestbenchError as error:
            _complain(console, str(error))
            return 1
        tensors, products = real_tensors(), real_products()
        rows = list(_rows("tensors", tensors, _converters, measure, out, progress))
        done = list(_rows("products", products, _arrays, multiply, out, progress))
    problems = sum(r.mismatches > 0 for r in rows) + sum(p.mismatches > 0 for p in done)

    rows.sort(key=lambda r: list(tensors).index(r.tensor))
    print("\nReal tensors through quantizer and dequantizer, RTL against golden")
    tensor_table(rows).show()
    done.sort(key=lambda r: list(products).index(r.product))
    print("\nMatrix products through the array, RTL against golden")
    product_table(done).show()
    picture(rows, reports / "sim.png")
    report = {
        "seed": seed,
        "testbenches": testbenches,
        "tensors": [asdict(r) for r in rows],
        "products": [asdict(r) for r in done],
    }
    (reports / "sim.json").write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"Written: {reports / 'sim.json'}, {reports / 'sim.png'}", highlight=False)
    if problems:
        total = len(rows) + len(done)
        console.print(f"{problems} of {total} tensors and products FAILED", style="red")
        return 1
    blocks = sum(r.blocks for r in rows)
    console.print(
        f"All {blocks} blocks of {len(tensors)} tensors and all "
        f"{sum(r.tiles for r in done)} tiles of {len(done)} products agree, bit for bit.",
        highlight=False,
        soft_wrap=True,
    )
    return 0
