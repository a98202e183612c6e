"""Which dot products and arrays the random tests build: few, and every value of every parameter."""

from __future__ import annotations

import itertools
from typing import Any

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import ACCUMULATIONS, CLASS_SUMS, PIPELINE, SCALING, DotConfig
from amxfp4.params.formats import FORMATS, OUTPUTS, BlockFormat, ScaleRule
from amxfp4.verif.sim.products.products import tile_of

__all__ = ["HOLDERS", "by_day", "configurations", "label", "ways"]

HOLDERS = ("", "rounded", "normalised,rounded")
"""Where a finished sum may wait besides the accumulator."""

# A period for every parameter, without a common factor where it matters, so that no two run in
# step. Few lanes build fast; every other number of lanes occurs at least once.
_LANES = (4, 2, 8, 4, 16, 2, 1, 8, 4, 32, 2)
_WIDE = {20: (64, 64), 45: (128, 128)}
_BLOCKS = (32, 16, 32, 64, 32, 16, 128)
_SHAPES = ((1, 1), (1, 3), (2, 2))


def _hardware(row: BlockFormat) -> tuple[str, int]:
    """Name what of a format decides the unit: formats that share it share a build."""
    return row.scale.name, row.scales


def configurations() -> list[DotConfig]:
    """Every ordered pair of formats in every mode; together every value of every parameter."""
    places: dict[Any, int] = {}
    configs: list[DotConfig] = []
    for row_a in FORMATS.values():
        for row_b in FORMATS.values():
            bounded = {row_a.scale_rule, row_b.scale_rule} == {ScaleRule.NEAREST}
            for acc in ACCUMULATIONS if bounded else ("fp32",):
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
                if n % 9 == 8:
                    shape = _SHAPES[n // 9 % len(_SHAPES)]
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


def ways() -> list[DotConfig]:
    """Every way to build one unit: how classes are summed, terms scaled, and results held.

    All of them in both of the modes that know serial scaling, and all but serial ones in FP32.
    """
    configs: list[DotConfig] = []
    for acc, sums, scaling, holder in itertools.product(
        ACCUMULATIONS, CLASS_SUMS, SCALING, HOLDERS
    ):
        if acc == "fp32" and scaling == "serial":
            continue
        n = len(configs)
        format_a, format_b, lanes = _WAYS[n % len(_WAYS)]
        inner = [name for i, name in enumerate(("input", "sums", "terms", "aligned")) if n >> i & 1]
        fields: dict[str, Any] = {
            "format_a": format_a, "format_b": format_b, "block": 16, "lanes": lanes, "acc": acc,
            "class_sums": sums, "scaling": scaling,
            "pipeline": ",".join(filter(None, [*inner, holder])),
        }  # fmt: skip
        is_array = n % 11 == 10
        configs.append(ArrayConfig(**fields, rows=1, cols=2) if is_array else DotConfig(**fields))
    return configs


def by_day(config: DotConfig) -> bool:
    """Tell whether one of `ways` is among the third that is built by day, not at night only.

    Any two of mode, sums, scaling and holder still meet in every combination there is.
    """
    holder = sum(name in config.pipeline.split(",") for name in ("normalised", "rounded"))
    places = (
        ACCUMULATIONS.index(config.acc), CLASS_SUMS.index(config.class_sums),
        SCALING.index(str(config.scaling)), holder,
    )  # fmt: skip
    return sum(places) % len(HOLDERS) == 0


def label(config: DotConfig) -> str:
    """Name a configuration in a test's id."""
    cuts = "".join(name[:1] for name in config.pipeline.split(","))
    shape = "x".join(map(str, tile_of(config)))
    return (
        f"{config.unit}-{shape}-{config.format_a}-{config.format_b}-{config.acc}"
        f"-k{config.block}-x{config.lanes}-{config.output}-{config.class_sums}-{config.scaling}-{cuts}"
    )
