"""Build and run a cocotb testbench; a failed test is an error, and so is no test at all.

Verilator and the simulator are called directly, not by cocotb's runner: that one makes every signal
public, lets the user's shell have the last word on seed, tests and waves, and waits for ever.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb
import cocotb_tools.config
from cocotb_tools.check_results import get_results
from find_libpython import find_libpython

from amxfp4.gen.export.fusesoc import WAIVERS
from amxfp4.params.config import UnitConfig
from amxfp4.util import files, process
from amxfp4.util.console import working
from amxfp4.util.errors import ToolError
from amxfp4.verif.sim import benches, build, sources, toolchain
from amxfp4.verif.sim.batch.dut import Generated
from amxfp4.verif.sim.cocotb.environment import BUGS, JOBS, MANIFEST, REPORT

__all__ = ["JOBS_OF_A_TEST", "Summary", "TestbenchError", "run_testbench"]

# Python takes nearly all the time of a run: optimising the model only makes builds slower.
# One translation unit: the wheel leaves the compiler flag of precompiled headers empty.
_MAKE = ["OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "VM_PARALLEL_BUILDS=0"]
_VERILATE = ["--cc", "--exe", "--vpi", "-Wall", "-fno-inline"]
_VERILATE += ["--prefix", "Vtop", "--timescale", "1ns/1ns"]

JOBS_OF_A_TEST = 12
"""Random jobs of a test of an engine, enough for its coverage to close."""

# What the user's shell may hold for other simulations, and must not change ours: cocotb's
# variables under today's names and under those of its first versions, and Python's own.
_FOREIGN = re.compile(
    r"(AMXFP4|COCOTB|COVERAGE|GPI|PYGPI|PYTEST|PYTHON)_?.*|GUI|LIBPYTHON_LOC|MODULE|RANDOM_SEED"
    r"|TESTCASE|TOPLEVEL(_LANG)?|WAVES"
)


class TestbenchError(AssertionError):
    """A test failed, the simulation stopped, or nothing was tested."""

    __test__ = False  # not a class of tests, whatever its name looks like

    def __init__(self, text: str, failures: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.failures = failures or {}
        """Failed tests by name, and what each says."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a testbench did."""

    unit: str
    tests: int
    passed: int
    transactions: int
    """Output beats compared with golden."""
    seconds: float
    """Wall clock of the run, the build not counted."""
    build_seconds: float
    """0 when the simulator was built already."""
    seed: int
    log: Path
    waves: Path | None
    """Value changes of every signal (VCD), if they were asked for."""


