"""The figures that stand for a target: which column of the results, and in which unit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amxfp4.params.units import ELEMENTWISE
from amxfp4.synth.flow.results import Row

if TYPE_CHECKING:
    from amxfp4.synth.gates.energy_per_mac import EnergyRow

__all__ = ["AREAS", "Area", "area", "clock", "formats_of", "smallest", "work"]


@dataclass(frozen=True, kw_only=True)
class Area:
    """What a target measures area in."""

    column: str
    """Of the results (docs/synthesis.md)."""
    unit: str
    """As tables say it."""
    name: str
    """As axes say it."""


AREAS = {
    "generic": Area(column="transistors", unit="T", name="estimated transistors"),
    "liberty": Area(column="area_um2", unit="µm²", name="cell area in µm²"),
    "xilinx": Area(column="lut", unit="LUT", name="UltraScale+ LUT"),
    "ecp5": Area(column="lut_equivalent", unit="LUT4e", name="ECP5 LUT4 + 2 CCU2C"),
    "ice40": Area(column="lut", unit="LUT iCE40", name="iCE40 LUT4"),
    "gowin": Area(column="lut", unit="LUT Gowin", name="Gowin LUT"),
    "ecp5-pnr": Area(column="lut", unit="LUT placed", name="ECP5 LUT4 after placing"),
}
"""The area of every target, by its name."""

FLIP_FLOP_TRANSISTORS = 16
"""What Yosys' ``stat -tech cmos`` counts for a plain flip-flop."""


def area(row: Row, *, logic: bool = False) -> float | None:
    """Area of a circuit in the unit of its target; ``None`` where it was not measured.

    With `logic` without its flip-flops, which only ``generic`` counts as area of the same kind:
    where they are a figure of their own, they are left out in any case.
    """
    value = getattr(row, AREAS[row.target].column)
    if value is None or row.error:
        return None
    if logic and row.target == "generic":
        value -= FLIP_FLOP_TRANSISTORS * (row.ff or 0)
    return float(value)


def smallest(found: Iterable[Row | None]) -> Row | None:
    """Choose the row of the least area out of those that several scripts gave one circuit.

    The first of equals; ``None`` if there is none, one without an area if no other is there.
    """
    rows = [row for row in found if row is not None]
    order = [math.inf if (value := area(row)) is None else value for row in rows]
    return rows[order.index(min(order))] if rows else None


def clock(row: Row) -> float | None:
    """Clock of a circuit in MHz, if its target tells; else from ABC's delay."""
    if row.fmax_mhz:
        return row.fmax_mhz
    return 1e6 / row.delay_ps if row.delay_ps else None


def work(row: Row | EnergyRow) -> str:
    """Name what the area of a circuit is divided by."""
    return "element" if row.unit in ELEMENTWISE else "MAC"


def formats_of(row: Row | EnergyRow) -> str:
    """Name the block formats of a circuit."""
    names = [name for name in (row.format, row.format_a, row.format_b) if name]
    return " x ".join(dict.fromkeys(names))
