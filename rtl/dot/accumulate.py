"""Accumulation over blocks, in three modes behind one interface."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FP32, FloatFormat
from amxfp4.rtl.dot.fp32 import Fp32Adder, Fp32ToBf16, RoundedD
from amxfp4.rtl.dot.terms import TermAligner, Terms
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.rtl.lib.arith import assign_low, balanced_sum
from amxfp4.rtl.lib.rounding import Normaliser, Rounder

__all__ = [
    "Addend",
    "Adder",
    "ResultWord",
    "SumNormaliser",
    "addend_layout",
    "normalised_layout",
    "sum_layout",
]

_ROOM = 3
"""Bits above a fixed accumulator in which four terms and the sum so far add up without loss."""


def sum_layout(config: DotConfig) -> data.StructLayout:
    """State of an accumulation: the sum, whether a block was NaN, and the flags.

    While a block's terms are added one by one, a fixed sum may leave its range and come back.
    """
    widths = DotWidths(config)
    total = widths.accumulator
    if config.acc == "fixed" and widths.serial:
        total = Shape(total.width + _ROOM, signed=True)
    return data.StructLayout({"sum": total, "is_nan": 1, "inexact": 1, "overflow": 1})


def addend_layout(config: DotConfig) -> data.StructLayout:
    """Layout of what a block, or one term of it, adds to the state: value and carry."""
    widths = DotWidths(config)
    if config.acc == "fp32":
        value = Shape(FP32.width)
    elif config.acc == "exact":
        value = widths.d
    else:
        value = Shape(widths.accumulator.width + _ROOM, signed=True)
    serial = int(widths.serial)
    return data.StructLayout(
        {
            "value": value,
            "carry": serial,
            "is_nan": 1,
            "inexact": 1,
            "overflow": 1,
            "ends_block": serial,
        }
    )


class Addend(wiring.Component):
    """From the terms of a block to what it adds: D, D truncated, or D rounded. Combinational.

    - ``exact``: D.
    - ``fixed``: the sum of the terms, each without its magnitude's bits below 2^-F.
    - ``fp32``: RNE_fp32(D), as a word.

    Where terms come one by one, each adds itself; a negative one as its complement and a carry.

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

        exact = config.acc == "exact"
        drop = 0 if exact else -widths.unit - config.frac_bits
        # Up to the bit that only the lower end of the range, -2^I, may have.
        wanted = None if exact else config.int_bits + 1 - widths.unit
        m.submodules.align = align = TermAligner(config, wanted)
        m.d.comb += align.terms.eq(self.terms)
        magnitudes, inexact, overflow = [], [], []
        for n in range(len(widths.slots)):
            magnitude = align.magnitudes[n]
            if exact:
                magnitudes.append(magnitude)
                continue
            kept = Cat(C(0, max(-drop, 0)), magnitude[max(drop, 0) :])
            magnitudes.append(kept)
            inexact.append(magnitude[: max(drop, 0)].any())
            at_limit, above = kept[-1], kept[:-1].any()
            # The range is [-2^I, 2^I).
            overflow.append(align.too_large[n] | (at_limit & (~align.negative[n] | above)))

        with m.If(~self.terms.is_nan):
            if widths.serial:
                negative, width = align.negative[0], len(addend.value)
                extended = Cat(magnitudes[0], C(0, width - len(magnitudes[0])))
                m.d.comb += [
                    addend.value.eq((extended ^ negative.replicate(width)).as_signed()),
                    addend.carry.eq(negative),
                ]
            else:
                parts = [
                    Mux(align.negative[n], -magnitude, magnitude)
                    for n, magnitude in enumerate(magnitudes)
                ]
                # Every lane is in one class, so that D is shorter than a sum of four; a fixed sum
                # wraps, and has room for all of them.
                m.d.comb += assign_low(addend.value, balanced_sum(m, parts, "part"))
            if not exact:
                m.d.comb += [
                    addend.inexact.eq(Cat(inexact).any()),
                    addend.overflow.eq(Cat(overflow).any()),
                ]
        if widths.serial:
            m.d.comb += addend.ends_block.eq(self.terms.ends_block)
        return m


