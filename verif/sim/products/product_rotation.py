"""Which dot products and arrays the random tests build: few, and every value of every parameter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import ACCUMULATIONS, CLASS_SUMS, PIPELINE, SCALING, DotConfig
from amxfp4.params.formats import FORMATS, OUTPUTS, BlockFormat
from amxfp4.verif.sim.products.products import tile_of

__all__ = ["BY_DAY", "HOLDERS", "WAYS_BY_DAY", "configurations", "label", "ways"]

HOLDERS = ("", "rounded", "normalised,rounded")
"""Where a finished sum may wait besides the accumulator."""

# A period for every parameter, without a common factor where it matters, so that no two run in
# step. Few lanes build fast, so the day's units have few; every other number occurs at least once.
_LANES = (
    8, 2, 1, 4, 4, 2, 1, 4, 16, 2, 1, 2, 4, 1,
    4, 2, 8, 4, 16, 2, 1, 8, 4, 32, 2, 8, 1, 4, 2,
)  # fmt: skip
_WIDE = {20: (64, 64), 45: (128, 128)}
_BLOCKS = (32, 16, 32, 64, 16, 128, 16)
_SHAPES = ((1, 1), (1, 3), (1, 1), (2, 2))
_BESIDE_UE5M3 = {"amxfp4", "mxfp4", "amxfp4-ue5m3", "nvfp4-ue5m3"}
_BESIDE_INTEGERS = {"amxfp4", "mxfp4", "mxfp4-e5m2", "int4", "int4-asym"}
_INTEGERS_BY_DAY = ("int4", "int4-asym", "fp32")


def _hardware(row: BlockFormat) -> tuple[str, int, str]:
    """Name what of a format decides the unit: formats that share it share a build."""
    return row.scale.name, row.scales, row.element.name


def _is_integer(row: BlockFormat) -> bool:
    return not row.element.exponent_bits


def _pairs() -> Iterator[tuple[bool, BlockFormat, BlockFormat, str]]:
    """Every ordered pair of formats in every mode, and whether it is one of the day's.

    Of formats that are the same hardware here, since they differ only in how a quantizer picks
    scales, there is one. UE5M3 meets itself, and those it stands beside in tables; what it would be
    with others are the widths of a table; integers meet each other and E2M1 under the same scales,
    and power-of-two scales in FP32. By day every format is on one side or the other in FP32, and
    on either side in one of the other modes; UE5M3 with two scales alone stands for both, and one
    pair for integers.
    """
    for acc in ACCUMULATIONS:
        every = acc == "fp32"
        rows = [row for row in FORMATS.values() if every or not row.power_of_two]
        units = list(reversed({_hardware(row): row for row in reversed(rows)}.values()))
        # Neighbours, around the end: no format meets itself.
        ring = [row for row in units if row.name != "nvfp4-ue5m3" and not _is_integer(row)]
        chosen = ring[acc == "fixed" :: 2]
        by_day = [(ring[ring.index(unit) - 1], unit) for unit in chosen]
        for row_a, row_b in itertools.product(units, repeat=2):
            names = (row_a.name, row_b.name)
            day = (row_a, row_b) in by_day or (*names, acc) == _INTEGERS_BY_DAY
            few = None
            if _is_integer(row_a) or _is_integer(row_b):
                few = _BESIDE_INTEGERS if names[0] != names[1] else set(names)
            elif "ue5m3" in (row_a.scale.name, row_b.scale.name):
                few = _BESIDE_UE5M3
            if day or few is None or set(names) <= few:
                yield day, row_a, row_b, acc


BY_DAY = sum(day for day, *_ in _pairs())
"""How many of `configurations` are built by day, from the first; the others at night only."""


def configurations() -> list[DotConfig]:
    """Every ordered pair of formats in every mode; together every value of every parameter."""
    places: dict[Any, int] = {}
    configs: list[DotConfig] = []
    for _, row_a, row_b, acc in sorted(_pairs(), key=lambda pair: not pair[0]):
        key = (_hardware(row_a), _hardware(row_b), acc)
        n = places.setdefault(key, len(places))
        block = _BLOCKS[n % len(_BLOCKS)]
        lanes = min(_LANES[n % len(_LANES)], block)
        block, lanes = _WIDE.get(n, (block, lanes))
        of_mode = [k for k in places if k[-1] == acc].index(key)
        mask = (11 * of_mode + 63) % (1 << len(PIPELINE))
        fields: dict[str, Any] = {
            "format_a": row_a.name, "format_b": row_b.name, "acc": acc,
            "block": block, "lanes": lanes,
            "output": list(OUTPUTS)[n // 3 % 2], "class_sums": CLASS_SUMS[n % 3],
            "pipeline": ",".join(p for i, p in enumerate(PIPELINE) if mask >> i & 1),
            # One by one wherever it can be, but for every fourth.
            "scaling": "parallel" if n % 4 == 3 else None,
        }  # fmt: skip
        if n % 4 == 2:
            shape = _SHAPES[n // 4 % len(_SHAPES)]
            configs.append(ArrayConfig(**fields, rows=shape[0], cols=shape[1]))
        else:
            configs.append(DotConfig(**fields))
    return configs


# Formats with four terms and with two, from either side; and lanes with which a block of 16 has
# exactly as many beats as terms, or more.
_WAYS = (
    ("amxfp4", "amxfp4-e4m3", 4), ("amxfp4", "nvfp4", 8), ("amxfp4-e4m3", "amxfp4", 2),
    ("mxfp4-e4m3", "amxfp4", 8), ("amxfp4", "amxfp4", 1), ("amxfp4", "mxfp4-e5m2", 4),
    ("amxfp4", "amxfp4", 4),
)  # fmt: skip
# By day a mode's units are the same function of the same operands.
_WAYS_OF_THE_DAY = {
    "exact": ("amxfp4", "amxfp4-e4m3", (4, 2, 1)),
    "fixed": ("amxfp4-e4m3", "nvfp4", (8, 4, 2)),
    "fp32": ("amxfp4", "mxfp4", (1, 4, 2)),
}


def _combinations() -> Iterator[tuple[bool, str, str, str, str]]:
    """Every combination of mode, sums, scaling and holder, and whether it is one of the day's.

    By day any two of them meet in every combination there is.
    """
    for acc, sums, scaling, holder in itertools.product(
        ACCUMULATIONS, CLASS_SUMS, SCALING, HOLDERS
    ):
        if acc == "fp32" and scaling == "serial":
            continue
        m, s, h = ACCUMULATIONS.index(acc), CLASS_SUMS.index(sums), HOLDERS.index(holder)
        at_once = acc == "fp32" or s == m + 1
        by_day = (m + s + h) % 3 == 0 and at_once == (scaling == "parallel")
        yield by_day, acc, sums, scaling, holder


WAYS_BY_DAY = sum(by_day for by_day, *_ in _combinations())
"""How many of `ways` are built by day, from the first; the others at night only."""


def ways() -> list[DotConfig]:
    """Every way to build one unit: how classes are summed, terms scaled, and results held.

    All of them in both of the modes that know serial scaling, and all but serial ones in FP32.
    """
    configs: list[DotConfig] = []
    for by_day, acc, sums, scaling, holder in sorted(_combinations(), key=lambda way: not way[0]):
        n = len(configs)
        format_a, format_b, lanes = _WAYS[n % len(_WAYS)]
        if by_day:
            format_a, format_b, some = _WAYS_OF_THE_DAY[acc]
            lanes = some[n % len(some)]
        inner = [name for i, name in enumerate(("input", "sums", "terms", "aligned")) if n >> i & 1]
        fields: dict[str, Any] = {
            "format_a": format_a, "format_b": format_b, "block": 16, "lanes": lanes, "acc": acc,
            "class_sums": sums, "scaling": scaling,
            "pipeline": ",".join(filter(None, [*inner, holder])),
        }  # fmt: skip
        is_array = n % 9 == 1
        configs.append(ArrayConfig(**fields, rows=1, cols=2) if is_array else DotConfig(**fields))
    return configs


def label(config: DotConfig) -> str:
    """Name a configuration in a test's id."""
    cuts = "".join(name[:1] for name in config.pipeline.split(","))
    shape = "x".join(map(str, tile_of(config)))
    return (
        f"{config.unit}-{shape}-{config.format_a}-{config.format_b}-{config.acc}"
        f"-k{config.block}-x{config.lanes}-{config.output}-{config.class_sums}-{config.scaling}-{cuts}"
    )
