"""Results of synthesis: kept with each circuit, and gathered in tables.

``result.json`` in the folder of a circuit is the truth: figures, and whose circuit it is. The table
``results.csv`` is made from all of them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amxfp4.params.config import UnitConfig
from amxfp4.params.units import UNITS
from amxfp4.synth.flow.job import Job
from amxfp4.util import files
from amxfp4.util.errors import writing

__all__ = [
    "FILE", "RESULT", "Row", "Subject", "add", "columns", "fail", "gather", "known",
    "macs_per_cycle", "prepare", "read", "subject", "write_table",
]  # fmt: skip

RESULT = "result.json"
"""In the folder of a circuit: figures, seconds and tools, or an error; and its `rows`."""

FILE = Path("synth") / "results.csv"
"""The table, below the folder of builds."""

OPTIONS = tuple(dict.fromkeys(f.name for unit in UNITS.values() for f in dataclasses.fields(unit)))
"""Parameters of all units."""


def macs_per_cycle(config: UnitConfig, component: str | None = None) -> int:
    """Multiply-accumulates a cycle that a circuit serves; elements in units that take those.

    A component that works once for all lanes of a unit, as an accumulator does, serves them all.
    """
    # Units have these, but no class that is above them all.
    lanes: int = config.lanes  # type: ignore[attr-defined]
    alone = (
        "element_product", "key_decoder", "element_quantizer", "element_dequantizer",
        "weight_element",
    )  # fmt: skip
    if component in alone or (component or "").startswith("idea_product_"):
        return 1
    if component == "block_product":
        return int(config.block)  # type: ignore[attr-defined]
    if component in (None, "sequencer"):
        return lanes * getattr(config, "rows", 1) * getattr(config, "cols", 1)
    return lanes


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was measured. Options of the configuration are attributes, ``None`` if it has none."""

    key: str
    unit: str
    component: str = ""
    """Empty for the whole unit."""
    digest: str = ""
    """Of the configuration."""
    options: dict[str, Any] = field(default_factory=dict)
    hierarchy: bool = False
    script: str = ""

    def __getattr__(self, name: str) -> Any:
        if name in OPTIONS:
            return self.options.get(name)
        raise AttributeError(name)


@dataclass(frozen=True, kw_only=True)
class Row(Subject):
    """Figures of one circuit on one target; what each means is in docs/synthesis.md.

    A number that there is none of for the unit or the target is ``None``, a text is empty.
    """

    target: str
    dsp: bool = False
    transistors: int | None = None
    area_um2: float | None = None
    nand2_um2: float | None = None
    ge: float | None = None
    lut: int | None = None
    carry: int | None = None
    ff: int | None = None
    dsp_blocks: int | None = None
    ram: int | None = None
    lut_equivalent: int | None = None
    depth: int | None = None
    delay_ps: float | None = None
    fmax_mhz: float | None = None
    fmax_min: float | None = None
    fmax_max: float | None = None
    critical_path: str = ""
    macs_per_cycle: int = 1
    seconds: float = 0.0
    tools: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def per_mac(self, metric: str) -> float | None:
        """Figure `metric` (a column) per multiply-accumulate a cycle, or per element.

        Raises
        ------
        ValueError
            There is no such column.
        """
        if metric not in columns(Row):
            raise ValueError(f"metric must be one of {', '.join(columns(Row))}, not {metric!r}")
        value = getattr(self, metric)
        return None if value is None else float(value) / self.macs_per_cycle


def prepare(build: Path) -> None:
    """Make the folder of builds that the user has named, before any work.

    Raises
    ------
    ValueError
        It cannot be written.
    """
    with writing("--build", build, "a folder that can be written"):
        (build / "synth").mkdir(parents=True, exist_ok=True)


def columns(kind: type[Subject]) -> list[str]:
    """Columns of a table of such rows: a column for each option."""
    names = [f.name for f in dataclasses.fields(kind)]
    at = names.index("options")
    return [*names[:at], *OPTIONS, *names[at + 1 :]]


def subject(job: Job) -> dict[str, Any]:
    """Fields of `Subject` that say what a job measures."""
    options = job.config.to_dict()
    return {
        "key": job.key,
        "unit": options.pop("unit"),
        "component": job.component or "",
        "digest": job.config.digest,
        "options": options,
        "hierarchy": job.hierarchy,
        "script": job.how,
    }


def _own(job: Job) -> dict[str, Any]:
    """Fields of a row that are the job's, not its circuit's."""
    per = macs_per_cycle(job.config, job.component)
    return {**subject(job), "target": job.target, "dsp": job.dsp, "macs_per_cycle": per}


def _row(own: dict[str, Any], result: dict[str, Any]) -> Row:
    rest = {name: result[name] for name in ("seconds", "tools", "error") if name in result}
    return Row(**own, **rest, **result.get("figures", {}))


def add(job: Job, build: Path, result: dict[str, Any]) -> Row:
    """Write down what was measured of a job, with its circuit and in the table.

    Parameters
    ----------
    result
        As `amxfp4.synth.flow.run.measure` returns it.
    """
    return _add(job, build, job.folder(build), result)


def fail(job: Job, build: Path, error: str) -> None:
    """Write down why there is no result of a job."""
    _add(job, build, job.folder(build).with_suffix(".failed"), {"error": error})


def _add(job: Job, build: Path, folder: Path, result: dict[str, Any]) -> Row:
    path, own = folder / RESULT, _own(job)
    with files.locked(job.folder(build).with_suffix(".lock")):
        kept = json.loads(path.read_text()) if path.exists() else {}
        rows = {**kept.get("rows", {}), job.fingerprint or job.key: own}
        files.write(path, json.dumps({**result, "rows": rows}, indent=2) + "\n")
    # Whoever waits for the lock finds what was added before; nothing is missing at the end.
    with files.locked((build / FILE).with_suffix(".lock")):
        write_table(build / FILE, read(build))
    return _row(own, result)


def gather(build: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the contents of the file `name` of every circuit in a folder of builds, latest last."""
    found = (build / "synth").glob(f"[!.]*/{name}")
    for path in sorted(found, key=lambda path: path.stat().st_mtime):
        yield json.loads(path.read_text())


def known(build: Path) -> dict[str, Row]:
    """Rows of a folder of builds, failures among them, by `Job.fingerprint`."""
    return {
        fingerprint: _row(own, result)
        for result in gather(build, RESULT)
        for fingerprint, own in result.get("rows", {}).items()
    }


def read(build: Path) -> list[Row]:
    """Rows of all that was ever synthesized in a folder of builds; none if there is no folder."""
    return list({row.key: row for row in known(build).values()}.values())


def write_table(path: Path, rows: Sequence[Subject]) -> None:
    """Write rows of one kind as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = columns(type(rows[0]))
    writer.writerow(names)
    for row in rows:
        values = (getattr(row, name) for name in names)
        writer.writerow(json.dumps(v) if isinstance(v, dict) else v for v in values)
    files.write(path, text.getvalue())
