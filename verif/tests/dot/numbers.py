"""What proofs of the dot product's numbers share: small configurations, magnitudes, parts of D."""

from __future__ import annotations

from amaranth.hdl import Assume, C, Module, Mux, Value

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.terms import TermAligner
from amxfp4.rtl.dot.widths import DotWidths

__all__ = ["config_of", "magnitude_of", "parts_of"]


def config_of(a: str, b: str, **options) -> DotConfig:
    """Give a unit of one lane, which is as wide as any."""
    fixed = {"block": 32, "lanes": 1, "scaling": "parallel"}
    return DotConfig(format_a=a, format_b=b, **{**fixed, **options})


def magnitude_of(value) -> Value:
    """Give the absolute value."""
    return Mux(value < 0, -value, value)


def parts_of(m: Module, config: DotConfig, terms, *, assume: bool = True):
    """Aligned parts of D, proven whole above, under what the lanes' bound says of their sum.

    That it does, given class sums that respect it, is arithmetic: each part is a class sum times
    two scales, no scale is above the largest, and each lane is in one class only.
    """
    m.submodules.reference = align = TermAligner(config)
    m.d.comb += align.terms.eq(terms)
    widths = DotWidths(config)
    for term in terms.terms:
        m.d.comb += Assume(magnitude_of(term) <= widths.term_bound)
    if assume:
        # None too large to be shifted, as is proven above too.
        m.d.comb += Assume(align.too_large == 0)
        m.d.comb += Assume(sum(align.magnitudes, C(0, 1)) <= widths.d_bound)
    count = len(widths.classes)
    return [Mux(align.negative[c], -align.magnitudes[c], align.magnitudes[c]) for c in range(count)]
