"""An exact number to a floating-point word, rounded once: the only rounding there is."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.params.formats import FloatFormat
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["Normaliser", "RoundToFloat", "Rounder"]

_LAST_STEPS = 4
"""Steps of normalising that are left to the rounder: on FPGAs both halves then take as long."""


@dataclass(frozen=True)
class _Plan:
    """What normalising and rounding have to agree on."""

    width: int
    exponents: range
    fmt: FloatFormat

    @property
    def window(self) -> int:
        """Bits that reach the word: the significand and the guard bit."""
        return self.fmt.mantissa_bits + 2

    @property
    def lowest_normal(self) -> int:
        """Exponent of the smallest normal word."""
        return 1 - self.fmt.bias

    @property
    def has_limit(self) -> bool:
        """Whether words may be subnormal: then the leading one moves only so far."""
        return min(self.exponents) < self.lowest_normal

    @property
    def above(self) -> int:
        """Copies of the sign above the number.

        As many as it may lie below the normal range; no more than put it below the guard bit.
        """
        lowest_top = min(self.exponents) + self.width - 1
        return min(max(self.lowest_normal - lowest_top, 0), self.window + 1)

    @property
    def below(self) -> int:
        """Zeros below the number.

        At least one: a complement of ones only is a magnitude of one, which stands there.
        """
        return max(1, self.window - self.above - self.width)

    @property
    def farthest(self) -> int:
        """Most places to move."""
        return self.above + self.width

    @property
    def top(self) -> int:
        """Exponent of the highest bit, less that of the number's lowest."""
        return self.farthest - 1

    @property
    def steps(self) -> int:
        """Steps of normalising: by 2^(steps - 1) places first, by one last."""
        return bits_for(self.farthest)

    @property
    def last(self) -> int:
        """Steps that are left to the rounder."""
        return min(_LAST_STEPS, self.steps)

    def kept(self, bits: int, step: int) -> int:
        """Bits out of `bits` that can still reach the word when a step of 2^step is done."""
        return min(bits, self.window + (1 << step) - 1)

    @property
    def layout(self) -> data.StructLayout:
        """Layout of what the normaliser leaves to the rounder."""
        bits = self.below + self.width + self.above
        for step in reversed(range(self.last, self.steps)):
            bits = self.kept(bits, step)
        return data.StructLayout(
            {
                # The number's leading bits without its sign, moved, and what was cut off below.
                "bits": bits,
                "rest": 1,
                "sign": 1,
                "negate": 1,
                "is_zero": int(self.has_limit),
                # Places moved, and that may still be, where there is a limit.
                "distance": self.steps - self.last,
                "limit": self.last * self.has_limit,
                "exponent": Shape.cast(self.exponents) if len(self.exponents) > 1 else 0,
            }
        )


class _Moving:
    """A number on its way to the top."""

    def __init__(self, plan: _Plan, bits: Value, sign: Value, limit: Value) -> None:
        self._plan, self._sign = plan, sign
        self.bits, self.limit = bits, limit
        self.rest: list[Value] = []
        """Bits of which any that is 1 says that something was cut off."""
        self.distance: list[Value] = []
        """Places moved, from the lowest bit."""

    def step(self, m: Module, n: int) -> None:
        """Move by 2^n places if all of them are clear, and cut what cannot reach the word then."""
        plan, bits, step = self._plan, self.bits, 1 << n
        moves = Signal(name=f"moves_{step}")
        head = bits[max(len(bits) - step, 0) :]
        is_clear = Mux(self._sign, head.all(), ~head.any())
        if plan.has_limit:
            m.d.comb += moves.eq(is_clear & self.limit[n:].any())
            left = Signal(n, name=f"limit_{step}")
            # As long as more than this step is allowed, all that follows is.
            m.d.comb += left.eq(self._left(moves, n))
            self.limit = left
        else:
            m.d.comb += moves.eq(is_clear)
        self.distance.insert(0, moves)
        moved = Cat(C(0, step), bits)[: len(bits)]
        keep = plan.kept(len(bits), n)
        cut = len(bits) - keep
        stays = cut - min(step, cut)
        self.rest += [bits[:stays].any(), ~moves & bits[stays:cut].any()]
        kept = Signal(keep, name=f"moved_{step}")
        m.d.comb += kept.eq(Mux(moves, moved[cut:], bits[cut:]))
        self.bits = kept

    def _left(self, moves: Value, n: int) -> Value:
        """Keep what of the limit is left behind step 2^n, as far as later steps can see."""
        if n == 0:
            return C(0, 0)
        most = (1 << n) - 1
        high = self.limit[n:]
        # More than this step allowed: all of the later ones are, whether or not this one was taken.
        stays = Mux(high.any() & ~moves, most, self.limit[:n])
        return Mux(high[1:].any(), most, stays) if len(high) > 1 else stays


