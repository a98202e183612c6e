"""What one circuit costs, ours or another's: ``amxfp4 synth unit`` and ``synth files``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from amxfp4.params.checks import choose
from amxfp4.params.config import UnitConfig
from amxfp4.synth.flow import pnr
from amxfp4.synth.flow.foreign import ForeignJob
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.liberty import from_environment
from amxfp4.synth.flow.results import Row, prepare
from amxfp4.synth.flow.run import measure as measure_job
from amxfp4.synth.flow.run import run as run_job
from amxfp4.synth.flow.targets import TARGETS
from amxfp4.util import console

__all__ = ["measure", "run"]

ALL = "all"

_COLUMNS = {
    "script": "script", "transistors": "transistors", "area_um2": "um2", "ge": "GE", "lut": "LUT",
    "lut_equivalent": "LUT equiv.", "carry": "carry", "dsp_blocks": "DSP", "ram": "RAM",
    "ff": "FF", "depth": "depth", "delay_ps": "delay, ps", "fmax_mhz": "MHz", "fmax_min": "least",
    "fmax_max": "most",
}  # fmt: skip
"""Headings of the figures."""

_AREAS = {"transistors": "T", "area_um2": "um2", "lut_equivalent": "LUT"}
"""Which figure a target's area per MAC is, and its unit."""


def run(
    config: UnitConfig,
    *,
    target: str,
    dsp: bool,
    liberty: tuple[Path, ...],
    build: Path,
    again: bool,
    component: str | None = None,
    script: str | None = None,
    delay_ps: float | None = None,
    constraint: Path | None = None,
    seeds: str | None = None,
) -> int:
    """Synthesize one circuit and print a table of figures, and where everything else is.

    Options are those of ``amxfp4 synth unit``: `target` may be ``all``, every one that there are
    the files and programs for; `seeds` are numbers separated by commas.
    """
    choose("target", target, dict.fromkeys([*TARGETS, ALL]))
    if target in ("liberty", ALL) and not liberty:
        liberty = from_environment()
    given: dict[str, Any] = {
        "dsp": dsp or None, "liberty": liberty or None, "script": script, "delay_ps": delay_ps,
        "constraint": constraint, "seeds": None if seeds is None else _numbers(seeds),
    }  # fmt: skip
    if target == ALL:
        jobs, left_out = _all(config, component, given)
    else:
        known = {name: value for name, value in given.items() if value is not None}
        jobs, left_out = [Job(config=config, component=component, target=target, **known)], []
    prepare(build)
    rows = []
    for job in jobs:
        with console.working(f"{job.top} for {job.target}"):
            rows.append(run_job(job, build, again=again))
    _show(rows, per="MAC" if "format_a" in config.to_dict() else "element")
    for row in rows:
        if row.critical_path:
            print(f"{row.target}: longest path {row.critical_path}")
    for job in jobs:
        print(f"{job.target}: {job.folder(build)}")
    for reason in left_out:
        print(f"left out: {reason}")
    return 0


def measure(
    sources: tuple[Path, ...],
    *,
    top: str,
    parameters: tuple[str, ...],
    defines: tuple[str, ...],
    includes: tuple[Path, ...],
    per: int,
    target: str,
    dsp: bool,
    liberty: tuple[Path, ...],
    script: str | None,
    build: Path,
    again: bool,
) -> int:
    """Synthesize a design from files as ours are, and print a table of figures.

    Options are those of ``amxfp4 synth files``; areas are divided by `per`.
    """
    choose("target", target, TARGETS)
    job = ForeignJob(
        name=top, sources=sources, parameters=parameters, defines=defines, includes=includes,
        target=target, dsp=dsp, script=script,
        liberty=(liberty or from_environment()) if target == "liberty" else liberty,
    )  # fmt: skip
    prepare(build)
    with console.working(f"{job.top} for {job.target}"):
        result = measure_job(job, build, again=again)
    figures = {name: result["figures"].get(name) for name in _COLUMNS}
    names = [name for name, value in figures.items() if value not in (None, "")]
    area = next(name for name in _AREAS if name in names)
    table = console.Table("target", "script", *(_COLUMNS[n] for n in names), f"per {per}")
    share = f"{figures[area] / per:,.1f} {_AREAS[area]}"
    table.add(target, job.how, *(figures[name] for name in names), share)
    table.show()
    print(f"{target}: {job.folder(build)}")
    return 0


def _numbers(seeds: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in seeds.split(","))
    except ValueError:
        raise ValueError(f"--seeds must be integers separated by commas, not {seeds!r}") from None


def _all(
    config: UnitConfig, component: str | None, given: dict[str, Any]
) -> tuple[list[Job], list[str]]:
    """Jobs for every target with those options that it takes; what is left out, and why."""
    jobs, left_out = [], []
    for name, target in TARGETS.items():
        if name == "liberty" and not given["liberty"]:
            left_out.append("liberty (no --liberty)")
            continue
        if target.placed:
            try:
                pnr.require()
            except ValueError as error:
                left_out.append(f"{name} ({error})")
                continue
        takes = {
            "dsp": target.family is not None, "script": given["script"] in target.scripts,
            "seeds": target.placed, "liberty": name == "liberty", "delay_ps": name == "liberty",
            "constraint": name == "liberty",
        }  # fmt: skip
        known = {option: given[option] for option in given if takes[option]}
        known = {option: value for option, value in known.items() if value is not None}
        jobs.append(Job(config=config, component=component, target=name, **known))
    return jobs, left_out


def _show(rows: list[Row], per: str) -> None:
    """Print figures, without the columns that no target has."""
    cells = [dataclasses.asdict(row) for row in rows]
    names = [name for name in _COLUMNS if any(row[name] not in (None, "") for row in cells)]
    table = console.Table("target", *(_COLUMNS[name] for name in names), f"per {per}", "seconds")
    for row, figures in zip(rows, cells, strict=True):
        table.add(
            row.target + (" with DSP" if row.dsp else ""),
            *("" if figures[name] is None else figures[name] for name in names),
            _per_mac(row),
            f"{row.seconds:.1f}",
        )
    table.show()


def _per_mac(row: Row) -> str:
    for metric, unit in _AREAS.items():
        value = row.per_mac(metric)
        if value is not None:
            return f"{value:,.1f} {unit}"
    return ""
