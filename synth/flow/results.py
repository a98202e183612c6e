"""Results of synthesis: one row per job, in one CSV file."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import io
import os
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from amxfp4.params.config import UnitConfig

__all__ = ["FILE", "Row", "locked", "macs_per_cycle", "read", "update", "write_whole"]

FILE = Path("synth") / "results.csv"
"""Where `amxfp4.synth.flow.run.run` keeps its rows, below the folder of builds."""


def macs_per_cycle(config: UnitConfig, component: str | None = None) -> int:
    """Multiply-accumulates a cycle that a circuit serves; elements in a quantizer or dequantizer.

    A component that works once for all lanes of a unit, as an accumulator does, serves them all.
    """
    lanes: int = config.lanes  # type: ignore[attr-defined]
    alone = ("element_product", "key_decoder", "element_quantizer", "element_dequantizer")
    if component in alone or (component or "").startswith("idea_product_"):
        return 1
    if component == "block_product":
        return int(config.block)  # type: ignore[attr-defined]
    if component in (None, "sequencer"):
        return lanes * getattr(config, "rows", 1) * getattr(config, "cols", 1)
    return lanes


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one circuit on one target.

    A number that there is none of for the unit or the target is ``None``, a text is empty.

    What each means is in docs/synthesis.md.
    """

    key: str
    unit: str
    component: str = ""
    digest: str
    format: str = ""
    format_a: str = ""
    format_b: str = ""
    block: int | None = None
    lanes: int | None = None
    rows: int | None = None
    cols: int | None = None
    input: str = ""
    output: str = ""
    ties: str = ""
    acc: str = ""
    max_blocks: int | None = None
    frac_bits: int | None = None
    int_bits: int | None = None
    maxima: str = ""
    class_sums: str = ""
    scaling: str = ""
    pipeline: str = ""
    requantize: str = ""
    depth_a: int | None = None
    depth_b: int | None = None
    bytes_a: int | None = None
    bytes_b: int | None = None
    bytes_c: int | None = None
    clock: int | None = None
    baud: int | None = None
    payload: int | None = None
    target: str
    dsp: bool = False
    hierarchy: bool = False
    script: str = ""
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
    tools: str = ""
    error: str = ""

    def per_mac(self, metric: str) -> float | None:
        """Figure `metric` (a column) per multiply-accumulate a cycle, or per element.

        Raises
        ------
        ValueError
            There is no such column.
        """
        if metric not in COLUMNS:
            raise ValueError(f"metric must be one of {', '.join(COLUMNS)}, not {metric!r}")
        value = getattr(self, metric)
        return None if value is None else float(value) / self.macs_per_cycle


COLUMNS = {field.name: field for field in dataclasses.fields(Row)}

AnyRow = TypeVar("AnyRow", bound=Any)


def _parse(kind: Any, text: str) -> Any:
    if isinstance(kind, types.UnionType):
        if not text:
            return None
        kind = typing.get_args(kind)[0]
    return text == "True" if kind is bool else kind(text)


def read(path: Path, kind: type[AnyRow] = Row) -> list[AnyRow]:  # type: ignore[assignment]
    """Rows of a CSV file of results; none if there is no such file.

    `kind` is what its lines hold: a dataclass of texts, numbers and truth values.
    """
    if not path.exists():
        return []
    types = typing.get_type_hints(kind)
    with path.open(newline="") as file:
        return [
            kind(
                **{name: _parse(types[name], text) for name, text in line.items() if name in types}
            )
            for line in csv.DictReader(file)
        ]


def update(
    path: Path,
    rows: Iterable[AnyRow],
    kind: type[AnyRow] = Row,  # type: ignore[assignment]
) -> None:
    """Add `rows` to a CSV file of results, in place of those with the same keys.

    Other processes may do so at the same time: no row is lost, and a reader sees whole files.
    """
    with locked(path.with_suffix(".lock")):
        merged = {row.key: row for row in (*read(path, kind), *rows)}
        text = io.StringIO()
        columns = [field.name for field in dataclasses.fields(kind)]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in merged.values())
        write_whole(path, text.getvalue())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, across processes; a killed holder releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, text: str) -> None:
    """Write a file that readers see whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
