"""Scales decoded, class sums multiplied by them, and the terms of D brought to one unit."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FloatFormat
from amxfp4.rtl.dot.widths import DotWidths, ScaleRange, holding
from amxfp4.rtl.lib.arith import assign_low, shift_left, times_small

__all__ = [
    "ClassSequencer",
    "ScaleOperand",
    "TermAligner",
    "Terms",
    "block_layout",
    "slot_layout",
]


class ScaleOperand(wiring.Component):
    """Decode a scale code to significand and shift, without normalising. Combinational.

        value = significand * 2^(shift + unit)

    Members
    -------
    code : In(8), a format of scales; the sign bit of E5M2 and E4M3 is ignored
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
        is_nan = is_nan_code(fmt, self.code)
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


def block_layout(config: DotConfig) -> data.StructLayout:
    """Layout of a block whose lanes are summed: class sums, the scales' codes, the end of a sum."""
    widths = DotWidths(config)
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(widths.class_sum, len(widths.classes)),
            "scales_a": data.ArrayLayout(widths.rows[0].scale.width, widths.rows[0].scales),
            "scales_b": data.ArrayLayout(widths.rows[1].scale.width, widths.rows[1].scales),
            "ends_sum": 1,
        }
    )


def slot_layout(config: DotConfig) -> data.StructLayout:
    """Layout of what is scaled at once: a whole block, or one class of it with its scales."""
    widths = DotWidths(config)
    codes = [
        data.ArrayLayout(row.scale.width, count)
        for row, count in zip(widths.rows, widths.slot_scales, strict=True)
    ]
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(widths.class_sum, len(widths.slots)),
            "scales_a": codes[0],
            "scales_b": codes[1],
            # Of a class alone: whether its products are negative, where classes have one sign;
            # whether any scale of the block is NaN; whether it is the block's last.
            "negative": int(widths.serial),
            "is_nan": int(widths.serial),
            "ends_block": int(widths.serial),
            "ends_sum": 1,
        }
    )


class ClassSequencer(wiring.Component):
    """Holds a block while its classes leave one after another, with their scales.

    Takes the next block with the last class: no bubble.

    Members
    -------
    i : In(stream of `block_layout`)
    o : Out(stream of `slot_layout`), in the order of `DotWidths.classes`

    Latency: as many cycles as there are classes, to the last one.
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._widths = DotWidths(config)
        super().__init__(
            {
                "i": In(stream.Signature(block_layout(config))),
                "o": Out(stream.Signature(slot_layout(config))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a block's entry to its last class."""
        return len(self._widths.classes)

    def elaborate(self, platform):
        m = Module()
        classes = self._widths.classes
        held = Signal(block_layout(self._config), reset_less=True)
        busy = Signal()
        place = Signal(range(len(classes)))
        slot = self.o.payload
        is_last = place == len(classes) - 1
        m.d.comb += [
            self.o.valid.eq(busy),
            self.i.ready.eq(~busy | (self.o.ready & is_last)),
            slot.negative.eq(0),
            slot.is_nan.eq(
                Cat(
                    is_nan_code(row.scale, code)
                    for row, codes in zip(
                        self._widths.rows, (held.scales_a, held.scales_b), strict=True
                    )
                    for code in codes
                ).any()
            ),
            slot.ends_block.eq(is_last),
            slot.ends_sum.eq(is_last & held.ends_sum),
        ]
        with m.Switch(place):
            for c, (i, j) in enumerate(classes):
                with m.Case(c):
                    m.d.comb += [
                        slot.sums[0].eq(held.sums[c]),
                        slot.scales_a[0].eq(held.scales_a[i]),
                        slot.scales_b[0].eq(held.scales_b[j]),
                    ]
                    if self._widths.one_sign:
                        m.d.comb += slot.negative.eq(self._widths.is_negative(c))
        with m.If(busy & self.o.ready):
            # Two or four classes: wraps by itself.
            m.d.sync += assign_low(place, place + 1)
            with m.If(is_last):
                m.d.sync += busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.payload), busy.eq(1)]
        return m


def is_nan_code(fmt: FloatFormat, code: Value) -> Value:
    """Whether a scale code is read as NaN."""
    return code[: fmt.exponent_bits + fmt.mantissa_bits] > fmt.max_magnitude


