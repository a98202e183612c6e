"""What a format costs in hardware, from what was synthesized; what was not is not guessed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from amxfp4.accuracy.quantized import Row
from amxfp4.params.config import UnitConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FORMATS, BlockFormat, block_format
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.synth.flow import results
from amxfp4.synth.plan import plan_file
from amxfp4.synth.plan.plan import DEFAULT

__all__ = ["RECORD", "Cost", "Costs"]

RECORD = Path("docs", "figures", "formats.json")
"""Figures of `PLAN`, as ``amxfp4 synth plan`` records them."""
PLAN = DEFAULT.with_name("formats.toml")
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
    """

    bits: float | None
    dot: float | None
    quantizer: float | None


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
        self._known: dict[str, float] = {}
        if record.exists():
            points = [p for listing in plan_file.load(PLAN).listings for p in listing.points]
            digests = {point.label: point.config.digest for point in points}
            for table in json.loads(record.read_text())["tables"].values():
                for cells in table["rows"]:
                    figures = dict(zip(table["header"], cells, strict=True))
                    self._known[digests[figures["circuit"]]] = float(figures["T"].replace(",", ""))
        for row in results.read(build):
            area = row.per_mac("transistors")
            whole = row.target == "generic" and row.script == "area" and not row.component
            if whole and area is not None:
                self._known[row.digest] = area

    def of(self, row: Row) -> Cost:
        """Cost of a row's format, at its block size."""
        if row.format not in FORMATS:
            return Cost(bits=None, dot=None, quantizer=None)
        format = block_format(row.format, row.options.get("block"))
        alike = [f.name for f in FORMATS.values() if _datapath(f, format) == format]
        dots = (
            DotConfig(format_a=name, format_b=name, block=format.block) for name in alike
        )  # fmt: skip
        dot = None
        if not set(row.options) - _BEFORE:
            dot = next((cost for config in dots if (cost := self._find(config)) is not None), None)
        quantizer = None
        if not set(row.options) - {"block", "second"}:
            second = row.options.get("second", 0)
            config = QuantizerConfig(format=format.name, block=format.block, second=second)
            quantizer = self._find(config)
        return Cost(bits=format.bits_per_element, dot=dot, quantizer=quantizer)

    def _find(self, config: UnitConfig) -> float | None:
        return self._known.get(config.digest)


def _datapath(format: BlockFormat, other: BlockFormat) -> BlockFormat:
    """Return a format as if it had another one's name, rule and block: products see no more."""
    return dataclasses.replace(
        format, name=other.name, scale_rule=other.scale_rule, block=other.block
    )
