"""A second scale for a block: what its comparison of errors sees (docs/numerics.md)."""

from __future__ import annotations

from amxfp4.params.checks import check_range
from amxfp4.params.formats import E2M1, BlockFormat, ScaleRule

__all__ = ["BINADES", "SECOND", "WEIGHTS", "check_second", "fraction_bits"]

SECOND = (0, 7)
"""How many codes the second scale may be above the first; 0: there is none."""
BINADES = range(1, 4)
"""Exponents of elements that are seen, above that of the scale."""
WEIGHTS = range(-2, 2)
"""What an element can weigh."""


def check_second(
    row: BlockFormat, second: object, *, rule: str = "nearest", search: object = None
) -> int:
    """Return how many codes the second scale is above the first; 0: there is none.

    `rule` and `search` are other ways to choose scales, as `golden.quantize` takes them.

    Raises
    ------
    TypeError
        `second` is no integer.
    ValueError
        It is out of range, or `row` has scales of which there is no second.
    """
    value = check_range("second", second, *SECOND)
    if not value:
        return 0
    if row.scale_rule is not ScaleRule.NEAREST or row.element is not E2M1:
        raise ValueError(
            "second must be 0 unless elements are E2M1 and scales the nearest to m / 6, "
            f"not {value!r} for {row.name}"
        )
    if rule != "nearest" or search is not None:
        raise ValueError(f"second must be 0 with rule or search, not {value!r}")
    return value


def fraction_bits(row: BlockFormat) -> int:
    """Fraction bits of an element that are seen."""
    return row.scale.mantissa_bits + 1
