"""Plans: circuits to be synthesized, in lists, and the goals they are held to.

A plan is a TOML file that a person writes (docs/sweeps.md); `amxfp4.synth.plan.plan_file` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amxfp4.params.config import UnitConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.plan.goals import Goal

__all__ = [
    "DEFAULT",
    "PICTURES",
    "WHOLE",
    "Listing",
    "Plan",
    "Point",
    "Skipped",
    "label_of",
]

DEFAULT = Path(__file__).parents[1] / "plans" / "default.toml"
"""The plan of ``make synth``: the design targets and every unit."""

PICTURES = ("breakdown", "lanes", "pipeline", "pareto")
"""What a list can be drawn as (`amxfp4.synth.report.pictures`)."""

WHOLE = "whole"
"""What a plan calls a unit with all its components."""


def label_of(series: str, varied: Iterable[tuple[str, Any]]) -> str:
    """Name a circuit by its entry's label and what was varied."""
    settings = ", ".join(f"{key.replace(' ', '')}={value}" for key, value in varied)
    return f"{series} [{settings}]" if settings else series


@dataclass(frozen=True, kw_only=True)
class Point:
    """One circuit of a plan, to be synthesized for several targets.

    Parameters
    ----------
    series
        Label of the entry it comes from.
    varied
        What distinguishes it from the entry's other circuits.
    count
        How often the circuit stands in its unit; drawings and sums take it so many times.
    """

    series: str
    varied: tuple[tuple[str, Any], ...]
    config: UnitConfig
    component: str | None
    count: int
    jobs: tuple[Job, ...]

    @property
    def label(self) -> str:
        """The entry's label and what was varied: unique in a plan."""
        return label_of(self.series, self.varied)


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A combination of a plan which is not a configuration, and why."""

    label: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of a plan: a table of the report and, with `picture`, a drawing."""

    name: str
    title: str
    note: str = ""
    picture: str = ""
    terminal: bool = True
    """Whether a terminal shows the table, or only the page."""
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan as it was read."""

    path: Path
    title: str
    listings: tuple[Listing, ...]
    goals: tuple[Goal, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def jobs(self) -> list[Job]:
        """Every job, once, in the order of the file."""
        points = (point for listing in self.listings for point in listing.points)
        return list(dict.fromkeys(job for point in points for job in point.jobs))

    @property
    def points(self) -> dict[str, Point]:
        """Circuits by label."""
        return {point.label: point for listing in self.listings for point in listing.points}
