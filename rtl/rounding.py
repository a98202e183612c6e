"""An exact number to a floating-point word, rounded once: the only rounding there is."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.gen.config import FloatFormat
from amxfp4.rtl.arith import assign_low

__all__ = ["RoundToFloat"]


class RoundToFloat(wiring.Component):
    """Round to nearest, ties to even, as IEEE 754 says. Combinational.

        word = RNE((-1)^negate * number * 2^exponent)

    Subnormal results are kept, overflow is infinity, a number of zero is +0.

    A negative number is not negated first, which would take an adder of its width: the magnitude
    is its complement and one more. Only the bits that reach the word are complemented. The one
    more passes through the ones that zeros become, so it arrives at the word when everything that
    was cut was zero.

    The leading one moves to the top, or as far as the smallest exponent allows. Each step halves
    what is left to go, and with it the bits that can still reach the word; of the others it only
    counts whether they are zero.

    Parameters
    ----------
    width
        Bits of the number without its sign.
    exponents
        Values that `exponent` can take; a single one costs nothing.
    fmt
        Format of the word.

    Members
    -------
    number : In(signed(width + 1))
    negate : In(1)
    exponent : In(exponents), of the number's lowest bit
    word : Out(width of fmt)
    """

    def __init__(self, width: int, exponents: range, fmt: FloatFormat) -> None:
        self._width, self._exponents, self._fmt = width, exponents, fmt
        super().__init__(
            {
                "number": In(Shape(width + 1, signed=True)),
                "negate": In(1),
                "exponent": In(exponents),
                "word": Out(fmt.width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fmt, exponents = self._fmt, self._exponents
        precision = fmt.mantissa_bits + 1
        window = precision + 1  # the significand and the guard bit
        lowest_normal = 1 - fmt.bias
        highest = (1 << fmt.exponent_bits) - 2 - fmt.bias

        # More copies of the sign, if all of the number may lie below the normal range; no more than
        # what puts it below the guard bit.
        above = max(lowest_normal - (min(exponents) + self._width - 1), 0)
        above = min(above, window + 1)
        # A complement of ones only is a magnitude of one: it stands in the first place below.
        below = max(1, window - above - self._width)
        sign = self.number[-1]
        bits: Value = Cat(C(0, below), self.number[:-1], sign.replicate(above))
        farthest = above + self._width
        has_limit = min(exponents) < lowest_normal
        exponent = C(exponents[0], range(-512, 512)) if len(exponents) == 1 else self.exponent
        top = farthest - 1  # exponent of the highest bit, less that of the lowest

        steps = bits_for(farthest)
        limit: Value = C(0, 0)
        if has_limit:
            limit = Signal(steps, name="limit")
            room = exponent + (top - lowest_normal)
            most = (1 << steps) - 1
            m.d.comb += limit.eq(Mux(room < 0, 0, Mux(room > most, most, room))[:steps])

        distance = Signal(steps)
        something: list[Value] = []
        for n in reversed(range(steps)):
            step = 1 << n
            moves = Signal(name=f"moves_{step}")
            head = bits[max(len(bits) - step, 0) :]
            is_clear = Mux(sign, head.all(), ~head.any())
            if has_limit:
                m.d.comb += moves.eq(is_clear & limit[n:].any())
                left = Signal(max(n, 1), name=f"limit_{step}")
                # As long as more than this step is allowed, all that follows is.
                m.d.comb += left.eq(self._left(limit, moves, n))
                limit = left
            else:
                m.d.comb += moves.eq(is_clear)
            m.d.comb += distance[n].eq(moves)
            moved = Cat(C(0, step), bits)[: len(bits)]
            keep = min(len(bits), window + step - 1)
            cut = len(bits) - keep
            stays = cut - min(step, cut)
            something += [bits[:stays].any(), ~moves & bits[stays:cut].any()]
            kept = Signal(keep, name=f"moved_{step}")
            m.d.comb += kept.eq(Mux(moves, moved[cut:], bits[cut:]))
            bits = kept

        guard, rest, round_up = Signal(), Signal(), Signal()
        significand = Signal(precision)
        m.d.comb += [
            Cat(guard, significand).eq(bits ^ sign.replicate(window)),
            rest.eq(Cat(something).any()),
        ]
        odd, arrives = significand[0], sign & ~rest
        m.d.comb += round_up.eq(Mux(rest, guard, (guard & (odd | arrives)) | (odd & arrives)))

        leading = Signal(range(min(exponents) - 1, max(exponents) + farthest), name="leading")
        # Zero has no leading one; its word does not come from here.
        m.d.comb += assign_low(leading, exponent + top - distance)
        # Rounding carries into the exponent's field as it should.
        field = Signal(fmt.exponent_bits)
        hidden = significand[-1]
        m.d.comb += field.eq((leading + fmt.bias)[: fmt.exponent_bits])
        biased = field & hidden.replicate(len(field)) if has_limit else field
        negative = sign ^ self.negate
        magnitude = Signal(fmt.width - 1)
        m.d.comb += magnitude.eq((Cat(significand[:-1], biased) + round_up)[: len(magnitude)])
        m.d.comb += self.word.eq(Cat(magnitude, negative))
        if max(exponents) + self._width > highest:
            with m.If(leading > highest):
                m.d.comb += self.word.eq(Cat(C(fmt.inf_magnitude, fmt.width - 1), negative))
        is_zero = self.number == 0 if has_limit else ~hidden
        with m.If(is_zero):
            m.d.comb += self.word.eq(0)
        return m

    @staticmethod
    def _left(limit: Value, moves: Value, n: int) -> Value:
        """Keep what of the limit is left behind step 2^n, as far as following steps can tell."""
        most = (1 << n) - 1
        high = limit[n:]
        # More than this step allowed: all of the following are, whether or not this one was taken.
        stays = Mux(high.any() & ~moves, most, limit[:n])
        return Mux(high[1:].any(), most, stays) if len(high) > 1 else stays
