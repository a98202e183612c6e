"""Build and run a cocotb testbench; a failed test is an error, and so is no test at all."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree

import cocotb_tools.runner
from cocotb_tools.check_results import get_results

from amxfp4.gen.export.fusesoc import WAIVERS
from amxfp4.params.config import UnitConfig
from amxfp4.util import process
from amxfp4.verif.sim import benches, build, sources, toolchain
from amxfp4.verif.sim.batch.dut import Generated
from amxfp4.verif.sim.cocotb.environment import MANIFEST, REPORT

__all__ = ["Summary", "TestbenchError", "run_testbench"]

# Python takes nearly all the time of a run: optimising the model only makes builds slower.
# One translation unit: the wheel leaves the compiler flag of precompiled headers empty.
_MAKE = ["OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1", "VM_PARALLEL_BUILDS=0"]


class TestbenchError(AssertionError):
    """A test failed, the simulation stopped, or nothing was tested."""

    __test__ = False  # not a class of tests, whatever its name looks like


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


class _Runner(cocotb_tools.runner.Verilator):
    """cocotb's Verilator runner, with the ports public and nothing else.

    The stock runner makes every signal of the design public, which keeps Verilator from
    optimising it; here a control file names the ports. The compiler runs behind ccache, and no
    command runs for ever.
    """

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__()
        self._tool_env = env

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env = self._tool_env

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(toolchain.find().verilator)

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        cxx = shlex.join(toolchain.find().cxx)
        compiler = [f"CXX={cxx}", f"LINK={cxx}"]
        return [[a for a in verilate if a != "--public-flat-rw"], [*make, *_MAKE, *compiler]]

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: Any, stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            log = None if stdout is None else Path(stdout.name)
            process.run(command, env=self.env, cwd=cwd, log=log, timeout=toolchain.LIMIT)


def _control_file(manifest: Any) -> str:
    lines = ["`verilator_config"]
    for port in manifest["ports"]:
        lines.append(f'public_flat_rw -module "{manifest["unit"]}" -var "{port["name"]}"')
    return "\n".join(lines) + "\n"


def _build(generated: Generated, cache: Path) -> tuple[Path, float]:
    """Compile Verilog and cocotb's interface to a simulator, or find it built."""
    tools = toolchain.find()
    unit = str(generated.manifest["unit"])
    control = _control_file(generated.manifest)
    versions = f"{tools.version} {cocotb_tools.runner.__file__} {cocotb_tools.__file__}"
    text = build.body(generated.text)
    key = build.digest(text, control, WAIVERS.read_bytes(), versions, Path(__file__).read_bytes())
    folder = (cache / "cocotb" / f"{unit}-{key}").resolve()
    with build.locked(folder.with_suffix(".lock")):
        if (folder / unit).exists():
            return folder, 0.0
        start = time.monotonic()
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
        try:
            sources = [scratch / f"{unit}.v", scratch / "ports.vlt"]
            sources[0].write_text(text)
            sources[1].write_text(control)
            runner = _Runner(tools.environment(cache / "ccache"))
            runner.build(
                sources=[WAIVERS, sources[1], sources[0]], hdl_toplevel=unit,
                build_dir=scratch, timescale=("1ns", "1ns"), log_file=scratch / "build.log",
                build_args=["-Wall"],
            )  # fmt: skip
            shutil.rmtree(folder, ignore_errors=True)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return folder, time.monotonic() - start


def _failures(results: Path) -> str:
    lines = []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        for problem in (*case.findall("failure"), *case.findall("error")):
            what = problem.get("error_msg") or problem.get("message") or problem.text or ""
            lines.append(f"  {case.get('name')}: {what.strip()}")
    return "\n".join(lines)


def run_testbench(
    config: UnitConfig | Generated,
    *,
    seed: int,
    out: Path = build.CACHE,
    tests: str | Sequence[str] | None = None,
    plusargs: Sequence[str] = (),
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
    plusargs
        What the Verilog may ask for with ``$value$plusargs``.

    Raises
    ------
    TestbenchError
        A test failed, the simulation ended early, no test ran, or nothing was compared.
    ToolError
        A tool is missing or fails.
    """
    if isinstance(config, UnitConfig):
        config = sources.source(config, out)
    unit = str(config.manifest["unit"])
    folder, build_seconds = _build(config, out)
    place = Path(tempfile.mkdtemp(dir=folder, prefix="run-"))
    log, results, report = place / "sim.log", place / "results.xml", place / "report.json"
    manifest = place / "manifest.json"
    manifest.write_text(json.dumps(dict(config.manifest), indent=2))
    runner = _Runner(toolchain.find().environment(out / "ccache"))
    start = time.monotonic()
    stopped = ""
    try:
        runner.test(
            test_module=benches.module(unit), hdl_toplevel=unit,
            hdl_toplevel_lang="verilog", build_dir=folder,
            test_dir=place, results_xml=str(results), seed=seed, testcase=tests, log_file=log,
            plusargs=plusargs,
            extra_env={MANIFEST: str(manifest), REPORT: str(report)},
        )  # fmt: skip
    # The stock runner's verdict depends on who called it; results.xml decides below.
    except (SystemExit, RuntimeError) as error:
        stopped = str(error)
    seconds = time.monotonic() - start
    if not results.is_file():
        text = log.read_text() if log.is_file() else ""
        raise TestbenchError(
            f"the simulation of {unit} must end, not stop at\n{text[-2000:]}{stopped}"
        )
    count, failed = get_results(results)
    again = f"unit {config.manifest.get('config')}, seed {seed}; log: {log}"
    if failed:
        raise TestbenchError(
            f"{failed} of {count} tests of {unit} failed ({again})\n{_failures(results)}"
        )
    done = json.loads(report.read_text()) if report.is_file() else {"transactions": 0, "tests": 0}
    if count == 0 or done["transactions"] == 0 or done["tests"] != count:
        raise TestbenchError(
            f"every one of {count} tests must compare results, not {done['tests']} of them "
            f"with {done['transactions']} transactions ({again})"
        )
    # Of a run that passed the last log and coverage are kept; of one that failed, everything.
    kept = {log: folder / "passed.log", report: folder / "passed.json"}
    for source, target in kept.items():
        source.replace(target)
    shutil.rmtree(place)
    return Summary(
        unit=unit, tests=count, passed=count - failed, transactions=done["transactions"],
        seconds=seconds, build_seconds=build_seconds, seed=seed, log=kept[log],
    )  # fmt: skip
