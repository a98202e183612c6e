"""What one circuit costs, on one target or on all: ``amxfp4 synth``."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console

from amxfp4 import console, units
from amxfp4.errors import writing
from amxfp4.gen.config import UnitConfig, choose
from amxfp4.synth import pnr
from amxfp4.synth.job import Job
from amxfp4.synth.liberty import from_environment
from amxfp4.synth.results import Row
from amxfp4.synth.run import run as run_job
from amxfp4.synth.targets import TARGETS

__all__ = ["run"]

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
    unit: str,
    options: dict[str, Any],
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

    Parameters
    ----------
    options
        The unit's own, by name.
    target
        A target, or ``all``: every one that there are the files and programs for.
    liberty
        Liberty files; without any, those that the environment variable LIBERTY names.
    seeds
        Numbers separated by commas.

    Returns
    -------
    0.

    Raises
    ------
    SynthesisError
        A program of the flow failed.
    ValueError
        An option is not what it must be.
    """
    choose("target", target, dict.fromkeys([*TARGETS, ALL]))
    config = units.configure(unit, options)
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
    with writing("--build", build, "a folder that can be written"):
        (build / "synth").mkdir(parents=True, exist_ok=True)
    rows = [_watched(job, build, again) for job in jobs]
    _show(rows, per="MAC" if "format_a" in config.to_dict() else "element")
    for row in rows:
        if row.critical_path:
            print(f"{row.target}: longest path {row.critical_path}")
    for job in jobs:
        print(f"{job.target}: {job.folder(build)}")
    for reason in left_out:
        print(f"left out: {reason}")
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
            "dsp": target.dsp, "script": given["script"] in target.scripts, "seeds": target.placed,
            "liberty": name == "liberty", "delay_ps": name == "liberty",
            "constraint": name == "liberty",
        }  # fmt: skip
        known = {option: given[option] for option in given if takes[option]}
        known = {option: value for option, value in known.items() if value is not None}
        jobs.append(Job(config=config, component=component, target=name, **known))
    return jobs, left_out


def _watched(job: Job, build: Path, again: bool) -> Row:
    """Run a job; in a terminal, say so while it runs."""
    screen = Console(stderr=True)
    waiting: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if screen.is_terminal:
        waiting = screen.status(f"{job.top} for {job.target}")
    with waiting:
        return run_job(job, build, again=again)


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
