"""Whether a unit's gates still do what the unit does: ``amxfp4 postsynth``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from amxfp4.commands import units
from amxfp4.params.checks import choose
from amxfp4.synth.flow.equivalence import ProofError, Verdict, prove
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.liberty import from_environment
from amxfp4.util.errors import writing
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.postsynthesis import check, netlist

__all__ = ["TARGETS", "run"]

TARGETS = ("generic", "liberty", "ecp5")
"""Targets whose cells there are models of."""


def run(
    unit: str,
    options: dict[str, Any],
    *,
    target: str,
    liberty: tuple[Path, ...],
    script: str | None,
    blocks: int,
    seed: int,
    proof: bool,
    timeout: int,
    build: Path,
) -> int:
    """Check one unit's netlist, and say what was compared.

    Parameters
    ----------
    options
        The unit's own, by name.
    target
        One of `TARGETS`.
    liberty
        Liberty files; without any, those that the environment variable LIBERTY names.
    blocks, seed
        Of the random stimulus.
    proof
        Prove the netlist equivalent to the generated Verilog as well.
    timeout
        Seconds for the proof.

    Returns
    -------
    0; 1 if the netlist is wrong, or could not be proved right.

    Raises
    ------
    SynthesisError
        A program of the flow failed.
    ValueError
        An option is not what it must be.
    """
    choose("--target", target, dict.fromkeys(TARGETS))
    for name, value in (("--blocks", blocks), ("--timeout", timeout)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value!r}")
    config = units.configure(unit, options, among=units.STREAMING)
    if target == "liberty" and not liberty:
        liberty = from_environment()
    job = Job(config=config, target=target, liberty=liberty, script=script)
    with writing("--build", build, "a folder that can be written"):
        (build / "synth").mkdir(parents=True, exist_ok=True)
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(f"mapping {unit} to gates", total=None)
        source = netlist(job, build)
        progress.update(task, description="building the netlist's simulation")
        dut = BatchDut(source, cache=build, optimize=False)
        progress.update(task, description="comparing with golden")
        start = time.monotonic()
        try:
            done = check(dut, np.random.default_rng(seed), seed, blocks)
        except (Mismatch, ContractError) as error:
            progress.stop()
            print(f"{unit} for {target} differs from golden: {error}", file=sys.stderr)
            return 1
        what = "results" if "format_a" in config.to_dict() else "blocks"
        seconds = time.monotonic() - start
        progress.update(task, description="proving equivalence")
        verdict: Verdict | str = "not asked for"
        if proof:
            try:
                verdict = prove(job.verilog, source.text, job.top, timeout=timeout)
            except ProofError as error:
                verdict = f"not found: {error}"
    print(f"{unit} for {target}: {done} {what} of the netlist equal golden's ({seconds:.1f} s)")
    print(f"proof of equivalence: {verdict.value if isinstance(verdict, Verdict) else verdict}")
    print(f"netlist: {job.folder(build)}")
    return int(proof and verdict is not Verdict.PROVEN)
