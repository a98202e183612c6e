"""The tables of a report, made once: a terminal, a web page and a document show the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from amxfp4.params.units import ELEMENTWISE
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.results import Row
from amxfp4.synth.plan.goals import BASES, Goal, Peer, verdict
from amxfp4.synth.plan.plan import WHOLE, Listing, Plan, Point
from amxfp4.synth.report.figures import AREAS, area, clock, smallest, work

__all__ = [
    "REST", "Part", "Rows", "Table", "components", "goals", "listing", "number", "parts", "peers",
    "reached", "tools",
]  # fmt: skip

Rows = Mapping[Job, Row]
"""What was measured, by job; a failed job has no row."""

NONE = "-"
"""Stands where there is no figure."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells under headings."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]] = ()
    note: str = ""


def number(value: float | None) -> str:
    """Write a figure with as many digits as are worth reading."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 or isinstance(value, int) else f"{value:.1f}"


def _ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _targets(points: Sequence[Point]) -> list[str]:
    """Targets of some circuits, in the order of `AREAS`."""
    met = {job.target for point in points for job in point.jobs}
    return [target for target in AREAS if target in met]


def _row(point: Point, target: str, rows: Rows) -> Row | None:
    return smallest(rows.get(job) for job in point.jobs if job.target == target)


def _total(counts: Mapping[str, int], target: str, plan: Plan, rows: Rows, goal: Goal) -> float:
    """Sum of the areas of circuits, each so many times; NaN if one is missing."""
    total = 0.0
    for label, count in counts.items():
        row = _row(plan.points[label], target, rows)
        value = area(row, logic=goal.logic) if row else None
        total += count * (float("nan") if value is None else value)
    return total


def reached(goal: Goal, target: str, plan: Plan, rows: Rows) -> float | None:
    """Figure of a design target: area per MAC or element, or a ratio of areas."""
    value = _total(goal.of, target, plan, rows, goal)
    if goal.against:
        base = _total(goal.against, target, plan, rows, goal)
        value = value / base if base else float("nan")
    else:
        row = _row(plan.points[next(iter(goal.of))], target, rows)
        value /= row.macs_per_cycle if row else 1
    return None if value != value else value


def goals(plan: Plan, rows: Rows) -> Table:
    """Set the figures reached beside those to beat and those aimed at."""
    lines = []
    notes = []
    for goal in plan.goals:
        points = [plan.points[label] for label in goal.labels]
        for target in _targets(points):
            value = reached(goal, target, plan, rows)
            beat, aim = goal.beat.get(target), goal.aim.get(target)
            shown = _ratio if goal.against else number
            # A digit more, so that 1.254 does not seem to be the 1.25 that it misses.
            here = f"{value:.3f}" if goal.against and value is not None else number(value)
            unit = AREAS[target].unit
            config = points[0].config
            per = "element" if config.unit in ELEMENTWISE else "MAC"
            lines.append(
                (
                    goal.what, f"ratio of {unit}" if goal.against else f"{unit} per {per}",
                    shown(beat), shown(aim), here, verdict(value, beat, aim),
                )
            )  # fmt: skip
        source = f"to beat: {goal.peer} (see Peers)" if goal.peer else goal.note
        if source:
            notes.append(f"{goal.what}: {source}.")
    header = ("design target", "figure", "to beat", "aim", "reached", "verdict")
    return Table(title="Design targets", header=header, rows=lines, note=" ".join(notes))


def listing(table: Listing, rows: Rows, accuracy: Mapping[str, float]) -> Table:
    """List the circuits of a list with their area on every target, registers, depth and speed.

    Parameters
    ----------
    accuracy
        SQNR in dB by digest of the configuration, where it is of interest.
    """
    targets = _targets(table.points)
    header = ["circuit", "per"]
    header += [f"{AREAS[target].unit}" for target in targets]
    header += [f"{AREAS[target].unit} in all" for target in targets]
    header += ["FF", "DSP", "levels", "MHz", "SQNR dB"]
    lines = []
    for point in table.points:
        found = [_row(point, target, rows) for target in targets]
        good = [row for row in found if row]
        cells = [point.label, work(good[0]) if good else NONE]
        areas = [area(row) if row else None for row in found]
        cells += [
            number(value / row.macs_per_cycle if row and value is not None else None)
            for row, value in zip(found, areas, strict=True)
        ]
        cells += [number(value) for value in areas]
        values = [(row.ff, row.dsp_blocks, row.depth, clock(row)) for row in good]
        for figures in zip(*values, strict=True) if values else [()] * 4:
            known = [value for value in figures if value is not None]
            cells.append(number(known[0]) if known else NONE)
        sqnr = accuracy.get(point.config.digest)
        cells.append(NONE if sqnr is None else f"{sqnr:.1f}")
        lines.append(tuple(cells))
    optional = ("DSP", "MHz", "SQNR dB")
    kept = [
        n for n, heading in enumerate(header)
        if heading not in optional or any(line[n] not in (NONE, "0") for line in lines)
    ]  # fmt: skip
    return Table(
        title=table.title,
        header=tuple(header[n] for n in kept),
        rows=[tuple(line[n] for n in kept) for line in lines],
        note=" ".join(filter(None, [table.note, *_chosen(table.points, targets, rows)])),
    )


def _chosen(points: Sequence[Point], targets: Sequence[str], rows: Rows) -> Iterator[str]:
    """Say which script gave a figure, where a target has several."""
    for target in targets:
        by_script: dict[str, list[str]] = {}
        for point in points:
            if sum(job.target == target for job in point.jobs) > 1:
                row = _row(point, target, rows)
                if row is not None:
                    by_script.setdefault(row.script, []).append(point.label)
        if by_script:
            *others, (most, _) = sorted(by_script.items(), key=lambda item: len(item[1]))
            rest = "".join(f", by {name}: {'; '.join(labels)}" for name, labels in others)
            yield f"{AREAS[target].unit}: the smaller of several scripts, {most}{rest}."


@dataclass(frozen=True, kw_only=True)
class Part:
    """What some circuits of one kind take of a unit."""

    name: str
    count: int
    area: float
    """Of all of them together."""


REST = ("registers", "other logic")
"""Names of what a unit has besides its components."""


def parts(points: Sequence[Point], target: str, rows: Rows) -> tuple[list[Part], Row | None]:
    """Components of a unit, then `REST`, and the row of the whole.

    Components are synthesized alone. In the unit they share what they can, so that there may be
    less than nothing left for the rest, which is then left out.
    """
    found, whole = [], None
    for point in points:
        row = _row(point, target, rows)
        value = area(row) if row else None
        if point.component is None:
            whole = row if value is not None else None
        elif value:
            found.append(Part(name=point.component, count=point.count, area=point.count * value))
    if whole is not None:
        logic, total = area(whole, logic=True) or 0.0, area(whole) or 0.0
        for name, left in (
            (REST[0], total - logic),
            (REST[1], logic - sum(part.area for part in found)),
        ):
            if left > 0:
                found.append(Part(name=name, count=1, area=left))
    return found, whole


def components(table: Listing, rows: Rows) -> Table:
    """List what the components of a unit take, and what remains of the whole."""
    header = ("unit", "component", "times", "figure", "in all", "share")
    lines = []
    for series in dict.fromkeys(point.series for point in table.points):
        points = [point for point in table.points if point.series == series]
        for target in _targets(points):
            listed, row = parts(points, target, rows)
            whole = area(row) if row else None
            if whole is not None:
                listed = [*listed, Part(name=WHOLE, count=1, area=whole)]
            lines += [
                (
                    series, part.name, str(part.count), AREAS[target].unit, number(part.area),
                    f"{part.area / whole:.0%}" if whole else NONE,
                )
                for part in listed
            ]  # fmt: skip
    note = "Components are synthesized alone; in the unit they share what they can."
    return Table(title=table.title, header=header, rows=lines, note=f"{table.note} {note}".strip())


def peers(plan: Plan, rows: Rows, known: Mapping[str, Peer]) -> Table:
    """Set public designs beside the circuits of ours that do the same work."""
    points = plan.points
    lines = []
    for peer in known.values():
        about = (peer.name, peer.what, BASES[peer.basis], peer.source)
        for target, theirs in peer.figures.items():
            row = _row(points[peer.ours], target, rows) if peer.ours in points else None
            value = area(row, logic=peer.logic) if row else None
            ours = None if row is None or value is None else value / row.macs_per_cycle
            shown = ("> " if peer.at_least else "") + number(theirs)
            name, *rest = about
            lines.append(
                (
                    name, f"{AREAS[target].unit} per {peer.per}", shown, number(ours),
                    peer.ours if ours is not None else NONE, _against(ours, theirs), *rest,
                )
            )  # fmt: skip
            about = ("", "", "", "")  # said once
    header = (
        "peer", "figure", "theirs", "ours", "our circuit", "ours is", "what theirs is", "basis",
        "source",
    )  # fmt: skip
    notes = [f"{peer.name}: {peer.note}." for peer in known.values() if peer.note]
    return Table(title="Peers", header=header, rows=lines, note=" ".join(notes))


def _against(ours: float | None, theirs: float) -> str:
    """Say who is smaller."""
    if ours is None:
        return "nothing to compare"
    if ours == theirs:
        return "equal"
    return f"{'smaller' if ours < theirs else 'LARGER'}, {ours / theirs:.2f} x"


def tools(rows: Rows) -> dict[str, str]:
    """Versions of the programs behind some results, by name."""
    found: dict[str, str] = {}
    for row in rows.values():
        found |= row.tools
    return dict(sorted(found.items()))
