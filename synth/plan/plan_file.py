"""Reads plans from TOML files, and says what is wrong with one, and where."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from amxfp4.params.checks import choose
from amxfp4.params.units import UNITS
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.targets import TARGETS
from amxfp4.synth.plan.goals import Goal
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
    with path.open("rb") as file:
        try:
            content = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: must be TOML ({error})") from None
    reader = _Reader(path, liberty, skip)
    return reader.plan(content)


def _known(place: str, table: Any, names: Iterator[str] | tuple[str, ...]) -> dict[str, Any]:
    """Check that `table` is a table of known keys."""
    if not isinstance(table, dict):
        raise TypeError(f"{place}: must be a table, not {table!r}")
    allowed = dict.fromkeys(names)
    for key in table:
        if key not in allowed:
            raise ValueError(f"{place}: key must be one of {', '.join(allowed)}, not {key!r}")
    return table


def _text(place: str, table: Mapping[str, Any], key: str, default: str | None = "") -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise TypeError(f"{place}: {key} must be a string, not {value!r}")
    return value


class _Reader:
    """Reads one file; `place` is where in it, for messages."""

    def __init__(self, path: Path, liberty: tuple[Path, ...], skip: bool) -> None:
        self._path, self._liberty, self._skip = path, liberty, skip
        self._skipped: list[Skipped] = []
        self._labels: set[str] = set()
        self._scripts: dict[str, str] = {}

    def plan(self, content: dict[str, Any]) -> Plan:
        """Check and expand a whole file."""
        place = str(self._path)
        _known(place, content, ("title", "targets", "scripts", "lists", "goals"))
        self._scripts = _known(f"{place}: scripts", content.get("scripts", {}), tuple(TARGETS))
        for target in self._scripts:
            _text(f"{place}: scripts", self._scripts, target, None)
        lists = content.get("lists")
        if not isinstance(lists, dict) or not lists:
            raise ValueError(f"{place}: lists must be tables such as [lists.units], not {lists!r}")
        targets = content.get("targets", ["generic"])
        listings = tuple(
            self._listing(f"{place}: lists.{name}", name, table, targets)
            for name, table in lists.items()
        )
        plan = Plan(
            path=self._path,
            title=_text(place, content, "title") or self._path.stem,
            listings=listings,
            goals=self._goals(place, content.get("goals", [])),
            skipped=tuple(self._skipped),
        )
        if not plan.jobs:
            reason = f" ({self._skipped[0].reason})" if self._skipped else ""
            raise ValueError(f"{place}: must have an entry that can be synthesized{reason}")
        return plan

    def _goals(self, place: str, tables: Any) -> tuple[Goal, ...]:
        if not isinstance(tables, list):
            raise TypeError(f"{place}: goals must be tables [[goals]], not {tables!r}")
        goals = []
        for number, table in enumerate(tables, 1):
            where = f"{place}: goals {number}"
            _known(where, table, tuple(f.name for f in fields_of(Goal)))
            goal = _at(where, Goal.from_dict, table)
            for label in goal.labels:
                _at(where, choose, "label", label, dict.fromkeys(sorted(self._labels)))
            goals.append(goal)
        return tuple(goals)

    def _listing(self, place: str, name: str, table: Any, targets: Any) -> Listing:
        names = ("title", "note", "picture", "terminal", "targets", "exclude", "entries")
        _known(place, table, names)
        picture = _text(place, table, "picture")
        if picture:
            _at(place, choose, "picture", picture, dict.fromkeys(PICTURES))
        entries = table.get("entries")
        if not isinstance(entries, list) or not entries:
            raise ValueError(
                f"{place}: entries must be tables [[lists.{name}.entries]], not {entries!r}"
            )
        excludes = table.get("exclude", [])
        if not isinstance(excludes, list) or not all(isinstance(e, dict) and e for e in excludes):
            raise TypeError(f"{place}: exclude must be a list of tables, not {excludes!r}")
        points: list[Point] = []
        for number, entry in enumerate(entries, 1):
            own = {"targets": table.get("targets", targets), **entry}
            points += self._entry(f"{place}: entry {number}", own, excludes)
        return Listing(
            name=name,
            title=_text(place, table, "title") or name,
            note=_text(place, table, "note"),
            picture=picture,
            terminal=bool(table.get("terminal", True)),
            points=tuple(points),
        )

    def _entry(self, place: str, entry: Any, excludes: list[dict[str, Any]]) -> list[Point]:
        names = ("label", "unit", "component", "options", "targets", "dsp", "script", "counts")
        _known(place, entry, names)
        label = _text(place, entry, "label", None)
        place = f"{place} ({label})"
        config_class = _at(place, choose, "unit", entry.get("unit"), UNITS)
        options = entry.get("options", {})
        if not isinstance(options, dict):
            raise TypeError(f"{place}: options must be a table, not {options!r}")
        allowed = dict.fromkeys(f.name for f in fields_of(config_class))
        for name in (name for key in options for name in _names(key)):
            _at(place, choose, "option", name, allowed)
        counts = entry.get("counts", {})
        if not isinstance(counts, dict) or not all(
            type(n) is int and n > 0 for n in counts.values()
        ):
            raise TypeError(f"{place}: counts must be whole numbers by component, not {counts!r}")
        entry["targets"] = self._targets(place, entry["targets"])
        axes = {**options, **{name: entry[name] for name in _FIXED if name in entry}}
        for key in {key for exclude in excludes for key in exclude}:
            # An exclude may speak of what other entries vary, but not of what nobody could.
            known = dict.fromkeys([*_AXES, *(f.name for c in UNITS.values() for f in fields_of(c))])
            _at(place, choose, "exclude", key, known)
        points = []
        for varied, values in _combinations(axes):
            if any(_matches(values, exclude) for exclude in excludes):
                continue
            try:
                point = self._point(label, varied, values, entry["targets"], counts)
            except (TypeError, ValueError) as error:
                if not self._skip:
                    raise type(error)(f"{place}: {error}") from None
                self._skipped.append(
                    Skipped(label=label_of(label, varied.items()), reason=str(error))
                )
                continue
            if any(_matches(point.config.to_dict(), exclude) for exclude in excludes):
                continue
            if point.label in self._labels:
                raise ValueError(
                    f"{place}: label must be one of its own, not {point.label!r} again"
                )
            self._labels.add(point.label)
            points.append(point)
        return points

    def _targets(self, place: str, targets: Any) -> list[str]:
        """Check the targets of an entry, and add ``liberty`` where there are files for it."""
        if not isinstance(targets, list) or not targets:
            raise TypeError(f"{place}: targets must be a list of names, not {targets!r}")
        for target in targets:
            _at(place, choose, "target", target, TARGETS)
        chosen = list(dict.fromkeys(targets))
        if "liberty" in chosen and not self._liberty:
            raise ValueError(f"{place}: target must not be liberty without --liberty FILE")
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
        jobs = tuple(
            Job(
                config=config,
                component=component,
                target=target,
                dsp=values.get("dsp", False),
                liberty=self._liberty if target == "liberty" else (),
                script=values.get("script", self._scripts.get(target)),
            )
            for target in targets
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


def _at(place: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function`; where in the file is added to its complaints."""
    try:
        return function(*arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None
