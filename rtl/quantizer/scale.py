"""From a block maximum to its scale: no divider, a few comparisons of one fraction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.formats import Ties
from amxfp4.rtl.lib.arith import assign_low, at_least, count_ones
from amxfp4.rtl.lib.formats import (
    Threshold,
    floor_log2,
    magnitude_value,
    scale_thresholds,
    significand,
)
from amxfp4.rtl.quantizer.key import KeyFormat

__all__ = ["ScaleChooser"]


@dataclass(frozen=True)
class _Binade:
    """The decisions within one exponent of a key, and how many lie below it."""

    exponent: int
    passed: int
    steps: tuple[Threshold, ...]

    @cached_property
    def pattern(self) -> tuple[tuple[Fraction, bool], ...]:
        """The fractions that decide, and how."""
        return tuple((t.fraction, t.strict) for t in self.steps)


def _longest_period(binades: list[_Binade]) -> list[_Binade]:
    """Find the longest run of binades that repeat each other, each that many codes further up."""
    longest: list[_Binade] = []
    run: list[_Binade] = []
    for binade in binades:
        repeats = (
            run
            and binade.pattern == run[-1].pattern
            and binade.passed == run[-1].passed + len(binade.steps)
        )
        run = [*run, binade] if repeats else [binade]
        if binade.steps and len(run) > len(longest):
            longest = run
    return longest


def _binades(keys: KeyFormat, decisions: list[Threshold]) -> list[_Binade]:
    """Decisions grouped by the exponent of the finite keys that meet them."""
    steps: dict[int, list[Threshold]] = defaultdict(list)
    for step in decisions:
        steps[step.exponent + keys.bias].append(step)
    passed = sum(len(below) for exponent, below in steps.items() if exponent < 1)
    binades = []
    for exponent in range(1, keys.top + 1):
        binades.append(_Binade(exponent, passed, tuple(steps[exponent])))
        passed += len(steps[exponent])
    return binades


class ScaleChooser(wiring.Component):
    """Scale of a block from its maximum m. Combinational.

        code = S(m): R(m / 6), or 2^(floor(log2 m) - 2)        (arXiv 2411.09909; OCP MX v1.0)

    m / 6 reaches a midpoint between two scales when m reaches six times it, and those products
    repeat from binade to binade: within one, a handful of constants decide; the exponent does the
    rest. Only the subnormal scales' binades have decisions of their own.

    Parameters
    ----------
    keys : KeyFormat
    held : int, optional
        In place of 6, where a format weighs two scales.

    Members
    -------
    maximum : In(`KeyFormat.maximum_layout`), the sum of both with a zero point
    nan : In(1), a NaN is in the block, whatever this maximum
    code : Out(8), scale code
    scale : Out(`KeyFormat.scale_layout`), the same scale for the element stage
    """

    def __init__(self, keys: KeyFormat, held: int | None = None) -> None:
        self._keys = keys
        self._steps = keys.scale_steps
        if held:
            config = keys.config
            self._steps = scale_thresholds(config.row, Ties(config.ties), held)
        super().__init__(
            {
                "maximum": In(keys.maximum_layout),
                "nan": In(1),
                "code": Out(keys.scale.width),
                "scale": Out(keys.scale_layout),
            }
        )

    def elaborate(self, platform):
        m = Module()
        keys, fmt = self._keys, self._keys.scale
        exponent, fraction = self.maximum.exponent, self.maximum.fraction

        def count(binade: _Binade):
            """How many of a binade's decisions the fraction passes."""
            return count_ones(
                [
                    at_least(fraction, keys.maximum_bits, t.fraction, strict=t.strict)
                    for t in binade.steps
                ]
            )

        binades = _binades(keys, self._steps)
        # The binades that repeat each other, and what lies around them.
        period = _longest_period(binades)
        first, last = period[0], period[-1]
        lowest = next(b for b in binades if b.steps)
        # Among the subnormal scales' binades, one may hold no decision at all.
        special = [b for b in binades if lowest.exponent <= b.exponent < first.exponent]
        special += [b for b in binades if b.steps and b.exponent > last.exponent]
        step = len(first.steps)
        finite_code = Signal(fmt.width)
        with m.If(exponent < lowest.exponent):
            m.d.comb += finite_code.eq(0)
        for binade in special:
            with m.Elif(exponent == binade.exponent):
                m.d.comb += assign_low(finite_code, binade.passed + count(binade))
        if last is not binades[-1]:
            with m.Elif(exponent > last.exponent):
                m.d.comb += finite_code.eq(fmt.max_magnitude)
        with m.Else():
            base = first.passed - step * first.exponent
            m.d.comb += finite_code.eq((exponent * step + count(first) + base)[: fmt.width])

        # No element, then NaN, which overrides all.
        no_element = exponent == 0
        m.d.comb += self.code.eq(finite_code)
        if not keys.infinity_is_nan:
            one = fmt.bias << fmt.mantissa_bits
            with m.If(self.maximum.as_value() == 0):
                m.d.comb += self.code.eq(one)
            no_element = finite_code == 0
        with m.If(self.nan):
            m.d.comb += self.code.eq(fmt.nan_magnitude)

        # The scale as the element stage takes it.
        man = finite_code[: fmt.mantissa_bits]
        field = finite_code[fmt.mantissa_bits :]
        m.d.comb += self.scale.fraction.eq(man)
        # Wraps where no element can follow; the kill below takes that case.
        bias = keys.bias + keys.element_steps[0].exponent
        rebias = bias - fmt.bias
        m.d.comb += self.scale.exponent.eq((field + rebias)[: len(self.scale.exponent)])
        if fmt.subnormals:
            with m.If(field == 0), m.Switch(man):
                for code in range(1, 1 << fmt.mantissa_bits):
                    value = magnitude_value(fmt, code)
                    normalised = int((significand(value) - 1) * (1 << fmt.mantissa_bits))
                    with m.Case(code):
                        m.d.comb += self.scale.exponent.eq(floor_log2(value) + bias)
                        m.d.comb += self.scale.fraction.eq(normalised)
        with m.If(self.nan | no_element):
            m.d.comb += self.scale.exponent.eq(keys.kill)
        return m
