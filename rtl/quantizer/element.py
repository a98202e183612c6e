"""From an element and its scale to its code: one subtraction of exponents, no division."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib.arith import at_least
from amxfp4.rtl.lib.formats import Threshold, significand
from amxfp4.rtl.quantizer.key import KeyFormat

__all__ = ["ElementQuantizer"]


class ElementQuantizer(wiring.Component):
    """Code of one element under the scale of its sign. Combinational.

        q = R_E2M1(|x| / s), code = (sign of x, q), 0x0 when q = 0      (arXiv 2411.09909)

    Of integers the code is +-q in two's complement, or z +- q within 0 to 15 with a zero point z.

    With x = X 2^a and s = S 2^b, the ratio is (X / S) 2^(a - b) with X / S in (1/2, 2). Comparing X
    with S normalises it; the decisions at 1.25, 1.5 and 1.75 times a power of two are comparisons
    of X with those constants times S. S has a few bits, so for each of its values they are
    comparisons with constants.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    key : In(`KeyFormat.layout`)
    scale : In(`KeyFormat.scale_layout`), that of the key's sign
    nan : In(1), a NaN is in the block
    zero : In(4), the zero point; only of formats that have one
    code : Out(4)
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        self._element = keys.config.row.element
        super().__init__(
            {
                "key": In(keys.layout),
                "scale": In(keys.scale_layout),
                "nan": In(1),
                "zero": In(self._element.width * keys.config.row.zero_point),
                "code": Out(self._element.width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        keys = self._keys
        fraction = self.key.magnitude.fraction
        steps = keys.element_steps

        # Significand of the ratio: is it in [1, 2) before normalising, and which decisions does it
        # pass? Decisions that differ by a power of two only share a comparison.
        normal = Signal()
        kinds = sorted({(significand(t.value), t.strict) for t in steps} - {(1, False)})
        passes = {kind: Signal(name=f"passes_{n}") for n, kind in enumerate(kinds)}
        with m.Switch(self.scale.fraction):
            for index, scale in enumerate(keys.scale_significands):

                def reaches(bound, strict=False):
                    """Whether X reaches `bound` (on the scale where 1 <= X < 2)."""
                    return at_least(fraction, keys.fraction_bits, bound - 1, strict=strict)

                # A power-of-two scale has no fraction, and a switch on nothing no cases.
                with m.Case(index) if len(self.scale.fraction) else m.Default():
                    m.d.comb += normal.eq(reaches(scale))
                    for (sig, strict), passed in passes.items():
                        above, below = (reaches(x, strict) for x in (sig * scale, sig * scale / 2))
                        m.d.comb += passed.eq(Mux(normal, above, below))

        # How far the ratio's exponent is above that of the first decision: a - b, less one if
        # X < S, as one addition with a carry in. A carry out says that it is not below.
        a, b = self.key.magnitude.exponent, self.scale.exponent
        difference = Signal(len(a) + 1)
        m.d.comb += difference.eq((a + ~b + normal)[: len(a) + 1])
        above, reached = difference[: keys.ratio_bits], difference[-1]

        largest = len(steps)
        q_inside = Signal(self._element.width - self._element.signed_bit)
        first, last = steps[0].exponent, steps[-1].exponent
        with m.Switch(above):
            for binade in range(first, last + 1):
                result: Value = C(sum(t.exponent < binade for t in steps), len(q_inside))
                for t in (t for t in steps if t.exponent == binade):
                    # In order: passing one means passing those before.
                    result = Mux(self._passed(t, passes), steps.index(t) + 1, result)
                with m.Case(binade - first):
                    m.d.comb += q_inside.eq(result)
            with m.Default():
                m.d.comb += q_inside.eq(largest)

        # Whether q is not zero, without waiting for q: the sign of -0 is dropped.
        kept = Signal()
        saturates = Signal()
        m.d.comb += kept.eq(reached)
        if keys.saturated is not None:
            m.d.comb += saturates.eq(a >= keys.saturated)
            with m.If(saturates):
                m.d.comb += kept.eq(~self.nan)
        exceeds = (above != 0) | self._passed(steps[0], passes) | saturates
        q = Signal.like(q_inside)
        with m.If(kept):
            m.d.comb += q.eq(Mux(saturates, largest, q_inside))
        sign = self.key.sign
        if keys.config.row.zero_point:
            # From z up to 15, or down as an addition of the complement: not below 0, as the zero
            # point is the q of the block's lowest element.
            total = Signal(len(q) + 1)
            ends = total[-1].replicate(len(q))
            m.d.comb += [
                total.eq((self.zero + (q ^ sign.replicate(len(q))) + sign)[: len(total)]),
                self.code.eq(Mux(sign, total[:-1], total[:-1] | ends)),
            ]
        elif self._element.twos_complement:
            flipped = Cat(q, C(0, 1)) ^ sign.replicate(len(self.code))
            m.d.comb += self.code.eq((flipped + sign)[: len(self.code)])
        else:
            m.d.comb += self.code.eq(Cat(q, sign & kept & exceeds))
        return m

    @staticmethod
    def _passed(step: Threshold, passes: dict) -> Value:
        """Whether a ratio in the binade of `step` passes it."""
        return passes.get((significand(step.value), step.strict), C(1, 1))
