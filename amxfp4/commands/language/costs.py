"""What a format costs in hardware, from what was synthesized; what was not is not guessed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from amxfp4.accuracy.quantized import Row
from amxfp4.params.array import ArrayConfig
from amxfp4.params.config import UnitConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FORMATS, BlockFormat, block_format
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.synth.flow import results
from amxfp4.synth.gates import energy_per_mac
from amxfp4.synth.plan import plan_file
from amxfp4.synth.plan.plan import DEFAULT, WHOLE

__all__ = ["RECORD", "Cost", "Costs"]

RECORD = Path("docs", "figures", "formats.json")
"""Figures of `PLAN`, as ``amxfp4 synth plan`` records them; those of `DEFAULT` are beside it."""
PLAN = DEFAULT.with_name("formats.toml")
SIZE = 8
"""Rows and columns of the array that costs are of: so many elements, and one sequencer."""
_PARTS = ("", "processing_element", "sequencer")
_BEFORE = {"block", "ties", "tensor_scale", "rule", "search", "second", "gptq"}
"""Options that decide codes and add nothing to a product."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of a row; ``None``: not measured, or of no format that is synthesized.

    Parameters
    ----------
    bits
        An element takes in memory, its share of the scales included.
    dot
        Estimated transistors of the whole dot product of default accumulator, per MAC; of 32 lanes,
        or of the block's where it is shorter.
    quantizer
        Estimated transistors of the default quantizer, per element.
    array
        Estimated transistors of an array of 8 x 8 such dot products, per MAC.
    energy
        Of the dot product, fJ per MAC, the mean over workloads of what was measured with one
        library; there is no record of it, since no library comes with the project.
    """

    bits: float | None
    dot: float | None
    quantizer: float | None
    array: float | None = None
    energy: float | None = None


class Costs:
    """Costs of formats, mapped to gates for area.

    Parameters
    ----------
    build
        Folder of builds, of which ``synth`` counts before the record.
    record
        Is left out if there is no such file.
    """

    def __init__(self, build: Path, record: Path = RECORD) -> None:
        self._known: dict[tuple[str, str], float] = {}
        for file, plan in ((record.with_name("default.json"), DEFAULT), (record, PLAN)):
            if file.exists():
                self._known |= _recorded(file, plan)
        for row in results.read(build):
            area = row.per_mac("transistors")
            whole = row.target == "generic" and row.script == "area" and row.component in _PARTS
            if whole and area is not None:
                self._known[row.digest, row.component] = area
        energies = [row for row in energy_per_mac.read(build) if not row.component]
        self._energies = {
            row.digest: [
                other.total_fj
                for other in energies
                if (other.digest, other.liberty) == (row.digest, energies[0].liberty)
            ]
            for row in energies
            if row.liberty == energies[0].liberty
        }

    def of(self, row: Row) -> Cost:
        """Cost of a row's format, at its block size."""
        if row.format not in FORMATS:
            return Cost(bits=None, dot=None, quantizer=None)
        format = block_format(row.format, row.options.get("block"))
        alike = [f.name for f in FORMATS.values() if _datapath(f, format) == format]
        dots = [DotConfig(format_a=name, format_b=name, block=format.block) for name in alike]
        if set(row.options) - _BEFORE:
            dots = []
        quantizer = None
        if not set(row.options) - {"block", "second"}:
            second = row.options.get("second", 0)
            config = QuantizerConfig(format=format.name, block=format.block, second=second)
            quantizer = self._find(config)
        return Cost(
            bits=format.bits_per_element, dot=_first(map(self._find, dots)), quantizer=quantizer,
            array=_first(map(self._array, dots)), energy=_first(map(self._energy, dots)),
        )  # fmt: skip

    def _find(self, config: UnitConfig, component: str = "") -> float | None:
        return self._known.get((config.digest, component))

    def _array(self, dot: DotConfig) -> float | None:
        array = ArrayConfig(
            format_a=dot.format_a, format_b=dot.format_b, block=dot.block, rows=SIZE, cols=SIZE
        )
        element, rest = self._find(dot, "processing_element"), self._find(array, "sequencer")
        return None if element is None or rest is None else element + rest

    def _energy(self, dot: DotConfig) -> float | None:
        found = self._energies.get(dot.digest)
        return sum(found) / len(found) if found else None


def _first(costs: Iterable[float | None]) -> float | None:
    return next((cost for cost in costs if cost is not None), None)


def _recorded(file: Path, plan: Path) -> dict[tuple[str, str], float]:
    """Read estimated transistors of whole units, elements and sequencers, from a record."""
    points = [p for listing in plan_file.load(plan).listings for p in listing.points]
    places = {
        p.label: (p.config.digest, "" if p.component == WHOLE else str(p.component or ""))
        for p in points
        if any(job.target == "generic" and job.script == "area" for job in p.jobs)
    }
    found = {}
    for table in json.loads(file.read_text())["tables"].values():
        for cells in table["rows"]:
            figures = dict(zip(table["header"], cells, strict=True))
            place = places.get(figures.get("circuit", ""), ("", "none"))
            if place[1] in _PARTS and figures.get("T", "-") != "-":
                found[place] = float(figures["T"].replace(",", ""))
    return found


def _datapath(format: BlockFormat, other: BlockFormat) -> BlockFormat:
    """Return a format as if it had another one's name, rule and block: products see no more."""
    return dataclasses.replace(
        format, name=other.name, scale_rule=other.scale_rule, block=other.block
    )
