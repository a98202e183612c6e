"""An exact number to a floating-point word, rounded once: the only rounding there is."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.gen.config import FloatFormat
from amxfp4.rtl.arith import assign_low

__all__ = ["RoundToFloat"]


class RoundToFloat(wiring.Component):
    """Round to nearest, ties to even, as IEEE 754 says. Combinational.

        word = RNE((-1)^sign * magnitude * 2^exponent)

    Subnormal results are kept, overflow is infinity, zero is +0.

    Parameters
    ----------
    width
        Bits of the magnitude.
    exponents
        Values that `exponent` can take; a single one costs nothing.
    fmt
        Format of the word.

    Members
    -------
    sign : In(1)
    magnitude : In(width)
    exponent : In(exponents), of the magnitude's lowest bit
    word : Out(width of fmt)
    """

    def __init__(self, width: int, exponents: range, fmt: FloatFormat) -> None:
        self._width, self._exponents, self._fmt = width, exponents, fmt
        super().__init__(
            {
                "sign": In(1),
                "magnitude": In(width),
                "exponent": In(exponents),
                "word": Out(fmt.width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fmt, exponents = self._fmt, self._exponents
        precision = fmt.mantissa_bits + 1
        lowest_normal = 1 - fmt.bias
        highest = (1 << fmt.exponent_bits) - 2 - fmt.bias

        # Room for the guard bit and one more below the significand.
        width = max(self._width, precision + 2)
        padding = width - self._width
        normalised: Value = Cat(C(0, padding), self.magnitude)
        exponent: Value = self.exponent - padding + (width - 1)
        if len(exponents) == 1:
            exponent = C(exponents[0] - padding + width - 1, range(-512, 1024))

        # Move the leading one to the top, halving the distance each time.
        distance = Signal(range(width))
        for n in reversed(range((width - 1).bit_length())):
            step = 1 << n
            is_clear = Signal(name=f"clear_{step}")
            m.d.comb += is_clear.eq(~normalised[-step:].any())
            m.d.comb += distance[n].eq(is_clear)
            moved = Signal(width, name=f"normalised_{step}")
            m.d.comb += moved.eq(
                Mux(is_clear, Cat(C(0, step), normalised[: width - step]), normalised)
            )
            normalised = moved
        leading = Signal(
            range(min(exponents) - padding - 1, max(exponents) + width + 1), name="leading"
        )
        # Zero has no leading one; its word does not come from here.
        m.d.comb += assign_low(leading, exponent - distance)

        # Below the normal range the significand moves down again, and rounds where it then ends.
        sticky = C(0, 1)
        lowest = min(exponents)
        if lowest < lowest_normal:
            most = precision + 1
            down = Signal(range(most + 1))
            missing = lowest_normal - leading
            m.d.comb += down.eq(
                Mux(leading >= lowest_normal, 0, Mux(missing > most, most, missing))[: len(down)]
            )
            fallen = Signal(width, name="subnormal")
            lost = Signal(width, name="lost")
            m.d.comb += fallen.eq(normalised >> down)
            mask = ((C(1, 1) << down) - 1)[:width]
            m.d.comb += lost.eq(normalised & mask)
            sticky = lost.any()
            normalised = fallen

        significand = normalised[-precision:]
        guard = normalised[-precision - 1]
        rest = normalised[: -precision - 1].any() | sticky
        round_up = Signal()
        m.d.comb += round_up.eq(guard & (rest | significand[0]))

        # The hidden bit carries into the exponent's field, and so may the rounding.
        field = Signal(fmt.exponent_bits)
        clamped = (
            Mux(leading < lowest_normal, lowest_normal, leading)
            if lowest < lowest_normal
            else leading
        )
        m.d.comb += field.eq((clamped + (fmt.bias - 1))[: fmt.exponent_bits])
        magnitude = Signal(fmt.width - 1)
        m.d.comb += magnitude.eq(
            (Cat(C(0, fmt.mantissa_bits), field) + significand + round_up)[: len(magnitude)]
        )
        m.d.comb += self.word.eq(Cat(magnitude, self.sign))
        if max(exponents) + self._width - 1 > highest:
            with m.If(leading > highest):
                m.d.comb += self.word.eq(Cat(C(fmt.inf_magnitude, fmt.width - 1), self.sign))
        with m.If(self.magnitude == 0):
            m.d.comb += self.word.eq(0)
        return m
