"""Scales decoded, class sums multiplied by them, and the terms of D brought to one unit."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.gen.config import DotConfig
from amxfp4.rtl.arith import assign_low, times_small
from amxfp4.rtl.dot_widths import DotWidths, ScaleRange, holding

__all__ = ["ScaleOperand", "TermAligner", "Terms"]


class ScaleOperand(wiring.Component):
    """Decode a scale code to significand and shift, without normalising. Combinational.

        value = significand * 2^(shift + unit)

    Members
    -------
    code : In(8), E5M2, E4M3 or E8M0; the sign bit of the first two is ignored
    scale : Out(`ScaleRange.layout`); a NaN has significand zero
    """

    def __init__(self, scale: ScaleRange) -> None:
        self._scale = scale
        super().__init__({"code": In(scale.fmt.width), "scale": Out(scale.layout)})

    def elaborate(self, platform):
        m = Module()
        fmt = self._scale.fmt
        magnitude = self.code[: fmt.exponent_bits + fmt.mantissa_bits]
        man, field = magnitude[: fmt.mantissa_bits], magnitude[fmt.mantissa_bits :]
        is_nan = magnitude > fmt.max_magnitude
        m.d.comb += self.scale.is_nan.eq(is_nan)
        with m.If(~is_nan):
            if fmt.subnormals:
                normal = field != 0
                # Fields 0 and 1 have the same unit.
                m.d.comb += self.scale.shift.eq(Mux(normal, field - 1, 0)[: len(self.scale.shift)])
                m.d.comb += self.scale.significand.eq(Cat(man, normal))
            else:
                m.d.comb += self.scale.shift.eq(field)
                m.d.comb += self.scale.significand.eq(Cat(man, 1))
        return m


class Terms(wiring.Component):
    """Class sums times both significands; the shifts that are left to do. Combinational, exact.

        term_c = S_c * significand^A * significand^B, shift_c = shift^A + shift^B

    Members
    -------
    sums : In(classes x class sum)
    scales_a, scales_b : In(1 or 2 scale codes): positive, negative
    terms : Out(`layout`): the terms, the shifts of every scale, whether a scale is NaN
    """

    def __init__(self, config: DotConfig) -> None:
        self._widths = widths = DotWidths(config)
        sums = data.ArrayLayout(widths.class_sum, len(widths.classes))
        codes = [data.ArrayLayout(row.scale.width, row.scales) for row in widths.rows]
        super().__init__(
            {
                "sums": In(sums),
                "scales_a": In(codes[0]),
                "scales_b": In(codes[1]),
                "terms": Out(self.layout(widths)),
            }
        )

    @staticmethod
    def layout(widths: DotWidths) -> data.StructLayout:
        """Layout of what leaves this step."""
        shifts = [
            data.ArrayLayout(range(scale.largest_shift + 1), row.scales)
            for scale, row in zip(widths.scales, widths.rows, strict=True)
        ]
        return data.StructLayout(
            {
                "terms": data.ArrayLayout(widths.term, len(widths.classes)),
                "shifts_a": shifts[0],
                "shifts_b": shifts[1],
                "is_nan": 1,
            }
        )

    def elaborate(self, platform):
        m = Module()
        widths = self._widths
        operands = []
        for name, codes, scale, shifts in (
            ("a", self.scales_a, widths.scales[0], self.terms.shifts_a),
            ("b", self.scales_b, widths.scales[1], self.terms.shifts_b),
        ):
            decoded = []
            for n in range(len(codes)):
                m.submodules[f"scale_{name}_{n}"] = operand = ScaleOperand(scale)
                m.d.comb += [operand.code.eq(codes[n]), shifts[n].eq(operand.scale.shift)]
                decoded.append(operand.scale)
            operands.append(decoded)
        m.d.comb += self.terms.is_nan.eq(Cat(s.is_nan for side in operands for s in side).any())
        for c, (i, j) in enumerate(widths.classes):
            a, b = operands[0][i].significand, operands[1][j].significand
            once = Signal(widths.scaled, name=f"scaled_{c}")
            # Significands of all ones are the largest, less than the widths' product allows.
            m.d.comb += [
                assign_low(once, times_small(m, self.sums[c], b, f"scaled_{c}")),
                assign_low(self.terms.terms[c], times_small(m, once, a, f"term_{c}")),
            ]
        return m


class TermAligner(wiring.Component):
    """Terms as magnitudes in units of 2^`DotWidths.unit`, with their signs. Combinational, exact.

    Members
    -------
    terms : In(`Terms.layout`)
    magnitudes : Out(classes x aligned)
    negative : Out(classes)
    """

    def __init__(self, config: DotConfig) -> None:
        self._widths = widths = DotWidths(config)
        count = len(widths.classes)
        super().__init__(
            {
                "terms": In(Terms.layout(widths)),
                "magnitudes": Out(data.ArrayLayout(widths.aligned, count)),
                "negative": Out(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        widths = self._widths
        for c, (i, j) in enumerate(widths.classes):
            term = self.terms.terms[c]
            shift = Signal(widths.term_shift, name=f"shift_{c}")
            m.d.comb += shift.eq(self.terms.shifts_a[i] + self.terms.shifts_b[j])
            if widths.one_sign:
                magnitude = term
                m.d.comb += self.negative[c].eq(widths.is_negative(c))
            else:
                magnitude = Signal(holding(widths.term_bound), name=f"magnitude_{c}")
                m.d.comb += magnitude.eq(Mux(term < 0, -term, term)[: len(magnitude)])
                m.d.comb += self.negative[c].eq(term < 0)
            # The bound on D says that nothing leaves at the top.
            shifted = (magnitude << shift)[: widths.aligned.width]
            m.d.comb += self.magnitudes[c].eq(shifted)
        return m
