"""What the tensors of a file are like: ``amxfp4 info --stats``, and the tables of its page."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amxfp4.commands.files.held import Held, held
from amxfp4.commands.files.info import info
from amxfp4.commands.files.tensors import BLOCKS, PIECE, decibels, opened, require_suffix, size
from amxfp4.golden.inspection.statistics import BlockStatistics, WordStatistics, block_statistics
from amxfp4.golden.quality import Ratio
from amxfp4.util import console
from amxfp4.util.console import working
from amxfp4.util.errors import reading

__all__ = ["Row", "Table", "measure", "share", "stats", "tables"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Statistics of a tensor.

    Parameters
    ----------
    name, kind
        Of the tensor: its format, or the type of its words.
    figures
        Of its codes if it is blocks, otherwise of its values.
    sqnr
        In dB against the original; NaN if it has none.
    """

    name: str
    kind: str
    figures: BlockStatistics | WordStatistics
    sqnr: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, as a terminal and a page show it."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str

    def show(self) -> None:
        """Print it."""
        table = console.Table(*self.header)
        for row in self.rows:
            table.add(*row)
        table.show()


def stats(source: Path, *, against: Path | None = None, html: Path | None = None) -> None:
    """List the tensors of a file, print statistics of those with values, and write a page of them.

    Parameters
    ----------
    against
        File with the tensors before they were quantized, by the same names: what the SQNR is of.
    html
        Page to write.

    Raises
    ------
    TypeError, ValueError
        A file is damaged, or `against` holds none of the tensors; nothing is written.
    """
    if html is not None:
        require_suffix("--html", html, ".html")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened("FILE", source))
        tensors = {name: t for name, t in held("FILE", file).items() if t.has_values}
        originals: dict[str, Held] = {}
        missing: dict[str, str] = {}
        before = None if against is None else stack.enter_context(opened("--against", against))
        if before is not None:
            originals, missing = _originals(tensors, held("--against", before), before.path)
        rows = []
        with working(f"reading {source}") as step:
            for number, (name, t) in enumerate(tensors.items()):
                step(f"reading {name}", number, len(tensors))
                rows.append(measure(t, originals.get(name)))
                file.release()
                if before is not None:
                    before.release()
    shown = tables(rows, sqnr=against is not None)
    if html is not None:
        from amxfp4.commands.files import stats_page

        stats_page.write(html, source, against, rows, shown)
    info(source)
    for table in shown:
        table.show()
    for name, why in missing.items():
        print(f"{name}: no SQNR: {why}")
    if html is not None:
        print(f"wrote {html}")


def _originals(
    tensors: Mapping[str, Held], held: Mapping[str, Held], against: Path
) -> tuple[dict[str, Held], dict[str, str]]:
    """Find the original of each tensor that has one; say of quantized ones why they have none."""
    found, missing = {}, {}
    for name, t in tensors.items():
        original = held.get(name)
        if original is None:
            why = f"it is not in {against}"
        elif not original.plain:
            why = f"it is {original.kind} in {against}"
        elif original.shape != t.shape:
            why = f"it is {size(original.shape)} in {against}, and {size(t.shape)} here"
        else:
            found[name] = original
            continue
        if not t.plain:
            missing[name] = why
    if not any(not tensors[name].plain for name in found):
        raise ValueError(
            f"--against must be a file of the unquantized tensors of FILE, by the same names, not "
            f"{str(against)!r} (it holds none of them)"
        )
    return found, missing


def measure(t: Held, original: Held | None = None) -> Row:
    """Measure a tensor that has values, and against its original if there is one."""
    words, ratio = WordStatistics(), Ratio()
    blocks = t.stored is not None and t.stored.row is not None
    if original is not None or not blocks:
        x = t.values()
        y = None if original is None else original.values()
        for start in range(0, math.prod(t.shape), PIECE):
            piece = x(start, start + PIECE)
            if not blocks:
                words.add(piece)
            if y is not None:
                ratio.add(y(start, start + PIECE), piece)
    figures: BlockStatistics | WordStatistics = words
    if blocks:
        assert t.stored is not None
        with reading(t.parameter, t.file.path, BLOCKS):
            figures = block_statistics(t.stored.blocks())
    return Row(name=t.name, kind=t.kind, figures=figures, sqnr=ratio.decibels)


def share(part: int, whole: int) -> str:
    """Show a share in percent; what is not zero does not look so."""
    return f"{100 * part / whole:.3g}%" if whole else "-"


def tables(rows: Sequence[Row], *, sqnr: bool) -> list[Table]:
    """Lay out blocks, and what has values and is no blocks; a table without rows is left out.

    With `sqnr` they have a column for it.
    """
    kinds: list[tuple[str, tuple[str, ...], Callable[[Row], tuple[str, ...]], str, type]] = [
        ("Blocks", _BLOCKS, _of_blocks, _ABOUT_BLOCKS, BlockStatistics),
        ("Words", _WORDS, _of_words, _ABOUT_WORDS, WordStatistics),
    ]
    found = []
    for title, header, cells, note, kind in kinds:
        chosen = [row for row in rows if isinstance(row.figures, kind)]
        if not chosen:
            continue
        made = [cells(row) + ((decibels(row.sqnr),) if sqnr else ()) for row in chosen]
        header = header + (("SQNR dB",) if sqnr else ())
        found.append(Table(title=title, header=header, rows=made, note=note))
    return found


_BLOCKS = (
    "tensor", "format", "elements", "zeros", "saturated", "blocks", "one-sided", "all zero",
    "s+/s- median", "s+/s- least", "s+/s- most", "NaN scales", "zero scales", "RMS",
)  # fmt: skip
_ABOUT_BLOCKS = (
    "Zeros: elements of code 0 or 8. Saturated: of the largest magnitude, 6. One-sided: blocks "
    "whose nonzero elements have one sign; all zero: blocks without any. s+/s-: ratio of the "
    "scales of positive and negative elements, of blocks with both. RMS: of the finite values."
)
_WORDS = ("tensor", "words", "elements", "zeros", "NaN", "infinite", "max |x|", "RMS")
_ABOUT_WORDS = "Counts of elements; the largest magnitude and RMS are of those that are finite."


def _of_blocks(row: Row) -> tuple[str, ...]:
    f = row.figures
    assert isinstance(f, BlockStatistics)
    ratios = (math.nan,) * 3 if f.ratios is None else (f.ratios.median, *f.ratios.extremes)
    scales = int(f.scales.sum())
    return (
        row.name, row.kind, f"{f.elements:,}", share(f.zeros, f.elements),
        share(f.saturated, f.elements), f"{f.blocks:,}", share(f.one_sided, f.blocks),
        share(f.zero_blocks, f.blocks), *map(_number, ratios), share(f.nan_scales, scales),
        share(f.zero_scales, scales), _number(f.rms),
    )  # fmt: skip


def _of_words(row: Row) -> tuple[str, ...]:
    f = row.figures
    assert isinstance(f, WordStatistics)
    counts = (f.elements, f.zeros, f.nan, f.infinite)
    return (row.name, row.kind, *(f"{n:,}" for n in counts), _number(f.largest), _number(f.rms))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
