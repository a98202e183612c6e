"""What ``amxfp4 quantize`` is going to do with each tensor, and what it says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from amxfp4.commands.files.checkpoint import Conversion, Notes, Shard
from amxfp4.commands.files.tensors import blocks_of, decibels, size, warn_of_poor
from amxfp4.golden import files
from amxfp4.golden.factor.tensor_scale import has_factor
from amxfp4.golden.files import Checkpoint, Entry, Layout, TensorFile
from amxfp4.params.formats import BlockFormat, Ties
from amxfp4.params.weights import WeightFormat
from amxfp4.util.console import Table

__all__ = ["Fate", "Options", "Plan", "foretell", "plan", "report"]


@dataclass(frozen=True, slots=True)
class Options:
    """What decides which tensors are quantized, and how; see `quantize`."""

    row: BlockFormat | WeightFormat
    axis: int
    ties: Ties | None
    min_axes: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    layout: Layout
    tensor_scale: float | str
    rule: str
    search: tuple[int, int] | None = None
    second: int = 0

    @property
    def has_factor(self) -> bool:
        """Whether tensors are quantized with a factor, which is known once they are read."""
        if isinstance(self.row, WeightFormat):
            return False
        auto = self.tensor_scale == "auto" and has_factor(self.row)
        return auto or self.tensor_scale not in ("auto", 1) or self.row.name in self.layout.factors

    def typed(self) -> dict[str, Any]:
        """All of them in JSON, by the names that the command line gives them."""
        row = self.row
        of_weights = {"--packed": row.packed} if isinstance(row, WeightFormat) else None
        return {
            "--format": self.row.name, "--block": self.row.block, "--axis": self.axis,
            **(of_weights or {"--ties": str(self.ties)}),
            "--min-axes": self.min_axes,
            "--include": sorted(set(self.include)), "--exclude": sorted(set(self.exclude)),
            "--layout": self.layout.name, "--tensor-scale": self.tensor_scale, "--rule": self.rule,
            "--search": self.search and list(self.search), "--second": self.second,
        }  # fmt: skip

    def reason(self, name: str, entry: Entry) -> str:
        """Why a tensor is not quantized; empty if it is."""
        axes = len(entry.shape)
        if entry.word is None:
            return "not float32, float16 or bfloat16" if entry.known else "no type of safetensors"
        if 0 in entry.shape:
            return "no elements"
        if axes < self.min_axes:
            return f"fewer than {self.min_axes} axes (--min-axes)"
        if self.include and not any(fnmatchcase(name, pattern) for pattern in self.include):
            return "not of --include"
        for pattern in self.exclude:
            if fnmatchcase(name, pattern):
                return f"--exclude {pattern}"
        if not -axes <= self.axis < axes:
            return f"axis must be from {-axes} to {axes - 1}, not {self.axis}"
        try:
            self.layout.check_shape("it", self.row, entry.shape, self.axis % axes)
        except ValueError as error:
            return str(error)
        return ""

    def require_matches(self, names: Iterable[str]) -> None:
        """Refuse a pattern that no tensor has: a mistyped one would quantize what it should not."""
        names = list(names)
        for option, patterns in (("--include", self.include), ("--exclude", self.exclude)):
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise ValueError(
                        f"{option} must match a tensor of IN, such as {names[0]!r}, not {pattern!r}"
                    )

    def __str__(self) -> str:
        said = f"format={self.row.name} block={self.row.block} axis={self.axis}"
        if isinstance(self.row, WeightFormat):
            said += f" packed={self.row.packed}"
        else:
            said += f" ties={self.ties}"
        more = {"layout": self.layout.name, "rule": self.rule}
        if self.search is not None:
            more["search"] = ",".join(map(str, self.search))
        if self.second:
            more["second"] = str(self.second)
        usual = (files.OURS.name, "nearest")
        return said + "".join(f" {k}={v}" for k, v in more.items() if v not in usual)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a tensor.

    Parameters
    ----------
    number
        How many there are before it.
    entry
        What it is.
    reason
        Why it is not quantized; empty if it is.
    made
        What is written for it: nothing if safetensors does not have its type.
    """

    number: int
    entry: Entry
    reason: str
    made: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of tensors, by name, and of files, by name of the file."""

    fates: dict[str, Fate]
    shards: dict[str, Shard]

    @property
    def bytes(self) -> tuple[int, int]:
        """Size of all tensors before and after."""
        made = (entry.bytes for fate in self.fates.values() for entry in fate.made.values())
        return sum(fate.entry.bytes for fate in self.fates.values()), sum(made)


def plan(file: TensorFile, options: Options) -> Plan:
    """List what is going to be written, in the order of the old files.

    Raises
    ------
    ValueError
        There is nothing to quantize, a pattern matches nothing, or two entries have one name.
    """
    held = file.shards if isinstance(file, Checkpoint) else {file.path.name: file}
    options.require_matches(file.entries)
    whole = Plan({}, {})
    taken: set[str] = set()
    for shard, one in held.items():
        entries: dict[str, Entry] = {}
        metadata = dict(one.metadata)
        for name, entry in one.entries.items():
            reason = options.reason(name, entry)
            made = {name: entry} if options.layout.holds(entry) else {}
            if not reason:
                axis = options.axis % len(entry.shape)
                made, fields = options.layout.declared(
                    name, options.row, entry.shape, axis, factor=options.has_factor
                )
                metadata |= fields
            if twice := taken & made.keys():
                raise ValueError(f"IN must not hold {min(twice)!r} beside a tensor of that name")
            taken |= made.keys()
            entries |= made
            whole.fates[name] = Fate(len(whole.fates), entry, reason, made)
        whole.shards[shard] = Shard(entries, metadata)
    if all(fate.reason for fate in whole.fates.values()):
        name, fate = next(iter(whole.fates.items()))
        raise ValueError(
            f"IN must hold a tensor to quantize, not only ones such as {name!r} "
            f"({fate.entry}: {fate.reason}), as {str(file.path)!r} does"
        )
    return whole


def foretell(
    target: Path, options: Options, plan: Plan, file: TensorFile, conversion: Conversion | None
) -> None:
    """Say what would be written."""
    print(f"{target}: would be {options}; nothing is written")
    table = Table("tensor", "shape", "words", "bytes", "to bytes", "not quantized")
    for name, fate in plan.fates.items():
        entry = fate.entry
        made = sum(part.bytes for part in fate.made.values())
        words = entry.word or entry.dtype
        table.add(name, size(entry.shape), words, f"{entry.bytes:,}", f"{made:,}", fate.reason)
    before, after = plan.bytes
    table.add("all", f"{len(plan.fates):,} tensors", "", f"{before:,}", f"{after:,}", "")
    table.show()
    _companions(file, conversion)


def report(
    target: Path,
    options: Options,
    plan: Plan,
    file: TensorFile,
    conversion: Conversion | None,
    ratios: Notes,
) -> None:
    """Say what was written, and how well tensors were quantized."""
    print(f"{target}: {options}")
    table = Table("tensor", "shape", "words", "bytes", "blocks", "to bytes", "SQNR dB")
    for name, ratio in ratios.items():
        fate = plan.fates[name]
        blocks, held = blocks_of(options.row, fate.entry.shape, options.axis)
        table.add(
            name,
            size(fate.entry.shape),
            fate.entry.word,
            f"{fate.entry.bytes:,}",
            f"{blocks:,}",
            f"{held:,}",
            decibels(ratio),
        )
    table.show()
    kept = {name: fate for name, fate in plan.fates.items() if fate.reason}
    if conversion:
        _count(kept)
        before, after = plan.bytes
        print(
            f"tensors: {len(ratios):,} quantized, {len(kept):,} kept; "
            f"bytes: {before:,} to {after:,}"
        )
    else:
        for name, fate in kept.items():
            done = "kept as it is" if fate.made else "left out"
            print(f"{done}: {name} ({fate.entry}): {fate.reason}")
    _companions(file, conversion)
    for name, ratio in ratios.items():
        warn_of_poor(name, ratio)


def _count(kept: Mapping[str, Fate]) -> None:
    """Say how many tensors are kept for each reason: a large model has hundreds of norms."""
    by_reason: dict[str, list[str]] = {}
    for name, fate in kept.items():
        by_reason.setdefault(fate.reason, []).append(name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - 1:,} more" if names[1:] else ""
        print(f"kept as it is: {names[0]} ({kept[names[0]].entry}){more}: {reason}")


def _companions(file: TensorFile, conversion: Conversion | None) -> None:
    """Name what is no tensor; names of files in quotes, since they may be anything."""
    for name in file.foreign:
        print(f"left out: {name}: no array")
    if isinstance(file, Checkpoint) and conversion:
        for name in file.others:
            print(f"travels along: {name!r}")
        for name, reason in file.left_out.items():
            print(f"left out: {name!r}: {reason}")
        if conversion.resumed:
            print(f"{conversion.resumed} of {len(file.shards)} shards were complete already")
