"""Whether a unit's gates still do what the unit does: ``amxfp4 synth check``."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from amxfp4.params.checks import choose
from amxfp4.params.config import UnitConfig
from amxfp4.synth.flow.equivalence import ProofError, Verdict, prove
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.liberty import from_environment
from amxfp4.synth.flow.results import prepare
from amxfp4.util.console import working
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.postsynthesis import check, netlist

__all__ = ["TARGETS", "run"]

TARGETS = ("generic", "liberty", "ecp5")
"""Targets whose cells there are models of."""


def run(
    config: UnitConfig,
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
    """Check the netlist of a unit with streams, and say what was compared.

    Options are those of ``amxfp4 synth check``. Returns 0, or 1 without the `proof` asked for; a
    wrong netlist raises `Mismatch` or `ContractError`.
    """
    choose("--target", target, dict.fromkeys(TARGETS))
    if target == "liberty" and not liberty:
        liberty = from_environment()
    job = Job(config=config, target=target, liberty=liberty, script=script)
    prepare(build)
    unit = config.unit
    with working(f"mapping {unit} to gates") as step:
        source = netlist(job, build)
        step("building the netlist's simulation")
        dut = BatchDut(source, cache=build, optimize=False)
        step("comparing with golden")
        start = time.monotonic()
        done = check(dut, np.random.default_rng(seed), seed, blocks)
        what = "results" if "format_a" in config.to_dict() else "blocks"
        seconds = time.monotonic() - start
        step("proving equivalence")
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
