"""Reads plans from TOML files, and says what is wrong with one, and where."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from amxfp4.params.checks import choose
from amxfp4.params.units import UNITS
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.targets import TARGETS
from amxfp4.synth.plan.goals import Goal, counts_of, demand, text_of
from amxfp4.synth.plan.plan import PICTURES, WHOLE, Listing, Plan, Point, Skipped, label_of

__all__ = ["load"]

_AXES = ("component", "dsp", "script")
"""Fields of an entry which, like options, may be lists."""

_FIXED = ("unit", *_AXES)
"""Fields of an entry that say which circuit of a configuration is meant."""


def load(path: Path, *, liberty: tuple[Path, ...] = (), skip: bool = False) -> Plan:
    """Read a plan.

    Parameters
    ----------
    liberty
        Liberty files: whatever the plan synthesizes for ``generic``, it then does for
        ``liberty`` too.
    skip
        Note combinations that are not a configuration in `Plan.skipped`, instead of refusing the
        plan for them.

    Raises
    ------
    OSError
        The file cannot be read.
    TypeError, ValueError
        Something in it is not what it must be; the message names the file and the entry.
    """
    with path.open("rb") as file, _at(str(path)):
        try:
            content = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"must be TOML ({error})") from None
        return _Reader(path, liberty, skip).plan(content)


@contextlib.contextmanager
def _at(place: str) -> Iterator[None]:
    """Say in errors where in the file something is wrong."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None


def _known(table: Any, names: Iterable[str]) -> dict[str, Any]:
    """Check that `table` is a table of known keys."""
    demand(isinstance(table, dict), "must be a table", table)
    allowed = dict.fromkeys(names)
    for key in table:
        choose("key", key, allowed)
    return dict(table)


