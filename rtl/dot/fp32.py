"""FP32 accumulation: D rounded to FP32, and the FP32 addition."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FP32
from amxfp4.rtl.dot.terms import TermAligner, Terms
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.rtl.lib.arith import assign_low, balanced_sum, shift_right
from amxfp4.rtl.lib.rounding import RoundToFloat

__all__ = ["Fp32Adder", "Fp32ToBf16", "RoundedD"]


class RoundedD(wiring.Component):
    """D of a block, exact, rounded once to FP32. Combinational.

        d = RNE_fp32(sum over classes of term_c * 2^(shift_c + unit))

    The terms' exponents may lie hundreds of places apart when a scale is a power of two, far more
    than FP32 can show. A gap between two neighbouring terms is therefore cut to a length at which
    the lower one can only decide the rounding of the upper one, and not even that changes with
    the length; where the upper terms cancel, the true exponent of the rest is put back.

    Members
    -------
    terms : In(`Terms.layout`)
    word : Out(32)
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._widths = widths = DotWidths(config)
        super().__init__({"terms": In(Terms.layout(widths)), "word": Out(FP32.width)})

    def elaborate(self, platform):
        m = Module()
        widths = self._widths
        if len(widths.classes) == 1:
            total, exponent, exponents = self._single(m)
        elif not widths.power_of_two:
            total, exponent, exponents = self._aligned(m)
        else:
            total, exponent, exponents = self._compressed(m)
        m.submodules.round = rounder = RoundToFloat(len(total) - 1, exponents, FP32)
        m.d.comb += [
            rounder.number.eq(total),
            # Exponents are those of scales; the sums' shapes are a little wider.
            assign_low(rounder.exponent, exponent),
            self.word.eq(rounder.word),
        ]
        with m.If(self.terms.is_nan):
            m.d.comb += self.word.eq(FP32.nan_magnitude)
        return m

    def _single(self, m: Module):
        """One term: nothing to align."""
        widths = self._widths
        shift = self.terms.shifts_a[0] + self.terms.shifts_b[0]
        exponents = range(widths.unit, widths.unit + len(widths.term_shift))
        return self.terms.terms[0], shift + widths.unit, exponents

    def _aligned(self, m: Module):
        """Terms that are near enough to be aligned in full."""
        widths = self._widths
        m.submodules.align = align = TermAligner(self._config)
        m.d.comb += align.terms.eq(self.terms)
        parts = [
            Mux(align.negative[c], -align.magnitudes[c], align.magnitudes[c])
            for c in range(len(widths.classes))
        ]
        total = Signal(widths.d)
        # Every lane is in one class, so the sum is no longer than D.
        m.d.comb += assign_low(total, balanced_sum(m, parts, "part"))
        return total, C(widths.unit, range(widths.unit, 1)), range(widths.unit, widths.unit + 1)

    def _compressed(self, m: Module):
        """Terms in order of exponent, with long gaps between them cut."""
        widths, terms = self._widths, self.terms
        # The rest below a gap stays under 2^-27 of the unit of what is above: less than half of
        # FP32's last place, even if what is above is a power of two and the rest is subtracted.
        longest = widths.term.width + 2 + 28

        # Each operand's scales: the lower shift, how far the other is above it, and which it is.
        lows, distances, highs = [], [], []
        for name, shifts in (("a", terms.shifts_a), ("b", terms.shifts_b)):
            first, second = shifts[0], shifts[len(shifts) - 1]
            second_is_high = Signal(name=f"second_is_high_{name}")
            low, distance = (Signal.like(first, name=f"{n}_{name}") for n in ("low", "distance"))
            m.d.comb += [
                second_is_high.eq(second > first),
                low.eq(Mux(second_is_high, first, second)),
                distance.eq(Mux(second_is_high, second - first, first - second)[: len(distance)]),
            ]
            lows.append(low)
            distances.append(distance)
            highs.append(lambda n, second=second_is_high: second if n else ~second)

        # Exponents above the lowest are 0, the smaller distance, the larger one, and their sum.
        a_is_more = Signal()
        smaller = Signal.like(max(distances, key=len))
        larger = Signal.like(smaller)
        m.d.comb += [
            a_is_more.eq(distances[0] > distances[1]),
            smaller.eq(Mux(a_is_more, distances[1], distances[0])),
            larger.eq(Mux(a_is_more, distances[0], distances[1])),
        ]
        gaps = {}
        for name, gap in (("outer", smaller), ("middle", larger - smaller)):
            true = Signal(len(larger), name=name)
            cut = Signal(range(longest + 1), name=f"{name}_cut")
            m.d.comb += true.eq(gap[: len(larger)])
            m.d.comb += cut.eq(Mux(true > longest, longest, true)[: len(cut)])
            gaps[name] = (true, cut)
        outer, middle = gaps["outer"][1], gaps["middle"][1]
        levels = []
        for n, value in enumerate((outer, outer + middle, outer + middle + outer), start=1):
            level = Signal(range(3 * longest + 1), name=f"level_{n}")
            m.d.comb += assign_low(level, value)  # three cut gaps at most
            levels.append(level)

        parts = []
        for c, (i, j) in enumerate(widths.classes):
            in_a = highs[0](i) if widths.rows[0].asymmetric else C(0, 1)
            in_b = highs[1](j) if widths.rows[1].asymmetric else C(0, 1)
            shift = Signal.like(levels[0], name=f"shift_{c}")
            one = Mux(in_a == a_is_more, levels[1], levels[0])
            m.d.comb += shift.eq(Mux(in_a & in_b, levels[2], Mux(in_a | in_b, one, 0)))
            width = 3 * longest + widths.term_bound.bit_length() + 1
            shifted = Signal(Shape(width, signed=True), name=f"part_{c}")
            negate = widths.one_sign and widths.is_negative(c)
            term = -terms.terms[c] if negate else terms.terms[c]
            # No level is higher than three cut gaps.
            m.d.comb += assign_low(shifted, term << shift)
            parts.append(shifted)
        total = balanced_sum(m, parts, "part")

        # The exponent of the lowest bit is higher for what lies above a gap that was cut. A number
        # reaches above a place where its bits from there on are not all equal to its sign.
        plain = total.as_unsigned() ^ total[-1].replicate(len(total))
        exponent: Value = lows[0] + lows[1] + widths.unit
        for name, level in zip(("outer", "middle", "outer"), levels, strict=True):
            true, cut = gaps[name]
            reaches = (plain >> (level - 2)[: len(level)]).any()
            exponent = exponent + Mux((true > longest) & reaches, true - cut, 0)
        return total, exponent, range(widths.unit, widths.unit + len(widths.term_shift))


