"""Two files of the same tensors, side by side: ``amxfp4 compare``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amxfp4.commands.files.held import Held, held
from amxfp4.commands.files.matmul import pick, split
from amxfp4.commands.files.tensors import BLOCKS, PIECE, decibels, opened, size
from amxfp4.golden.blocks import Blocks
from amxfp4.golden.dequantizer import scale_values
from amxfp4.golden.files import TensorFile
from amxfp4.golden.formats import decode
from amxfp4.golden.inspection.differences import (
    Differing,
    ValueDifferences,
    byte_differences,
    code_differences,
    scale_differences,
)
from amxfp4.golden.quality import Ratio
from amxfp4.params.formats import E2M1
from amxfp4.util.console import Table, working
from amxfp4.util.errors import reading

__all__ = ["Compared", "compare", "compared"]

SIDES = ("positive", "negative")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What comparing two tensors of one shape came to; ``None`` where there is nothing to compare.

    Parameters
    ----------
    codes, scales
        Of blocks.
    values
        Of what has values; otherwise of stored elements, where both are of one type.
    sqnr
        In dB.
    signal
        Which of both is the signal, A or B; the other stands for it.
    lines
        The first differences, in words.
    """

    codes: Differing | None = None
    scales: Differing | None = None
    values: Differing | None = None
    sqnr: float = np.nan
    signal: str = "-"
    lines: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether all values are."""
        return self.values is not None and not self.values.count


@dataclass(frozen=True)
class _Side:
    """One of both files, and what was asked of it."""

    parameter: str
    source: str
    file: TensorFile
    tensors: dict[str, Held]
    name: str | None

    @property
    def hint(self) -> str | None:
        """Name of its tensor if it is about one; the one of a .npy file is called as the file."""
        alone = next(iter(self.tensors)) if self.file.path.suffix == ".npy" else None
        return self.name or alone


def compare(a: str, b: str) -> int:
    """Compare the tensors of two files by name, or one of each.

    Parameters
    ----------
    a, b
        FILE, or FILE:NAME for one tensor of it.

    Returns
    -------
    0 if all values are equal; 1 if any differ, or a tensor is in one file alone or has another
    shape or a type without values there.

    Raises
    ------
    TypeError, ValueError
        A file or a name is not what it must be.
    """
    with _side("A", a) as left, _side("B", b) as right:
        pairs = _pairs(left, right)
        both = {(x.name, y.name) for x, y in pairs}
        alone = [] if _single(left, right) else [
            (side.parameter, name, t) for side in (left, right) for name, t in side.tensors.items()
            if (name, name) not in both
        ]  # fmt: skip
        results: list[tuple[str, Held, Held, Compared]] = []
        with working(f"comparing {left.file.path} and {right.file.path}") as step:
            for number, (x, y) in enumerate(pairs):
                step(f"comparing {x.name}", number, len(pairs))
                name = x.name if x.name == y.name else f"{x.name} and {y.name}"
                results.append((name, x, y, compared(x, y)))
                left.file.release()
                right.file.release()
    return _show(results, alone)


@contextlib.contextmanager
def _side(parameter: str, source: str) -> Iterator[_Side]:
    path, name = split(source)
    with opened(parameter, Path(path)) as file:
        yield _Side(parameter, source, file, held(parameter, file), name)


def _single(a: _Side, b: _Side) -> bool:
    """Whether one tensor of each is asked for."""
    return any(side.hint is not None for side in (a, b))


def _pairs(a: _Side, b: _Side) -> list[tuple[Held, Held]]:
    if _single(a, b):
        return [(_only(a, b), _only(b, a))]
    return [(t, b.tensors[name]) for name, t in a.tensors.items() if name in b.tensors]


def _only(side: _Side, other: _Side) -> Held:
    """Pick the tensor that is asked for: by its name, or by that of the other."""
    name = side.name
    if name is None and other.hint in side.tensors:
        name = other.hint
    return side.tensors[pick(side.parameter, side.source, list(side.tensors), name)]


def compared(a: Held, b: Held) -> Compared:
    """Compare two tensors."""
    if a.shape != b.shape:
        return Compared(lines=(f"shape {size(a.shape)} in A, {size(b.shape)} in B",))
    if a.has_values and b.has_values:
        return _of_numbers(a, b)
    if a.kind != b.kind:
        return Compared(lines=(f"{a.kind} in A cannot be compared with {b.kind} in B",))
    found = byte_differences(a.raw(), b.raw())
    return Compared(values=found, lines=_words(found, "elements", "bytes {:.0f} and {:.0f}"))


def _of_numbers(a: Held, b: Held) -> Compared:
    codes, scales, lines = _of_blocks(a, b)
    # Of a pair of which one was not quantized, that one is the signal.
    swapped = b.plain and not a.plain
    values, ratio = ValueDifferences(a.shape), Ratio()
    x, y = a.values(), b.values()
    for start in range(0, int(np.prod(a.shape, dtype=np.int64)), PIECE):
        one, other = x(start, start + PIECE), y(start, start + PIECE)
        values.add(one, other)
        ratio.add(*((other, one) if swapped else (one, other)))
    found = values.found
    return Compared(
        codes=codes, scales=scales, values=found, sqnr=ratio.decibels,
        signal="B" if swapped else "A",
        lines=(*lines, *_words(found, "values", "{!r} and {!r}")),
    )  # fmt: skip


def _of_blocks(a: Held, b: Held) -> tuple[Differing | None, Differing | None, tuple[str, ...]]:
    """Compare codes and scales, if both have them."""
    read: list[Blocks] = []
    for t in (a, b):
        if t.stored is None or t.stored.row is None:
            return None, None, ()
        with reading(t.parameter, t.file.path, BLOCKS):
            read.append(t.stored.blocks())
    if read[0].row.element != read[1].row.element:
        return None, None, ()
    codes, scales = code_differences(*read), scale_differences(*read)
    lines = [_code_words(codes, read[0])]
    if scales is not None:
        lines.append(_scale_words(scales, read[0]))
    factors = [f"{'/' if t.divides else 'x'} {t.tensor_scale!r}" for t in read]
    if factors[0] != factors[1]:
        lines.append((f"factor of the tensor: {factors[0]} and {factors[1]}",))
    return codes, scales, tuple(line for found in lines for line in found)


def _code_words(found: Differing, b: Blocks) -> tuple[str, ...]:
    if found.first is None:
        return ()
    values = decode(np.arange(16, dtype=np.uint8), b.row.element)
    minus = b.row.element == E2M1
    x, y = (f"{q} ({'-0' if q == 8 and minus else format(values[q], 'g')})"
            for q in map(int, (found.first.a, found.first.b)))  # fmt: skip
    zeros = f" ({found.zeros:,} only in the sign of a zero)" if found.zeros else ""
    place = f"element {list(found.first.index)}"
    return (f"codes that differ: {found.count:,}{zeros}; first {place}: {x} and {y}",)


def _scale_words(found: Differing, b: Blocks) -> tuple[str, ...]:
    if found.first is None:
        return ()
    *block, side = found.first.index
    if side and b.row.zero_point:
        place = f"block {block}, zero point: {found.first.a} and {found.first.b}"
        return (f"scales that differ: {found.count:,}; first {place}",)
    x, y = (f"{s:#04x} ({scale_values(b.row)[s]:g})"
            for s in map(int, (found.first.a, found.first.b)))  # fmt: skip
    place = f"block {block}" + (f", {SIDES[side]}" if b.row.asymmetric else "")
    return (f"scales that differ: {found.count:,}; first {place}: {x} and {y}",)


def _words(found: Differing, what: str, style: str) -> tuple[str, ...]:
    if found.first is None:
        return ()
    shown = style.format(found.first.a, found.first.b)
    return (f"{what} that differ: {found.count:,}; first {list(found.first.index)}: {shown}",)


def _show(
    results: list[tuple[str, Held, Held, Compared]], alone: list[tuple[str, str, Held]]
) -> int:
    table = Table("tensor", "A", "B", "elements", "codes differ", "zeros", "scales differ",
                  "values differ", "SQNR dB", "signal")  # fmt: skip
    for name, a, b, one in results:
        if one.values is None:
            continue
        counts = [one.codes, one.scales, one.values]
        codes, scales, values = ("-" if d is None else f"{d.count:,}" for d in counts)
        elements = f"{int(np.prod(a.shape, dtype=np.int64)):,}"
        zeros = "-" if one.codes is None else f"{one.codes.zeros:,}"
        table.add(name, a.kind, b.kind, elements, codes, zeros, scales, values,
                  decibels(one.sqnr), one.signal)  # fmt: skip
    if any(one.values is not None for *_, one in results):
        table.show()
    for name, *_, one in results:
        for line in one.lines:
            print(f"{name}: {line}")
    for parameter, name, t in alone:
        print(f"{name}: in {parameter} alone ({t.kind} {size(t.shape)})")
    equal = sum(one.equal for *_, one in results)
    print(f"values equal: {equal:,} of {len(results):,} tensors; in one file alone: {len(alone):,}")
    return int(equal < len(results) or bool(alone))