class Adder(wiring.Component):
    """One step of an accumulation. Combinational: state and addend in, next state out.

    Members
    -------
    state : In(`sum_layout`); all zeros is the empty sum
    addend : In(`addend_layout`)
    next_state : Out(`sum_layout`)
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        layout = sum_layout(config)
        super().__init__(
            {"state": In(layout), "addend": In(addend_layout(config)), "next_state": Out(layout)}
        )

    def elaborate(self, platform):
        m = Module()
        state, addend, next_state = self.state, self.addend, self.next_state
        m.d.comb += next_state.is_nan.eq(state.is_nan | addend.is_nan)
        if self._config.acc == "fp32":
            m.submodules.add = adder = Fp32Adder()
            m.d.comb += [
                adder.a.eq(state.sum),
                adder.b.eq(addend.value),
                next_state.sum.eq(adder.sum),
            ]
            return m
        widths = DotWidths(self._config)
        total = state.sum + addend.value
        ends_block = C(1, 1)
        if widths.serial:
            total, ends_block = total + addend.carry, addend.ends_block
        # An exact sum, of a part of a block's terms too, never leaves the accumulator.
        m.d.comb += assign_low(next_state.sum, total)
        if self._config.acc == "fixed":
            whole = Signal(total.shape(), name="total")
            wrapped = whole[: widths.accumulator.width].as_signed()
            leaves = Signal()
            m.d.comb += [whole.eq(total), leaves.eq(ends_block & (whole != wrapped))]
            with m.If(ends_block):
                m.d.comb += next_state.sum.eq(wrapped)
            m.d.comb += [
                next_state.inexact.eq(state.inexact | addend.inexact),
                next_state.overflow.eq(state.overflow | addend.overflow | leaves),
            ]
        return m


def normalised_layout(config: DotConfig) -> data.StructLayout:
    """Layout of a finished sum on its way to the word, whose leading one is near the top."""
    widths = DotWidths(config)
    number = FP32.width if config.acc == "fp32" else Normaliser.layout(*_rounding(config))
    return data.StructLayout(
        # In fp32 mode NaN is in the sum itself.
        {"number": number, "is_nan": int(config.acc != "fp32"), "flags": widths.flags}
    )


def _rounding(config: DotConfig) -> tuple[int, range, FloatFormat]:
    """Width, exponents and format for the rounding of a finished sum."""
    widths = DotWidths(config)
    unit = widths.unit if config.frac_bits is None else -config.frac_bits
    return widths.accumulator.width - 1, range(unit, unit + 1), config.word


class SumNormaliser(wiring.Component):
    """Bring the leading one of a finished sum near the top. Combinational.

    In fp32 mode the sum is normalised as it is.

    Members
    -------
    state : In(`sum_layout`)
    normalised : Out(`normalised_layout`)
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        super().__init__(
            {"state": In(sum_layout(config)), "normalised": Out(normalised_layout(config))}
        )

    def elaborate(self, platform):
        m = Module()
        state, normalised = self.state, self.normalised
        # Behind a whole block a fixed sum is in its range, whatever room it had.
        total = state.sum[: DotWidths(self._config).accumulator.width]
        if self._config.acc == "fp32":
            m.d.comb += normalised.number.eq(total)
            return m
        m.submodules.normalise = normalise = Normaliser(*_rounding(self._config))
        m.d.comb += [
            normalise.number.eq(total.as_signed()),
            normalised.number.eq(normalise.normalised),
            normalised.is_nan.eq(state.is_nan),
        ]
        if self._config.acc == "fixed":
            m.d.comb += normalised.flags.eq(Cat(state.inexact, state.overflow))
        return m


class ResultWord(wiring.Component):
    """From a normalised sum to the output word and flags. Combinational.

    Members
    -------
    normalised : In(`normalised_layout`)
    word : Out(16 or 32)
    flags : Out(2 in ``fixed`` mode, else 0): inexact, overflow
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        super().__init__(
            {
                "normalised": In(normalised_layout(config)),
                "word": Out(config.word.width),
                "flags": Out(DotWidths(config).flags),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, normalised = self._config, self.normalised
        if config.acc == "fp32":
            if config.word.width == FP32.width:
                m.d.comb += self.word.eq(normalised.number)
            else:
                m.submodules.narrow = narrow = Fp32ToBf16()
                m.d.comb += [narrow.word.eq(normalised.number), self.word.eq(narrow.rounded)]
            return m
        m.submodules.round = rounder = Rounder(*_rounding(config))
        m.d.comb += [
            rounder.normalised.eq(normalised.number),
            self.word.eq(rounder.word),
            self.flags.eq(normalised.flags),
        ]
        with m.If(normalised.is_nan):
            m.d.comb += self.word.eq(config.word.nan_magnitude)
        return m
