"""Plans in a folder of the test, and results that no one synthesized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.results import Row, macs_per_cycle
from amxfp4.synth.plan import plan_file
from amxfp4.synth.plan.plan import Plan
from amxfp4.synth.report.figures import AREAS


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as on a machine whose user has no Liberty files."""
    monkeypatch.delenv("LIBERTY", raising=False)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Plan]:
    """Make a function that reads a plan from text."""

    def load(text: str, **options: Any) -> Plan:
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return plan_file.load(path, **options)

    return load


def measured_row(job: Job, area: float | None = None, **figures: Any) -> Row:
    """Make up the row of a job."""
    if area is not None:
        figures[AREAS[job.target].column] = area
    options = job.config.to_dict()
    return Row(
        key=f"{abs(hash(job)):016x}",
        unit=options.pop("unit"),
        options=options,
        digest=job.config.digest,
        component=job.component or "",
        target=job.target,
        macs_per_cycle=macs_per_cycle(job.config, job.component),
        tools={"pyosys": "0.70"},
        **figures,
    )


@pytest.fixture
def measured() -> Callable[..., Row]:
    """Give tests `measured_row`."""
    return measured_row


@pytest.fixture
def areas() -> Callable[..., dict[Job, Row]]:
    """Make a function that makes up rows by label: an area for every target, or by target."""

    def areas(plan: Plan, **wanted: Any) -> dict[Job, Row]:
        rows = {}
        for label, area in wanted.items():
            for job in plan.points[label].jobs:
                value = area[job.target] if isinstance(area, dict) else area
                rows[job] = measured_row(job, area=value)
        return rows

    return areas
