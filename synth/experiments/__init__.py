"""Circuits that were tried and lost, kept measurable (docs/units/microarchitecture.md).

Not part of the installed package. Each is a component that `amxfp4.synth` can synthesize by the
name ``idea_...``. The one part of ``synth`` that may import ``rtl``.
"""

from __future__ import annotations

from amxfp4.gen.components import Build
from amxfp4.synth.experiments import dot_ideas, quantizer_ideas, weight_ideas

__all__ = ["parts"]


def parts(unit: str) -> dict[str, Build]:
    """Components of a unit that only stand for an idea; one may refuse some configurations."""
    ideas: dict[str, dict[str, Build]] = {
        "dot": dict(dot_ideas.IDEAS),
        "quantizer": dict(quantizer_ideas.IDEAS),
        "weight_dequantizer": dict(weight_ideas.IDEAS),
    }
    return {f"idea_{name}": build for name, build in ideas.get(unit, {}).items()}