class Terms(wiring.Component):
    """Class sums times both significands; the shifts that are left to do. Combinational, exact.

        term_c = S_c * significand^A * significand^B, shift_c = shift^A + shift^B

    Members
    -------
    slot : In(`slot_layout`)
    terms : Out(`layout`): the terms, the shifts of every scale, whether a scale is NaN
    """

    def __init__(self, config: DotConfig) -> None:
        self._widths = widths = DotWidths(config)
        super().__init__({"slot": In(slot_layout(config)), "terms": Out(self.layout(widths))})

    @staticmethod
    def layout(widths: DotWidths) -> data.StructLayout:
        """Layout of what leaves this step."""
        shifts = [
            data.ArrayLayout(range(scale.largest_shift + 1), count)
            for scale, count in zip(widths.scales, widths.slot_scales, strict=True)
        ]
        return data.StructLayout(
            {
                "terms": data.ArrayLayout(widths.term, len(widths.slots)),
                "shifts_a": shifts[0],
                "shifts_b": shifts[1],
                "negative": int(widths.serial),
                "is_nan": 1,
                "ends_block": int(widths.serial),
            }
        )

    def elaborate(self, platform):
        m = Module()
        widths, slot, terms = self._widths, self.slot, self.terms
        operands = []
        for name, codes, scale, shifts in (
            ("a", slot.scales_a, widths.scales[0], terms.shifts_a),
            ("b", slot.scales_b, widths.scales[1], terms.shifts_b),
        ):
            decoded = []
            for n in range(len(codes)):
                m.submodules[f"scale_{name}_{n}"] = operand = ScaleOperand(scale)
                m.d.comb += [operand.code.eq(codes[n]), shifts[n].eq(operand.scale.shift)]
                decoded.append(operand.scale)
            operands.append(decoded)
        if widths.serial:
            m.d.comb += [
                terms.is_nan.eq(slot.is_nan),
                terms.negative.eq(slot.negative),
                terms.ends_block.eq(slot.ends_block),
            ]
        else:
            m.d.comb += terms.is_nan.eq(Cat(s.is_nan for side in operands for s in side).any())
        for n, (i, j) in enumerate(widths.slots):
            a, b = operands[0][i].significand, operands[1][j].significand
            once = Signal(widths.scaled, name=f"scaled_{n}")
            # Significands of all ones are the largest, less than the widths' product allows.
            m.d.comb += [
                assign_low(once, times_small(m, slot.sums[n], b, f"scaled_{n}")),
                assign_low(terms.terms[n], times_small(m, once, a, f"term_{n}")),
            ]
        return m


class TermAligner(wiring.Component):
    """Terms as magnitudes in units of 2^`DotWidths.unit`, with their signs. Combinational, exact.

    Parameters
    ----------
    config : DotConfig
    width : int, optional
        Bits of a magnitude that are wanted; all of them by default.

    Members
    -------
    terms : In(`Terms.layout`)
    magnitudes : Out(terms x width)
    too_large : Out(terms), what did not fit
    negative : Out(terms)
    """

    def __init__(self, config: DotConfig, width: int | None = None) -> None:
        self._widths = widths = DotWidths(config)
        self._width = widths.aligned.width if width is None else width
        count = len(widths.slots)
        super().__init__(
            {
                "terms": In(Terms.layout(widths)),
                "magnitudes": Out(data.ArrayLayout(self._width, count)),
                "too_large": Out(count),
                "negative": Out(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        widths, terms = self._widths, self.terms
        for n, (i, j) in enumerate(widths.slots):
            term = terms.terms[n]
            shift = Signal(widths.term_shift, name=f"shift_{n}")
            m.d.comb += shift.eq(terms.shifts_a[i] + terms.shifts_b[j])
            if widths.one_sign:
                magnitude = term
                negative = terms.negative if widths.serial else C(widths.is_negative(n), 1)
            else:
                magnitude = Signal(holding(widths.term_bound), name=f"magnitude_{n}")
                negative = term < 0
                m.d.comb += magnitude.eq(Mux(negative, -term, term)[: len(magnitude)])
            m.d.comb += self.negative[n].eq(negative)
            # With all bits the bound on D says that nothing leaves at the top.
            word, lost = shift_left(m, magnitude, shift, self._width, f"shifted_{n}")
            m.d.comb += [self.magnitudes[n].eq(word), self.too_large[n].eq(lost)]
        return m