class _Reader:
    """Reads one file."""

    def __init__(self, path: Path, liberty: tuple[Path, ...], skip: bool) -> None:
        self._path, self._liberty, self._skip = path, liberty, skip
        self._skipped: list[Skipped] = []
        self._labels: set[str] = set()
        self._scripts: dict[str, list[str]] = {}

    def plan(self, content: dict[str, Any]) -> Plan:
        """Check and expand a whole file."""
        _known(content, ("title", "targets", "scripts", "lists", "goals"))
        with _at("scripts"):
            scripts = _known(content.get("scripts", {}), TARGETS)
            for target, names in scripts.items():
                several = names if isinstance(names, list) and names else [names]
                for name in several:
                    text_of({target: name}, target, needed=True)
                self._scripts[target] = several
        lists: Any = content.get("lists")
        goals: Any = content.get("goals", [])
        demand(
            isinstance(lists, dict) and lists, "lists must be tables such as [lists.units]", lists
        )
        demand(isinstance(goals, list), "goals must be tables [[goals]]", goals)
        targets = content.get("targets", ["generic"])
        plan = Plan(
            path=self._path,
            title=text_of(content, "title") or self._path.stem,
            listings=tuple(self._listing(name, table, targets) for name, table in lists.items()),
            goals=tuple(self._goal(number, table) for number, table in enumerate(goals, 1)),
            skipped=tuple(self._skipped),
        )
        if not plan.jobs:
            reason = f" ({self._skipped[0].reason})" if self._skipped else ""
            raise ValueError(f"must have an entry that can be synthesized{reason}")
        return plan

    def _goal(self, number: int, table: Any) -> Goal:
        with _at(f"goals {number}"):
            goal = Goal.from_dict(_known(table, (field.name for field in fields(Goal))))
            for label in goal.labels:
                choose("label", label, dict.fromkeys(sorted(self._labels)))
            return goal

    def _listing(self, name: str, table: Any, targets: Any) -> Listing:
        with _at(f"lists.{name}"):
            names = ("title", "note", "picture", "terminal", "targets", "exclude", "entries")
            _known(table, names)
            picture, entries = text_of(table, "picture"), table.get("entries")
            if picture:
                choose("picture", picture, dict.fromkeys(PICTURES))
            demand(
                isinstance(entries, list) and entries,
                f"entries must be tables [[lists.{name}.entries]]", entries,
            )  # fmt: skip
            excludes = table.get("exclude", [])
            demand(
                isinstance(excludes, list) and all(isinstance(e, dict) and e for e in excludes),
                "exclude must be a list of tables", excludes,
            )  # fmt: skip
            # An exclude may speak of what other entries vary, but not of what nobody could.
            varied = dict.fromkeys([*_AXES, *(f.name for c in UNITS.values() for f in fields(c))])
            for key in (key for exclude in excludes for key in exclude):
                choose("exclude", key, varied)
            points: list[Point] = []
            for number, entry in enumerate(entries, 1):
                own = {"targets": table.get("targets", targets), **entry}
                points += self._entry(number, own, excludes)
            return Listing(
                name=name,
                title=text_of(table, "title") or name,
                note=text_of(table, "note"),
                picture=picture,
                terminal=bool(table.get("terminal", True)),
                points=tuple(points),
            )

    def _entry(self, number: int, entry: Any, excludes: list[dict[str, Any]]) -> list[Point]:
        with _at(f"entry {number}"):
            names = ("label", "unit", "component", "options", "targets", "dsp", "script", "counts")
            _known(entry, names)
            label = text_of(entry, "label", needed=True)
        with _at(f"entry {number} ({label})"):
            config_class = choose("unit", entry.get("unit"), UNITS)
            options = entry.get("options", {})
            demand(isinstance(options, dict), "options must be a table", options)
            allowed = dict.fromkeys(field.name for field in fields(config_class))
            for name in (name for key in options for name in _names(key)):
                choose("option", name, allowed)
            counts = counts_of("counts must be whole numbers by component", entry.get("counts", {}))
            targets = self._targets(entry["targets"])
            axes = {**options, **{name: entry[name] for name in _FIXED if name in entry}}
            points = []
            for varied, values in _combinations(axes):
                if any(_matches(values, exclude) for exclude in excludes):
                    continue
                try:
                    point = self._point(label, varied, values, targets, counts)
                except (TypeError, ValueError) as error:
                    if not self._skip:
                        raise
                    name = label_of(label, varied.items())
                    self._skipped.append(Skipped(label=name, reason=str(error)))
                    continue
                if any(_matches(point.config.to_dict(), exclude) for exclude in excludes):
                    continue
                if point.label in self._labels:
                    raise ValueError(f"label must be one of its own, not {point.label!r} again")
                self._labels.add(point.label)
                points.append(point)
            return points

    def _targets(self, targets: Any) -> list[str]:
        """Check the targets of an entry, and add ``liberty`` where there are files for it."""
        demand(isinstance(targets, list) and targets, "targets must be a list of names", targets)
        for target in targets:
            choose("target", target, TARGETS)
        chosen = list(dict.fromkeys(targets))
        if "liberty" in chosen and not self._liberty:
            raise ValueError("target must not be liberty without --liberty FILE")
        if self._liberty and "generic" in chosen and "liberty" not in chosen:
            chosen.insert(chosen.index("generic") + 1, "liberty")
        return chosen

    def _point(
        self,
        label: str,
        varied: dict[str, Any],
        values: dict[str, Any],
        targets: list[str],
        counts: dict[str, int],
    ) -> Point:
        """Make one combination of an entry a circuit and its jobs."""
        named = values.get("component", WHOLE)
        component = None if named == WHOLE else named
        config = UNITS[values["unit"]](**{n: v for n, v in values.items() if n not in _FIXED})
        own = [values["script"]] if "script" in values else []
        jobs = tuple(
            Job(
                config=config,
                component=component,
                target=target,
                dsp=values.get("dsp", False),
                liberty=self._liberty if target == "liberty" else (),
                script=script,
            )
            for target in targets
            for script in own or self._scripts.get(target, [None])
        )
        return Point(
            series=label,
            varied=tuple(varied.items()),
            config=config,
            component=component,
            count=counts.get(named, 1),
            jobs=jobs,
        )


def _names(key: str) -> list[str]:
    """Options that a key of a plan sets: one, or several as in ``"format_a = format_b"``."""
    return [name.strip() for name in key.split("=")]


def _combinations(axes: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield what is varied, and the values by name, of every combination of `axes`."""
    lists = {key: value for key, value in axes.items() if isinstance(value, list)}
    for chosen in itertools.product(*lists.values()):
        varied = dict(zip(lists, chosen, strict=True))
        yield varied, {name: v for key, v in {**axes, **varied}.items() for name in _names(key)}


def _matches(values: dict[str, Any], exclude: dict[str, Any]) -> bool:
    """Whether a combination has all the values that `exclude` names."""
    return all(
        name in values and values[name] in (wanted if isinstance(wanted, list) else [wanted])
        for name, wanted in exclude.items()
    )
