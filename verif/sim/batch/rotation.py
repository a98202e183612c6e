"""Which configurations the random tests build: few, and every value of every parameter."""

from __future__ import annotations

from itertools import combinations, product

from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, INPUTS, OUTPUTS, Ties
from amxfp4.params.quantizer import MAXIMA, QUANTIZER_PIPELINE, QuantizerConfig

__all__ = [
    "AT_NIGHT", "PER_FORMAT", "by_day", "dequantizers", "four_or_six", "label", "lane_counts",
    "options", "options_by_day", "quantizers", "seconds",
]  # fmt: skip

PER_FORMAT = 2
"""Configurations of every format: one at its own block size, one at another."""


AT_NIGHT = ("nvfp4-ue5m3", "nvfp4-46", "int4", "int4-e4m3", "int4-asym-e4m3")
"""Formats whose quantizers are built at night alone.

NVFP4's blocks and AMXFP4's UE5M3 are both there by day; of integers those with a zero point, which
have all that the others have. `nvfp4-46` is there as the unit of planted bugs.
"""


def label(config: UnitConfig) -> str:
    """Name a configuration in a test's id; every field is in it."""
    fields = config.to_dict()
    sizes = [f"k{fields.pop('block')}"] if "block" in fields else []
    sizes.append(f"x{fields.pop('lanes')}")
    return "-".join([str(fields.pop("format")), *sizes, *(str(v) for v in fields.values())])


def lane_counts(block: int) -> list[int]:
    """Every legal number of lanes, 1 up to the block size."""
    return [1 << n for n in range(block.bit_length())]


def by_day(config: QuantizerConfig | DequantizerConfig) -> bool:
    """Whether tests over every format, type of words and tie rule build this unit by day.

    There is every format: as a quantizer of BF16, and every fifth of FP16 and of FP32. Ties change
    from one to the next, as outputs of dequantizers do, of which there is one for each kind of
    scales: how a format chooses them is nothing to a dequantizer.
    """
    if isinstance(config, DequantizerConfig):
        kinds = {
            (row.scale.name, row.scales, row.element.name): name
            for name, row in reversed(FORMATS.items())
            if row.element.exponent_bits  # all codes of integers are met in Amaranth by day
        }
        first = list(reversed(kinds.values()))
        outputs = list(OUTPUTS)
        return (
            config.format in first
            and config.output == outputs[first.index(config.format) % len(outputs)]
        )
    index = list(FORMATS).index(config.format)
    turn = list(INPUTS).index(config.input)
    ties = list(Ties)[(index + (turn > 0)) % len(Ties)]
    if config.format in AT_NIGHT:
        return False
    return config.ties == ties and (turn == 0 or index % 5 == turn - 1)


def _cells() -> list[tuple[int, int, str, int, int]]:
    """List (format's index, turn, format, block, lanes)."""
    cells = []
    for index, row in enumerate(FORMATS.values()):
        others = [size for size in BLOCK_SIZES if size != row.block]
        for turn in range(PER_FORMAT):
            block = row.block if turn == 0 else others[index % len(others)]
            lanes = lane_counts(block)
            # Strides without a common factor: no two parameters run in step.
            cells.append((index, turn, row.name, block, lanes[(3 * index + 7 * turn) % len(lanes)]))
    return cells


def quantizers() -> list[QuantizerConfig]:
    """Quantizers of every format; together every value of every field but `pipeline`."""
    inputs, ties = list(INPUTS), list(Ties)
    return [
        QuantizerConfig(
            format=name, block=block, lanes=lanes,
            input=inputs[(index // 2 + turn) % len(inputs)], ties=ties[(index + turn) % len(ties)],
            maxima=MAXIMA[(index // 3 + turn + 1) % len(MAXIMA)],
        )
        for index, turn, name, block, lanes in _cells()
    ]  # fmt: skip


def options() -> list[QuantizerConfig]:
    """Quantizers of a beat per block: registers in all places or none, both ways to find maxima."""
    plain = [name for name in QUANTIZER_PIPELINE if name != "second"]
    places = [cuts for n in range(3) for cuts in combinations(plain, n)]
    return [
        QuantizerConfig(
            format=("amxfp4", "mxfp4-e4m3")[(n + way) % 2], block=16,
            maxima=MAXIMA[way], pipeline=",".join(cuts),
        )
        for way, (n, cuts) in product(range(len(MAXIMA)), enumerate(places))
    ]  # fmt: skip


def options_by_day(config: QuantizerConfig) -> bool:
    """Whether one of `options` is built by day: no registers and all, one way for each."""
    return (config.maxima, len(config.cuts)) in (("tree", 0), ("scan", 2))


def seconds() -> list[QuantizerConfig]:
    """Quantizers with a second scale: every offset, and registers and beats of every kind."""
    cells: list[tuple[str, int, int, int, str, str | None]] = [
        ("amxfp4", 2, 32, 4, "bf16", None),
        ("nvfp4", 5, 16, 16, "bf16", "maxima,record"),
        ("amxfp4-ue5m3", 5, 16, 1, "fp16", None),
        ("amxfp4-e4m3", 7, 16, 16, "fp32", "second"),
        ("mxfp4-e5m2", 1, 128, 2, "fp32", None),
        ("mxfp4-e4m3", 6, 64, 8, "fp16", None),
        ("nvfp4-ue5m3", 3, 16, 16, "bf16", "maxima,second,record"),
        ("amxfp4-ue5m3", 4, 16, 16, "bf16", ""),
    ]
    return [
        QuantizerConfig(
            format=format, second=second, block=block, lanes=lanes, input=word,
            maxima=MAXIMA[n % len(MAXIMA)], ties=list(Ties)[n // 2 % len(Ties)],
            **({} if pipeline is None else {"pipeline": pipeline}),
        )
        for n, (format, second, block, lanes, word, pipeline) in enumerate(cells)
    ]  # fmt: skip


def four_or_six() -> list[QuantizerConfig]:
    """Quantizers that compare errors: words, registers and beats of every kind."""
    whole = ",".join(QUANTIZER_PIPELINE)
    cells: list[tuple[int, int, str, str]] = [
        (16, 16, "bf16", "maxima,record"),
        (16, 16, "fp32", whole),
        (16, 16, "fp16", ""),
        (32, 32, "bf16", "second"),
        (16, 1, "fp16", whole),
        (64, 16, "bf16", whole),
        (128, 2, "fp32", whole),
    ]
    return [
        QuantizerConfig(
            format="nvfp4-46", block=block, lanes=lanes, input=word,
            maxima=MAXIMA[n % len(MAXIMA)], ties=list(Ties)[n // 2 % len(Ties)],
            pipeline=pipeline,
        )
        for n, (block, lanes, word, pipeline) in enumerate(cells)
    ]  # fmt: skip


def dequantizers() -> list[DequantizerConfig]:
    """Dequantizers of every format; together every output type, block size and lane count."""
    outputs = list(OUTPUTS)
    return [
        DequantizerConfig(
            format=name, block=block, lanes=lanes, output=outputs[(index + turn) % len(outputs)]
        )
        for index, turn, name, block, lanes in _cells()
    ]