def _environment(cache: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    """Environment of builds and simulations: the shell's without what is foreign, then `extra`."""
    env = toolchain.find().environment(cache / "ccache")
    return {k: v for k, v in env.items() if not _FOREIGN.fullmatch(k)} | (extra or {})


def _control_file(manifest: Any) -> str:
    """Make the ports public, and what a test is to change: Verilator optimises the rest."""
    lines = ["`verilator_config"]
    for name in (*(port["name"] for port in manifest["ports"]), *manifest.get("public", ())):
        lines.append(f'public_flat_rw -module "{manifest["top"]}" -var "{name}"')
    return "\n".join(lines) + "\n"


def _build(generated: Generated, cache: Path, waves: bool) -> tuple[Path, float]:
    """Compile Verilog and cocotb's interface to a simulator, or find it built."""
    tools = toolchain.find()
    unit = str(generated.manifest["top"])
    control = _control_file(generated.manifest)
    libraries = cocotb_tools.config.libs_dir
    interface = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    options = [*_VERILATE, *(["--trace"] if waves else [])]
    flags = f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"
    cxx = shlex.join(tools.cxx)
    make = ["-f", "Vtop.mk", f"VM_TRACE={int(waves)}", *_MAKE, f"CXX={cxx}", f"LINK={cxx}"]
    text = build.body(generated.text)
    key = files.digest(
        text, control, WAIVERS.read_bytes(), tools.version, cocotb.__version__,
        str(interface), flags, *options, *make,
    )  # fmt: skip

    def compile_in(folder: Path) -> None:
        # Elsewhere, since make refuses folders whose names have a space; the program may be there.
        with (
            tempfile.TemporaryDirectory(prefix="amxfp4-") as scratch,
            working(f"compiling {unit} for cocotb, once for {cache}"),
        ):
            verilog, ports = Path(scratch, f"{unit}.v"), Path(scratch, "ports.vlt")
            verilog.write_text(text)
            ports.write_text(control)
            verilate = [str(tools.verilator), *options, "--top-module", unit, "-o", unit]
            verilate += ["-Mdir", scratch, "-LDFLAGS", flags, str(interface), str(WAIVERS)]
            run = functools.partial(
                process.run, env=_environment(cache), cwd=Path(scratch), timeout=toolchain.LIMIT
            )
            run([*verilate, str(ports), str(verilog)])
            run(["make", f"-j{os.cpu_count()}", *make])
            folder.mkdir()
            shutil.copy(Path(scratch, unit), folder)

    start = time.monotonic()
    folder = (cache / "cocotb" / f"{unit}-{key}").resolve()
    built = files.once(folder, compile_in)
    return folder, time.monotonic() - start if built else 0.0


def _failures(results: Path) -> dict[str, str]:
    """Failed tests by name, and what each says."""
    found = {}
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        for problem in (*case.findall("failure"), *case.findall("error")):
            what = problem.get("error_msg") or problem.get("message") or problem.text or ""
            found[str(case.get("name"))] = what.strip()
    return found


def _repeat(place: Path, unit: str, text: str, options: list[str]) -> str:
    """Leave what a failed run needs, and say which command repeats it with waves."""
    (place / f"{unit}.v").write_text(text)
    here = Path.cwd()
    program, folder = (
        str(path.relative_to(here) if path.is_relative_to(here) else path)
        for path in (Path(sys.executable).with_name("amxfp4"), place)
    )
    return f"repeat with waves: {shlex.join([program, 'sim', folder, *options, '--waves'])}"


def _kept(waves: Path, out: Path, unit: str, tests: Iterable[str]) -> Path | None:
    """Give waves a place that the next run of these tests takes."""
    if not waves.is_file():
        return None
    named = "-".join([unit, *(re.sub(r"\W+", "-", test) for test in tests)])
    kept = out / "waves" / f"{named}.vcd"
    kept.parent.mkdir(parents=True, exist_ok=True)
    return waves.replace(kept)


def run_testbench(
    config: UnitConfig | Generated,
    *,
    seed: int,
    out: Path = build.CACHE,
    tests: str | Sequence[str] | None = None,
    jobs: int = JOBS_OF_A_TEST,
    plusargs: Sequence[str] = (),
    bugs: Sequence[tuple[int, str]] = (),
    waves: bool = False,
    limit: float | None = None,
) -> Summary:
    """Run the testbench of a unit, from configuration to verdict.

    Parameters
    ----------
    config
        A configuration, which is generated first, or Verilog and manifest already generated.
    seed
        Of all random stimulus.
    out
        Folder of builds and of the run's files.
    tests
        Names of tests to run; ``None`` for all of them.
    jobs
        Random jobs of a test of an engine.
    plusargs
        What the Verilog may ask for with ``$value$plusargs``.
    bugs
        Numbers of planted bugs that sleep in the Verilog, each with the test that runs while it is
        awake, under the name `benches.with_bug`; instead of `tests`.
    waves
        Record every signal, in ``waves/`` below `out`.
    limit
        Seconds that the simulation may take; by default enough for that many jobs.

    Raises
    ------
    TestbenchError
        A test failed, the simulation ended early or not at all, no test ran, or nothing was
        compared.
    ToolError
        A tool is missing or fails.
    """
    if isinstance(config, UnitConfig):
        config = sources.source(config, out)
    unit, top = (str(config.manifest[key]) for key in ("unit", "top"))
    chosen = [tests] if isinstance(tests, str) else list(tests or ())
    chosen += [benches.with_bug(number) for number, _ in bugs]
    folder, build_seconds = _build(config, out, waves)
    place = Path(tempfile.mkdtemp(dir=folder, prefix="run-"))
    log, results, report = place / "sim.log", place / "results.xml", place / "report.json"
    manifest = place / f"{unit}.json"
    manifest.write_text(json.dumps(dict(config.manifest), indent=2))
    module = "amxfp4.verif.sim.cocotb.tb_bugs" if bugs else benches.module(unit)
    env = _environment(out, {
        "COCOTB_TOPLEVEL": top, "COCOTB_TEST_MODULES": module, "TOPLEVEL_LANG": "verilog",
        "COCOTB_RANDOM_SEED": str(seed), "COCOTB_RESULTS_FILE": str(results),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "GPI_USERS": f"{find_libpython()};{cocotb_tools.config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path),
        # The order of sets is stimulus too.
        "PYTHONHASHSEED": "0",
        MANIFEST: str(manifest), REPORT: str(report), JOBS: str(jobs),
        BUGS: json.dumps({"unit": unit, "bugs": bugs}),
    })  # fmt: skip
    if chosen:
        names = "|".join(map(re.escape, chosen))
        env["COCOTB_TEST_FILTER"] = rf"^{re.escape(module)}\.({names})$"
    start = time.monotonic()
    stopped = ""
    try:
        process.run(
            [str(folder / top), *(["--trace"] if waves else []), *plusargs],
            env=env, cwd=place, log=log,
            timeout=limit or toolchain.LIMIT * max(1, jobs / JOBS_OF_A_TEST),
        )  # fmt: skip
    except ToolError as error:
        stopped = str(error).splitlines()[0]
    seconds = time.monotonic() - start
    dump = _kept(place / "dump.vcd", out, unit, chosen)

    def failed_run(
        what: str, test: str | None, failures: Mapping[str, str] | None = None
    ) -> TestbenchError:
        options = [*(["--test", test] if test else []), "--seed", str(seed)]
        options += ["--jobs", str(jobs)] if jobs != JOBS_OF_A_TEST else []
        said = [what, f"unit {config.manifest.get('config')}, seed {seed}; log: {log}"]
        said.append(f"waves: {dump}" if dump else _repeat(place, unit, config.text, options))
        return TestbenchError("\n".join(said), failures)

    if not results.is_file():
        text = log.read_text(errors="replace")
        running = re.findall(r"running \S+\.(tb_\w+\.\S+) \(\d+/\d+\)", text)
        in_test = running[-1].split(".", 1)[1] if running else None
        where = f"in test {in_test}" if in_test else "before any test"
        raise failed_run(
            f"the simulation of {unit} must end, not stop {where} at\n{text[-2000:]}{stopped}",
            in_test,
        )
    count, failed = get_results(results)
    if failed:
        said = _failures(results)
        listed = "\n".join(f"  {name}: {what}" for name, what in said.items())
        what = f"{failed} of {count} tests of {unit} failed\n{listed}"
        raise failed_run(what, next(iter(said)), said)
    if stopped:
        raise failed_run(f"the simulation of {unit} must end well: {stopped}", None)
    done = json.loads(report.read_text()) if report.is_file() else {"transactions": 0, "tests": 0}
    wanted = len(set(chosen)) or count
    if count == 0 or done["transactions"] == 0 or not done["tests"] == count == wanted:
        raise failed_run(
            f"every one of {wanted} tests must run and compare results, not {done['tests']} of "
            f"{count} with {done['transactions']} transactions",
            None,
        )
    # Of a run that passed the last log and coverage are kept; of one that failed, everything.
    kept = {log: folder / "passed.log", report: folder / "passed.json"}
    for source, target in kept.items():
        source.replace(target)
    shutil.rmtree(place)
    return Summary(
        unit=unit, tests=count, passed=count - failed, transactions=done["transactions"],
        seconds=seconds, build_seconds=build_seconds, seed=seed, log=kept[log], waves=dump,
    )  # fmt: skip