class Fp32Adder(wiring.Component):
    """IEEE 754 addition of two FP32 words, to nearest, ties to even. Combinational.

    Subnormals are kept. A NaN operand, or infinity less infinity, gives 0x7FC00000; a sum of
    exactly zero is +0.

    Members
    -------
    a, b : In(32)
    sum : Out(32)
    """

    def __init__(self) -> None:
        super().__init__({"a": In(32), "b": In(32), "sum": Out(32)})

    def elaborate(self, platform):
        m = Module()
        man = FP32.mantissa_bits

        # The larger magnitude first.
        swap = Signal()
        x = Signal(32)
        y = Signal(32)
        m.d.comb += [
            swap.eq(self.b[:-1] > self.a[:-1]),
            x.eq(Mux(swap, self.b, self.a)),
            y.eq(Mux(swap, self.a, self.b)),
        ]
        significands, exponents = [], []
        for name, word in (("x", x), ("y", y)):
            field = word[man:-1]
            significand = Signal(man + 1, name=f"sig_{name}")
            exponent = Signal(8, name=f"exp_{name}")
            m.d.comb += significand.eq(Cat(word[:man], field != 0))
            m.d.comb += exponent.eq(Mux(field == 0, 1, field))
            significands.append(significand)
            exponents.append(exponent)

        # Two guard bits and a sticky one are enough to round a sum or a difference correctly.
        guards = 3
        width = man + 1 + guards
        distance = Signal(8)
        m.d.comb += distance.eq((exponents[0] - exponents[1])[:8])
        aligned, lost = shift_right(
            m, Cat(C(0, guards - 1), significands[1]), distance[:5], "aligned"
        )
        # Five bits of the distance move everything out of sight.
        is_far = distance[5:].any()
        smaller = Signal(width)
        m.d.comb += smaller.eq(Mux(is_far, significands[1].any(), Cat(lost, aligned)))
        larger = Cat(C(0, guards), significands[0])
        # A difference of magnitudes: complement and carry.
        subtract = x[-1] ^ y[-1]
        total = Signal(width + 1)
        m.d.comb += total.eq(
            (larger + (smaller ^ subtract.replicate(width)) + subtract)[: width + 1]
            & ~Cat(C(0, width), subtract)
        )

        lowest = 1 - FP32.bias - man - guards
        exponents_of_sum = range(lowest, lowest + (1 << FP32.exponent_bits) - 1)
        m.submodules.round = rounder = RoundToFloat(width + 1, exponents_of_sum, FP32)
        m.d.comb += [
            rounder.number.eq(total),
            rounder.negate.eq(x[-1]),
            # An operand's exponent is at least 1.
            assign_low(rounder.exponent, exponents[0] + (lowest - 1)),
            self.sum.eq(rounder.word),
        ]
        infinite = x[:-1] == FP32.inf_magnitude
        opposite = (y[:-1] == FP32.inf_magnitude) & (x[-1] ^ y[-1])
        with m.If(infinite):
            m.d.comb += self.sum.eq(x)
        with m.If((x[:-1] > FP32.inf_magnitude) | (infinite & opposite)):
            m.d.comb += self.sum.eq(FP32.nan_magnitude)
        return m


class Fp32ToBf16(wiring.Component):
    """Round an FP32 word to BF16, to nearest, ties to even. Combinational.

    The formats differ in fraction bits only, so rounding the bit pattern rounds the value, into
    the next binade and to infinity too.

    Members
    -------
    word : In(32)
    rounded : Out(16)
    """

    def __init__(self) -> None:
        super().__init__({"word": In(32), "rounded": Out(16)})

    def elaborate(self, platform):
        m = Module()
        kept, dropped = self.word[16:], self.word[:16]
        up = dropped[-1] & (dropped[:-1].any() | kept[0])
        m.d.comb += self.rounded.eq((kept + up)[:16])
        with m.If(self.word[:-1] > FP32.inf_magnitude):
            m.d.comb += self.rounded.eq(FP32.nan_magnitude >> 16)
        return m