class Normaliser(wiring.Component):
    """Move the leading one of a number near the top: within 15 places. Combinational.

    The first half of `RoundToFloat`, whose parameters and inputs it has. It goes that far or as far
    as the smallest exponent allows. Each step halves what is left to go, and with it the bits that
    can still reach the word; of the others it only counts whether they are zero.

    Members
    -------
    number, negate, exponent : In, as `RoundToFloat`
    normalised : Out(`layout`)
    """

    def __init__(self, width: int, exponents: range, fmt: FloatFormat) -> None:
        self._plan = _Plan(width, exponents, fmt)
        super().__init__(
            {
                "number": In(Shape(width + 1, signed=True)),
                "negate": In(1),
                "exponent": In(exponents),
                "normalised": Out(self._plan.layout),
            }
        )

    @staticmethod
    def layout(width: int, exponents: range, fmt: FloatFormat) -> data.StructLayout:
        """Layout of what leaves this half."""
        return _Plan(width, exponents, fmt).layout

    def elaborate(self, platform):
        m = Module()
        plan, normalised = self._plan, self.normalised
        sign = self.number[-1]
        limit: Value = C(0, 0)
        if plan.has_limit:
            limit = Signal(plan.steps, name="limit")
            room = self.exponent + (plan.top - plan.lowest_normal)
            if len(plan.exponents) == 1:
                room = C(plan.exponents[0] + plan.top - plan.lowest_normal, range(-512, 512))
            most = (1 << plan.steps) - 1
            m.d.comb += limit.eq(Mux(room < 0, 0, Mux(room > most, most, room))[: plan.steps])
        bits = Cat(C(0, plan.below), self.number[:-1], sign.replicate(plan.above))
        moving = _Moving(plan, bits, sign, limit)
        for n in reversed(range(plan.last, plan.steps)):
            moving.step(m, n)
        m.d.comb += [
            normalised.bits.eq(moving.bits),
            normalised.rest.eq(Cat(moving.rest).any()),
            normalised.sign.eq(sign),
            normalised.negate.eq(self.negate),
            normalised.distance.eq(Cat(moving.distance)),
        ]
        if plan.has_limit:
            m.d.comb += [
                normalised.is_zero.eq(self.number == 0),
                normalised.limit.eq(moving.limit),
            ]
        if len(plan.exponents) > 1:
            m.d.comb += normalised.exponent.eq(self.exponent)
        return m


class Rounder(wiring.Component):
    """The last steps of normalising, and the word. Combinational.

    The second half of `RoundToFloat`, whose parameters it has.

    A negative number was not negated, which would take an adder of its width: the magnitude is its
    complement and one more. Only the bits that reach the word are complemented. The one more passes
    through the ones that zeros become, so it arrives at the word when everything that was cut was
    zero.

    Members
    -------
    normalised : In(`Normaliser.layout`)
    word : Out(width of fmt)
    """

    def __init__(self, width: int, exponents: range, fmt: FloatFormat) -> None:
        self._plan = _Plan(width, exponents, fmt)
        super().__init__({"normalised": In(self._plan.layout), "word": Out(fmt.width)})

    def elaborate(self, platform):
        m = Module()
        plan, fmt = self._plan, self._plan.fmt
        exponents, source = plan.exponents, self.normalised
        sign = source.sign
        moving = _Moving(plan, source.bits, sign, source.limit)
        for n in reversed(range(plan.last)):
            moving.step(m, n)
        distance = Cat(moving.distance, source.distance)
        exponent = C(exponents[0], range(-512, 512)) if len(exponents) == 1 else source.exponent

        guard = Signal()
        rest = Signal()
        round_up = Signal()
        significand = Signal(fmt.mantissa_bits + 1)
        m.d.comb += [
            Cat(guard, significand).eq(moving.bits ^ sign.replicate(plan.window)),
            rest.eq(source.rest | Cat(moving.rest).any()),
        ]
        odd, arrives = significand[0], sign & ~rest
        m.d.comb += round_up.eq(Mux(rest, guard, (guard & (odd | arrives)) | (odd & arrives)))

        leading = Signal(range(min(exponents) - 1, max(exponents) + plan.farthest), name="leading")
        # Zero has no leading one; its word does not come from here.
        m.d.comb += assign_low(leading, exponent + plan.top - distance)
        # Rounding carries into the exponent's field as it should.
        field = Signal(fmt.exponent_bits)
        hidden = significand[-1]
        m.d.comb += field.eq((leading + fmt.bias)[: fmt.exponent_bits])
        biased = field & hidden.replicate(len(field)) if plan.has_limit else field
        negative = sign ^ source.negate
        magnitude = Signal(fmt.width - 1)
        m.d.comb += magnitude.eq((Cat(significand[:-1], biased) + round_up)[: len(magnitude)])
        m.d.comb += self.word.eq(Cat(magnitude, negative))
        highest = (1 << fmt.exponent_bits) - 2 - fmt.bias
        if max(exponents) + plan.width > highest:
            with m.If(leading > highest):
                m.d.comb += self.word.eq(Cat(C(fmt.inf_magnitude, fmt.width - 1), negative))
        is_zero = source.is_zero if plan.has_limit else ~hidden
        with m.If(is_zero):
            m.d.comb += self.word.eq(0)
        return m


class RoundToFloat(wiring.Component):
    """Round to nearest, ties to even, as IEEE 754 says. Combinational.

        word = RNE((-1)^negate * number * 2^exponent)

    Subnormal results are kept, overflow is infinity, a number of zero is +0.

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
        self._what = (width, exponents, fmt)
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
        m.submodules.normalise = normalise = Normaliser(*self._what)
        m.submodules.round = rounder = Rounder(*self._what)
        m.d.comb += [
            normalise.number.eq(self.number),
            normalise.negate.eq(self.negate),
            normalise.exponent.eq(self.exponent),
            rounder.normalised.eq(normalise.normalised),
            self.word.eq(rounder.word),
        ]
        return m
