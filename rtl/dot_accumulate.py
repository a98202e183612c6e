"""Accumulation over blocks, in three modes behind one interface."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.gen.config import FP32, DotConfig
from amxfp4.rtl.dot_fp32 import Fp32Adder, Fp32ToBf16, RoundedD
from amxfp4.rtl.dot_sums import balanced_sum
from amxfp4.rtl.dot_terms import TermAligner, Terms
from amxfp4.rtl.dot_widths import DotWidths
from amxfp4.rtl.rounding import RoundToFloat

__all__ = ["Addend", "Adder", "ResultWord", "addend_layout", "sum_layout"]

_ROOM = 3
"""Bits above a fixed accumulator in which four terms and the sum so far add up without loss."""


def sum_layout(config: DotConfig) -> data.StructLayout:
    """State of an accumulation: the sum, whether a block was NaN, and the flags."""
    widths = DotWidths(config)
    return data.StructLayout({"sum": widths.accumulator, "is_nan": 1, "inexact": 1, "overflow": 1})


def addend_layout(config: DotConfig) -> data.StructLayout:
    """Layout of what a block adds to the state."""
    widths = DotWidths(config)
    if config.acc == "fp32":
        value = Shape(FP32.width)
    elif config.acc == "exact":
        value = widths.d
    else:
        value = Shape(widths.accumulator.width + _ROOM, signed=True)
    return data.StructLayout({"value": value, "is_nan": 1, "inexact": 1, "overflow": 1})


class Addend(wiring.Component):
    """From the terms of a block to what it adds: D, D truncated, or D rounded. Combinational.

    - ``exact``: D.
    - ``fixed``: the sum of the terms, each without its magnitude's bits below 2^-F.
    - ``fp32``: RNE_fp32(D), as a word.

    Members
    -------
    terms : In(`Terms.layout`)
    addend : Out(`addend_layout`); a NaN block adds nothing and raises no flag
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._widths = DotWidths(config)
        super().__init__(
            {"terms": In(Terms.layout(self._widths)), "addend": Out(addend_layout(config))}
        )

    def elaborate(self, platform):
        m = Module()
        config, widths, addend = self._config, self._widths, self.addend
        m.d.comb += addend.is_nan.eq(self.terms.is_nan)
        if config.acc == "fp32":
            m.submodules.rounded = rounded = RoundedD(config)
            m.d.comb += [rounded.terms.eq(self.terms), addend.value.eq(rounded.word)]
            return m

        m.submodules.align = align = TermAligner(config)
        m.d.comb += align.terms.eq(self.terms)
        count = len(widths.classes)
        if config.acc == "exact":
            parts = [
                Mux(align.negative[c], -align.magnitudes[c], align.magnitudes[c])
                for c in range(count)
            ]
            # Amaranth's sum of four is wider than D, which has every lane in one class only.
            total = balanced_sum(m, parts, "part")
            with m.If(~self.terms.is_nan):
                m.d.comb += addend.value.eq(total[: len(addend.value)].as_signed())
            return m

        drop = -widths.unit - config.frac_bits
        limit = 1 << (config.int_bits + config.frac_bits)
        width = widths.accumulator.width
        parts, inexact, overflow = [], [], []
        for c in range(count):
            magnitude, negative = align.magnitudes[c], align.negative[c]
            kept = Signal(max(len(magnitude) - drop, 1), name=f"kept_{c}")
            if drop >= 0:
                m.d.comb += kept.eq(magnitude[drop:])
                inexact.append(magnitude[:drop].any())
            else:
                m.d.comb += kept.eq(Cat(C(0, -drop), magnitude))
            # The range is [-2^I, 2^I).
            overflow.append(Mux(negative, kept > limit, kept >= limit))
            low = Signal(width, name=f"low_{c}")
            m.d.comb += low.eq(kept[:width])
            parts.append(Mux(negative, -low, low))
        total = balanced_sum(m, parts, "part")
        with m.If(~self.terms.is_nan):
            m.d.comb += [
                addend.value.eq(total),
                addend.inexact.eq(Cat(inexact).any() if inexact else 0),
                addend.overflow.eq(Cat(overflow).any()),
            ]
        return m


class Adder(wiring.Component):
    """One step of an accumulation. Combinational: state and addend in, next state out.

    Members
    -------
    state : In(`sum_layout`); all zeros is the empty sum
    addend : In(`addend_layout`)
    following : Out(`sum_layout`)
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        layout = sum_layout(config)
        super().__init__(
            {"state": In(layout), "addend": In(addend_layout(config)), "following": Out(layout)}
        )

    def elaborate(self, platform):
        m = Module()
        state, addend, following = self.state, self.addend, self.following
        m.d.comb += following.is_nan.eq(state.is_nan | addend.is_nan)
        if self._config.acc == "fp32":
            m.submodules.add = adder = Fp32Adder()
            m.d.comb += [
                adder.a.eq(state.sum),
                adder.b.eq(addend.value),
                following.sum.eq(adder.sum),
            ]
            return m
        width = len(following.sum)
        total = state.sum + addend.value
        m.d.comb += following.sum.eq(total[:width].as_signed())
        if self._config.acc == "fixed":
            leaves = Signal()
            exact = Signal(total.shape(), name="total")
            m.d.comb += exact.eq(total)
            m.d.comb += leaves.eq(exact != exact[:width].as_signed())
            m.d.comb += [
                following.inexact.eq(state.inexact | addend.inexact),
                following.overflow.eq(state.overflow | addend.overflow | leaves),
            ]
        return m


class ResultWord(wiring.Component):
    """From the final state of an accumulation to the output word and flags. Combinational.

    Members
    -------
    state : In(`sum_layout`)
    word : Out(16 or 32)
    flags : Out(2 in ``fixed`` mode, else 0): inexact, overflow
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._widths = widths = DotWidths(config)
        super().__init__(
            {
                "state": In(sum_layout(config)),
                "word": Out(config.word.width),
                "flags": Out(widths.flags),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, widths = self._config, self._widths
        total = self.state.sum
        if config.acc == "fp32":
            # NaN is in the sum itself.
            if config.word.width == FP32.width:
                m.d.comb += self.word.eq(total)
            else:
                m.submodules.narrow = narrow = Fp32ToBf16()
                m.d.comb += [narrow.word.eq(total), self.word.eq(narrow.rounded)]
            return m
        unit = widths.unit if config.acc == "exact" else -config.frac_bits
        m.submodules.round = rounder = RoundToFloat(
            len(total) - 1, range(unit, unit + 1), config.word
        )
        m.d.comb += [
            rounder.number.eq(total),
            rounder.exponent.eq(unit),
            self.word.eq(rounder.word),
        ]
        with m.If(self.state.is_nan):
            m.d.comb += self.word.eq(config.word.nan_magnitude)
        if widths.flags:
            m.d.comb += self.flags.eq(Cat(self.state.inexact, self.state.overflow))
        return m
